r"""What a flow is trained on, as pure functions.

    maximum likelihood    -mean_B log q(x)                            forward KL from the data, but for a constant
    reverse KL            E_q[log q(x) - log p~(x)]                   = KL(q || p) - log Z, for a target p = p~ / Z

Rezende & Mohamed 2015 (arXiv:1505.05770); Papamakarios et al. 2021 (arXiv:1912.02762), section 2.3. Everything is in nats and
adds up in float32.

Shapes: ``B = batch, N = draws, C = width of the condition, ... = one example``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = ["LogDensity", "log_ratio", "maximum_likelihood", "reverse_kl", "reverse_kl_objective"]

LogDensity = Callable[[Float[Array, "N ..."]], Float[Array, "N"]]
"""A log density of each of ``N`` points, up to a constant."""


def maximum_likelihood(log_prob: Float[Array, "B"]) -> Float[Array, ""]:
    """``-mean_B log q(x)``: least where ``q`` is the data's distribution, and there its entropy.

    Example:
        >>> float(maximum_likelihood(jnp.array([-1.0, -3.0])))
        2.0
    """
    return -jnp.mean(log_prob.astype(jnp.promote_types(log_prob.dtype, jnp.float32)))


def reverse_kl(
    flow: Any,
    log_target: LogDensity,
    n_samples: int,
    *,
    condition: Float[Array, "N C"] | None = None,
    path_gradient: bool = False,
    rngs: nnx.Rngs,
) -> Float[Array, ""]:
    r"""``mean_N [log q(x) - log p~(x)]`` with ``x ~ q``: an unbiased estimate of ``KL(q || p) - log Z``.

    Its gradient is taken through the samples. With ``path_gradient`` the part that goes through the parameters of ``log q``
    itself is left out: it has mean zero, and without it the gradient's variance vanishes as ``q`` comes to be the target
    ("sticking the landing": Roeder et al. 2017, arXiv:1703.09194, equation 6; of flows: Vaitl et al. 2022,
    arXiv:2207.08219). It costs one density beside the samples, which of an IAF is a loop over elements.

    Args:
        flow: ``q``: what has ``sample_and_log_prob(n, rngs=...)`` and ``log_prob(x)``, a :class:`artifex.flow.Flow`.
        log_target: ``log p~``, nats, of ``(N, ...)``; the target's normaliser ``Z`` need not be known.
        n_samples: ``N``.
        condition: of a conditional flow: one row for each sample, or one for all.
        path_gradient: leave out the part of the gradient whose mean is zero.
        rngs: stream ``sample`` draws.

    Returns:
        Nats. Its least value is ``-log Z``.

    Raises:
        InvalidInputError: ``log_target`` gives another shape than ``(N,)``.

    Example:
        >>> from artifex.flow import MAF, MAFConfig
        >>> flow = MAF(MAFConfig(input_dim=2), rngs=nnx.Rngs(0))
        >>> loss = reverse_kl(flow, lambda x: -0.5 * jnp.sum(x**2, axis=-1), 64, rngs=nnx.Rngs(1))
        >>> abs(float(loss) + 1.8379) < 0.2  # nearly the target already: -log 2 pi
        True
    """
    return -jnp.mean(log_ratio(flow, log_target, n_samples, condition=condition, path_gradient=path_gradient, rngs=rngs)[1])


def log_ratio(
    flow: Any,
    log_target: LogDensity,
    n_samples: int,
    *,
    condition: Float[Array, "N C"] | None = None,
    path_gradient: bool = False,
    rngs: nnx.Rngs,
) -> tuple[Float[Array, "N ..."], Float[Array, "N"]]:
    """``x ~ q`` and the log importance weights ``log p~(x) - log q(x)``, nats.

    Args:
        flow: ``q``.
        log_target: ``log p~``, nats, of ``(N, ...)``.
        n_samples: ``N``.
        condition: of a conditional flow: one row for each sample, or one for all.
        path_gradient: let no gradient go through the parameters of ``log q``, only through ``x``.
        rngs: stream ``sample`` draws.

    Raises:
        InvalidInputError: ``log_target`` gives another shape than ``(N,)``, or ``path_gradient`` is asked of a flow whose
            ``log_prob`` is not the exact density of what it samples.
    """
    if path_gradient and (getattr(flow, "dequantization", None) is not None or getattr(flow, "trace", "exact") != "exact"):
        raise InvalidInputError(
            f"path_gradient needs a log_prob that is the exact density of the samples, and that of this {type(flow).__name__} "
            "is a bound or an estimate; leave path_gradient out"
        )
    given = {} if condition is None else {"condition": condition}
    x, log_q = flow.sample_and_log_prob(n_samples, rngs=rngs, **given)
    if path_gradient:
        if condition is not None and len(condition) == 1:
            given = {"condition": jnp.repeat(condition, n_samples, axis=0)}
        graph, state = nnx.split(flow)
        log_q = nnx.merge(graph, jax.lax.stop_gradient(nnx.as_pure(state))).log_prob(x, **given)
    log_p = log_target(x)
    if jnp.shape(log_p) != (n_samples,):
        raise InvalidInputError(
            f"log_target gives shape {jnp.shape(log_p)} for x of shape {x.shape}; expected one number a point, ({n_samples},)"
        )
    return x, (log_p - log_q).astype(jnp.promote_types(log_q.dtype, jnp.float32))


def reverse_kl_objective(
    log_target: LogDensity, n_samples: int, *, path_gradient: bool = False
) -> Callable[[Any, Mapping[str, Array], nnx.Rngs, Array], dict[str, Float[Array, ""]]]:
    """:func:`reverse_kl` as the objective of a training step, ``(model, batch, rngs, step) -> {"loss": ...}``.

    There are no data: the flow is drawn from, and the batch is not looked at.

    Args:
        log_target: ``log p~``, nats, of ``(N, ...)``.
        n_samples: ``N``, at each step.
        path_gradient: leave out the part of the gradient whose mean is zero.
    """

    def objective(model: Any, batch: Mapping[str, Array], rngs: nnx.Rngs, step: Array) -> dict[str, Float[Array, ""]]:
        del batch, step
        return {"loss": reverse_kl(model, log_target, n_samples, path_gradient=path_gradient, rngs=rngs)}

    return objective
