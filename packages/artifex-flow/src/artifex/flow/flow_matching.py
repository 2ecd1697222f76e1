r"""Flow matching: a continuous flow trained without solving its equation.

Lipman et al. 2023, "Flow matching for generative modeling" (arXiv:2210.02747); Tong et al. 2023, "Improving and generalizing
flow-based generative models with minibatch optimal transport" (arXiv:2302.00482):

    x_t = (1 - (1 - s) t) x_0 + t x_1,   u_t = x_1 - (1 - s) x_0         x_0 ~ p_base at t = 0, x_1 from the data at t = 1
    loss = E_{t, x_0, x_1} |v(x_t, t) - u_t|^2,   t ~ U(0, 1)

The minimum over all ``v`` is ``E[u_t | x_t]``, whose equation leads from the base to the data, blurred by ``s = sigma_min``.
Noise and data meet independently, or as the pairs of a batch that minimise the sum of ``|x_0 - x_1|^2``: these paths cross
less, and so are straighter and quicker to follow. Sampling and the exact likelihood are those of every continuous flow
(:mod:`artifex.flow.continuous`).

Shapes: ``B = batch, D = elements, C = width of the condition``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from optax.assignment import hungarian_algorithm
from pydantic import Field

from artifex.core.compilation import draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import Batch
from artifex.flow.bijections.bijection import Condition, sum_over_example
from artifex.flow.continuous import ODEFlow, ODEFlowConfig

__all__ = ["FlowMatching", "FlowMatchingConfig", "flow_matching", "linear_path", "paired"]


@config
class FlowMatchingConfig(ODEFlowConfig):
    """A continuous flow trained by flow matching.

    Example:
        >>> FlowMatchingConfig(input_dim=2, pairing="optimal_transport").sigma_min
        0.0001
    """

    sigma_min: Annotated[float, Field(ge=0, lt=1)] = 1e-4
    """Standard deviation of the blur that the data get, in units of the base's."""
    pairing: Literal["independent", "optimal_transport"] = "independent"
    """Which noise goes with which example: as drawn, or so that the batch's squared distances have the least sum. The latter
    takes time that grows as the cube of the batch, and suits no conditional flow: noise would depend on the condition."""

    def __post_init__(self) -> None:
        ODEFlowConfig.__post_init__(self)
        if self.pairing == "optimal_transport" and self.condition_dim is not None:
            raise ValueError(
                "pairing 'optimal_transport' makes the noise depend on the condition, which samples are then drawn without; "
                f"use pairing 'independent' with condition_dim={self.condition_dim}"
            )


def linear_path(
    x0: Float[Array, "B ..."], x1: Float[Array, "B ..."], t: Float[Array, "B"], *, sigma_min: float = 0.0
) -> tuple[Float[Array, "B ..."], Float[Array, "B ..."]]:
    """``x_t = (1 - (1 - s) t) x_0 + t x_1`` and its velocity ``u_t = x_1 - (1 - s) x_0``.

    Lipman et al. 2023 (arXiv:2210.02747), equations 20 to 23.

    Args:
        x0: noise.
        x1: data.
        t: times, 0 at the noise and 1 at the data.
        sigma_min: ``s``, what is left of the noise at ``t = 1``.

    Example:
        >>> x, u = linear_path(jnp.array([[0.0]]), jnp.array([[4.0]]), jnp.array([0.25]))
        >>> float(x[0, 0]), float(u[0, 0])
        (1.0, 4.0)
    """
    t = jnp.expand_dims(t, tuple(range(1, x1.ndim)))
    return (1 - (1 - sigma_min) * t) * x0 + t * x1, x1 - (1 - sigma_min) * x0


def paired(x0: Float[Array, "B ..."], x1: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
    """``x_0`` in the order that minimises ``sum_i |x_0[i] - x_1[i]|^2``: the exact optimal transport between two batches.

    Tong et al. 2023 (arXiv:2302.00482), section 3.2.3. The Hungarian algorithm, compiled; of order ``B^3``.

    Example:
        >>> paired(jnp.array([[9.0], [0.0], [5.0]]), jnp.array([[1.0], [6.0], [7.0]])).ravel().tolist()
        [0.0, 5.0, 9.0]
    """
    rows, columns = (jax.lax.collapse(jax.lax.stop_gradient(x), 1) for x in (x1, x0))
    # the squared lengths are the same in every pairing, so that only the products matter
    i, j = hungarian_algorithm(-rows @ columns.T)
    return x0[jnp.zeros(x0.shape[0], j.dtype).at[i].set(j)]


def flow_matching(velocity: Float[Array, "B ..."], target: Float[Array, "B ..."]) -> Float[Array, ""]:
    """``mean_B |v(x_t, t) - u_t|^2``, the squares of an example's elements added up, in float32 at least.

    Lipman et al. 2023 (arXiv:2210.02747), equation 9.

    Args:
        velocity: what the network makes of ``x_t`` and ``t``.
        target: ``u_t``, of :func:`linear_path`.

    Example:
        >>> float(flow_matching(jnp.zeros((2, 2)), jnp.array([[3.0, 4.0], [0.0, 1.0]])))
        13.0
    """
    error = (velocity - target).astype(jnp.promote_types(target.dtype, jnp.float32))
    return jnp.mean(sum_over_example(jnp.square(error)))


class FlowMatching(ODEFlow):
    """A continuous flow trained by conditional flow matching.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`FlowMatchingConfig`.
        InvalidInputError: the base has parameters, which flow matching does not train.

    Example:
        >>> model = FlowMatching(FlowMatchingConfig(input_dim=2), rngs=nnx.Rngs(0))
        >>> model.log_prob(jnp.zeros((3, 2))).shape, model.sample(5).shape
        ((3,), (5, 2))
    """

    config: FlowMatchingConfig

    def __init__(self, config: FlowMatchingConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, FlowMatchingConfig):
            raise InvalidTypeError(f"FlowMatching takes a FlowMatchingConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)
        if jax.tree.leaves(nnx.state(self.base, nnx.Param)):
            raise InvalidInputError(
                f"base {config.base!r} has parameters, which flow matching does not train; use one without, 'normal' say"
            )

    def __call__(
        self, x: Float[Array, "B D"], *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """The network's velocity, and that of the path, at a random time and place between noise and each example.

        Args:
            x: data, ``(B, D)``.
            condition: ``(B, C)`` for a conditional flow.
            rngs: stream ``sample`` draws noise and times; the model's own by default.

        Returns:
            ``velocity`` and ``target``, each ``(B, D)``.

        Raises:
            InvalidInputError: ``x`` or ``condition`` does not fit the model.
        """
        x, condition = self._checked(x, condition, "x")
        noise = self.base.sample(draw_key(self, rngs), x.shape[0])
        if self.config.pairing == "optimal_transport":
            noise = paired(noise, x)
        t = jax.random.uniform(draw_key(self, rngs), (x.shape[0],), noise.dtype)
        place, target = linear_path(noise, x, t, sigma_min=self.config.sigma_min)
        return {"velocity": self.bijection.velocity(place, t, condition), "target": target}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """:func:`flow_matching`: ``mean_B |v(x_t, t) - u_t|^2``.

        Returns:
            ``loss``.
        """
        del batch
        return {"loss": flow_matching(outputs["velocity"], outputs["target"])}
