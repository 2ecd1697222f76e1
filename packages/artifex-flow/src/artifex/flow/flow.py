r"""What all normalizing flows have in common.

Rezende & Mohamed 2015, "Variational Inference with Normalizing Flows" (arXiv:1505.05770); Papamakarios et al. 2021,
"Normalizing Flows for Probabilistic Modeling and Inference" (arXiv:1912.02762):

    z = f(x),   z ~ p_base
    log p(x) = log p_base(f(x)) + log |det df/dx|           the change of variables: exact
    x = f^-1(z)                                             a sample

Shapes: ``B = batch, N = draws, C = width of the condition, ... = one example``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import ParamDType
from artifex.core.protocols import Batch
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed
from artifex.flow.distributions import BaseField, NormalConfig, create_base
from artifex.flow.losses import maximum_likelihood
from artifex.flow.metrics import bits_per_dimension

__all__ = ["AnyFlowConfig", "Flow", "FlowConfig", "PositiveInt", "checked", "zero_where_overflown"]

PositiveInt = Annotated[int, Field(gt=0)]
FAR = 1e12
"""Elements beyond this may overflow on their way through a flow; nearer ones that come out as no number are a defect."""


@config
class AnyFlowConfig(Config):
    """What the configs of all flows share."""

    condition_dim: PositiveInt | None = None
    """Width of the vector that examples are conditioned on; None for none."""
    base: BaseField = NormalConfig()
    """Base distribution: `normal`, `student_t`, `mixture`, `uniform`, or a dict of its `kind` and fields."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters. Elements and densities are float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        raise NotImplementedError


