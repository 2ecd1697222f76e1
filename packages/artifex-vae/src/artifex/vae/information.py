r"""What single latents know about single factors of the data, and the mutual information gap.

Chen et al. 2018 (arXiv:1802.04942), section 4, for a data set of ``N`` examples ``n``, each with the value ``v`` of a factor:

    q(z_j) = 1/N sum_n q(z_j | n),   q(z_j | v) = 1/N_v sum_{n of value v} q(z_j | n)
    I(z_j; v) = E[log q(z_j | v) - log q(z_j)]                            over examples and draws of their posteriors
    MIG = 1/F sum_f (I(z_a; v_f) - I(z_b; v_f)) / H(v_f)                  a, b: the two latents that know most about factor f

Shapes: ``N = examples, L = latent, F = factors, C = draws worked on at a time``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from artifex.core.compilation import draw_key
from artifex.core.errors import InvalidInputError
from artifex.vae.encoders import DiagonalGaussian
from artifex.vae.likelihoods import accumulated, gaussian_log_prob

__all__ = ["factor_entropies", "latent_factor_information", "mutual_information_gap"]

AT_A_TIME = 2**24
"""Densities held at once, at most."""


def mutual_information_gap(
    model: Any,
    references: Float[Array, "N ..."],
    labels: Int[Array, "N *F"],
    *,
    num_samples: int = 10,
    condition: Array | None = None,
    rngs: nnx.Rngs | None = None,
) -> Float[Array, ""]:
    """``MIG`` in [0, 1]: for each factor, how much more the best latent knows than the second, in parts of its entropy.

    Chen et al. 2018 (arXiv:1802.04942), equation 6. The expectations are over the examples given and ``num_samples`` draws of
    each one's posterior; the cost grows with ``N^2``.

    Args:
        model: what has ``encode(x)`` to ``mean`` and ``log_variance``, ``(N, L)``, of two latents at least.
        references: data.
        labels: integers, the value of each factor (one for each example where there is a single factor).
        num_samples: draws for each example.
        condition: of each example, for a conditional model.
        rngs: stream ``sample``; the model's own by default.

    Raises:
        InvalidInputError: the model is no VAE, there are fewer than two latents, ``labels`` are not integers for each example,
            or a factor has one value only.
    """
    posterior = encoded(model, references, condition)
    factors = _checked_factors(labels, len(references))
    if posterior.mean.shape[-1] < 2:
        raise InvalidInputError("the model has a single latent; a gap is between two")
    information = latent_factor_information(posterior, factors, draw_key(model, rngs), num_samples=num_samples)
    second, first = jnp.sort(information, axis=0)[-2:]
    return jnp.mean((first - second) / factor_entropies(factors))


def encoded(model: Any, references: Float[Array, "N ..."], condition: Array | None) -> DiagonalGaussian:
    """What ``model.encode`` gives, if it has a mean for each example.

    Raises:
        InvalidInputError: the model is of another kind.
    """
    encode = getattr(model, "encode", None)
    posterior = None if encode is None else encode(references, **({} if condition is None else {"condition": condition}))
    if not isinstance(getattr(posterior, "mean", None), Array):
        gives = "has no encode" if encode is None else f"encodes to a {type(posterior).__name__}"
        raise InvalidInputError(f"{type(model).__name__} {gives}; expected a VAE, whose encode gives mean and log_variance")
    return posterior  # pyright: ignore[reportReturnType]


def factor_entropies(factors: Int[np.ndarray, "N F"]) -> Float[np.ndarray, "F"]:
    """``H(v_f)`` by the values' frequencies, nats.

    >>> factor_entropies(np.array([[0, 5], [0, 6], [1, 7], [1, 8]])).round(4).tolist()  # log 2, log 4
    [0.6931, 1.3863]
    """
    shares = [np.unique(column, return_counts=True)[1] / len(column) for column in factors.T]
    return np.array([-(p * np.log(p)).sum() for p in shares])


def latent_factor_information(
    posterior: DiagonalGaussian, factors: Int[np.ndarray, "N F"], key: Array, *, num_samples: int = 10
) -> Float[Array, "L F"]:
    """``I(z_j; v_f)``, nats, for every latent and factor, over the data set that ``posterior`` was made of.

    Args:
        posterior: mean and log variance of each example, ``(N, L)``.
        factors: integers.
        key: of the draws.
        num_samples: draws of each example.
    """
    n = len(factors)
    values = [np.unique(column, return_inverse=True)[1] for column in factors.T]
    shares = [np.bincount(value)[value] / n for value in values]  # N_v / N of each example's own value
    chunk = max(1, AT_A_TIME // (factors.size * posterior.mean.shape[-1]))
    rows = jnp.asarray(np.tile(np.arange(n), num_samples))
    kind, share = jnp.asarray(np.stack(values, 1)), jnp.asarray(np.stack(shares, 1), jnp.float32)
    return _information(posterior, kind, jnp.log(share), rows, key, chunk)


@jax.jit(static_argnames="chunk")
def _information(
    posterior: DiagonalGaussian, kind: Array, log_share: Array, rows: Array, key: Array, chunk: int
) -> Float[Array, "L F"]:
    mean, scale = accumulated(posterior.mean), jnp.exp(0.5 * accumulated(posterior.log_variance))
    z = mean[rows] + scale[rows] * jax.random.normal(key, (len(rows), mean.shape[-1]))

    def ratio(drawn: tuple[Array, Array]) -> Float[Array, "L F"]:
        """``log q(z_j | v) - log q(z_j)`` at one draw; what ``1/N`` would add to both cancels."""
        z, row = drawn
        densities = gaussian_log_prob(z[None], mean, scale)  # (N, L)
        alike = kind == kind[row][None]  # (N, F)
        within = jax.nn.logsumexp(jnp.where(alike[:, None], densities[:, :, None], -jnp.inf), axis=0)
        return within - log_share[row][None] - jax.nn.logsumexp(densities, axis=0)[:, None]

    return jnp.mean(jax.lax.map(ratio, (z, rows), batch_size=chunk), axis=0)


def _checked_factors(labels: Any, n: int) -> Int[np.ndarray, "N F"]:
    factors = np.asarray(labels)
    factors = factors[:, None] if factors.ndim == 1 else factors
    if factors.shape[:1] != (n,) or factors.ndim != 2 or not np.issubdtype(factors.dtype, np.integer):
        raise InvalidInputError(
            f"labels are {factors.dtype} of shape {np.shape(labels)}, expected integers of shape ({n},) or ({n}, factors)"
        )
    if constant := [f for f in range(factors.shape[1]) if len(np.unique(factors[:, f])) < 2]:
        raise InvalidInputError(f"factor {constant[0]} has one value in all {n} examples; leave it out: nothing tells about it")
    return factors