@config
class FlowConfig(AnyFlowConfig):
    """What the configs of all flows on vectors share."""

    input_dim: PositiveInt
    """Number of elements of an example, ``D``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return (self.input_dim,)


class Flow(nnx.Module):
    """A normalizing flow: a bijection from data to a base distribution.

    Models are subclasses that build their ``bijection`` and hand it to this constructor.

    Args:
        config: of the model.
        bijection: ``f``, from data to base.
        rngs: random streams: ``params`` initialises the base; the model keeps a fork of all of them, whose ``sample`` serves
            whenever a method is given no ``rngs``.
    """

    def __init__(self, config: AnyFlowConfig, bijection: Bijection, *, rngs: nnx.Rngs):
        self.config = config
        self.bijection = bijection
        self.base = create_base(config.base, config.shape, param_dtype=config.param_dtype, rngs=rngs)
        self.rngs = rngs.fork()

    def __call__(
        self, x: Float[Array, "B ..."], *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """Density of a batch.

        Args:
            x: ``(B, ...)``.
            condition: ``(B, C)`` for a conditional flow, or one for all ``(1, C)``.
            rngs: nothing is drawn here.

        Returns:
            ``log_prob`` ``(B,)``, nats; ``z`` ``(B, ...)``, what the flow makes of ``x``; ``log_det`` ``(B,)``.

        Raises:
            InvalidInputError: ``x`` or ``condition`` does not fit the model.
        """
        del rngs
        x, condition = self._checked(x, condition, "x")
        z, log_det = self.bijection.forward(x, condition)
        return {"log_prob": zero_where_overflown(self.base.log_prob(z) + log_det, x), "z": z, "log_det": log_det}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``-mean_B log p(x)``, nats an example: maximum likelihood.

        Returns:
            ``loss``; ``bits_per_dimension``, the same in bits an element.
        """
        log_prob = outputs["log_prob"]
        bits = jnp.mean(bits_per_dimension(log_prob, batch["x"].shape[1:]))
        return {"loss": maximum_likelihood(log_prob), "bits_per_dimension": bits}

    @compiled_method()
    def log_prob(self, x: Float[Array, "B ..."], *, condition: Condition = None) -> Float[Array, "B"]:
        """``log p(x) = log p_base(f(x)) + log |det df/dx|``, nats; ``-inf`` outside the support."""
        return self(x, condition=condition)["log_prob"]

    @compiled_method()
    def forward(self, x: Float[Array, "B ..."], *, condition: Condition = None) -> Transformed:
        """``z = f(x)`` and ``log |det df/dx|``: from data to base."""
        return self.bijection.forward(*self._checked(x, condition, "x"))

    @compiled_method()
    def inverse(self, z: Float[Array, "B ..."], *, condition: Condition = None) -> Transformed:
        """``x = f^-1(z)`` and ``log |det df^-1/dz|``: from base to data."""
        return self.bijection.inverse(*self._checked(z, condition, "z"))

    def sample(self, n_samples: int = 1, *, condition: Condition = None, rngs: nnx.Rngs | None = None) -> Float[Array, "N ..."]:
        """``z ~ p_base``, ``x = f^-1(z)``.

        Args:
            n_samples: how many.
            condition: one row for each sample ``(N, C)``, or one for all ``(1, C)``.
            rngs: stream ``sample``; the model's own by default.
        """
        return self._sampled(n_samples, condition=condition, rngs=rngs)[0]

    def generate(
        self, n_samples: int = 1, *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "N ..."]:
        """The same as :meth:`sample`."""
        return self.sample(n_samples, condition=condition, rngs=rngs)

    def sample_and_log_prob(
        self, n_samples: int = 1, *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> tuple[Float[Array, "N ..."], Float[Array, "N"]]:
        """Samples and their log densities, at the cost of the samples alone."""
        return self._sampled(n_samples, condition=condition, rngs=rngs)

    @compiled_method(static=("n_samples",))
    def _sampled(
        self, n_samples: int, *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> tuple[Float[Array, "N ..."], Float[Array, "N"]]:
        z, condition = self._drawn(n_samples, condition, rngs)
        x, log_det = self.bijection.inverse(z, condition)
        return x, self.base.log_prob(z) - log_det

    def _drawn(self, n_samples: int, condition: Condition, rngs: nnx.Rngs | None) -> tuple[Array, Array | None]:
        """``z ~ p_base``, and a condition for each."""
        check_at_least(1, n_samples=n_samples)
        return self._checked(self.base.sample(draw_key(self, rngs), n_samples), condition, "z")

    def _checked(self, x: Array, condition: Condition, what: str) -> tuple[Array, Array | None]:
        """A batch and its condition, if they fit."""
        return checked(x, condition, self.config.shape, self.config.condition_dim, what)


def zero_where_overflown(log_prob: Float[Array, "B"], x: Float[Array, "B ..."]) -> Float[Array, "B"]:
    """``-inf`` in the place of what is no number because ``x`` is so far out that it overflowed on its way."""
    far = jnp.any(jnp.abs(x) > FAR, axis=tuple(range(1, x.ndim)))
    return jnp.where(far & jnp.isnan(log_prob), -jnp.inf, log_prob)


def checked(x: Array, condition: Condition, shape: tuple[int, ...], width: int | None, what: str) -> tuple[Array, Array | None]:
    """A batch of examples of a ``shape``, at least in float32, and its condition of a ``width``, if they fit.

    A condition of one row serves the whole batch.

    Raises:
        InvalidInputError: they do not; ``what`` names the batch.
    """
    x = jnp.asarray(x)
    if x.shape[1:] != shape or x.ndim != len(shape) + 1:
        hint = f"; add a batch axis: {what}[None]" if x.shape == shape else ""
        raise InvalidInputError(f"{what} has shape {x.shape}, expected (batch, {', '.join(map(str, shape))}){hint}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InvalidInputError(
            f"{what} is {x.dtype}, expected floating point; a density of integers needs dequantisation first"
        )
    condition = None if condition is None else jnp.asarray(condition)
    if condition is not None and condition.shape == (1, width):
        condition = jnp.broadcast_to(condition, (x.shape[0], width))  # one for all
    if (condition is None) != (width is None) or (condition is not None and condition.shape != (x.shape[0], width)):
        given = "none" if condition is None else f"one of shape {condition.shape}"
        wanted = (
            "none: the model has no condition_dim" if width is None else f"one of shape ({x.shape[0]}, {width}) or (1, {width})"
        )
        hint = "; add a batch axis: condition[None]" if condition is not None and condition.shape == (width,) else ""
        raise InvalidInputError(f"condition: got {given}, expected {wanted}{hint}")
    if condition is not None and not jnp.issubdtype(condition.dtype, jnp.floating):
        raise InvalidInputError(f"condition is {condition.dtype}, expected floating point; give classes one-hot")
    return x.astype(jnp.promote_types(x.dtype, jnp.float32)), condition
