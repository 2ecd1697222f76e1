r"""The masked autoregressive flow.

Papamakarios et al. 2017 (arXiv:1705.07057): layers ``y_i = exp(a_i) x_i + b_i`` with ``a_i, b_i`` made of ``x_{<i}`` by a
masked network (:mod:`artifex.flow.bijections.autoregressive`). A density takes one pass, a sample one compiled loop over
elements.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from flax import nnx
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.core.nn import activation as activation_named
from artifex.flow.bijections import AffineTransformer, Chain, MaskedAutoregressive, Transformer
from artifex.flow.flow import Flow, FlowConfig, PositiveInt
from artifex.flow.layers import NEAR_IDENTITY, ReachField

__all__ = ["MAF", "AutoregressiveFlowConfig", "MAFConfig", "autoregressive_layers"]


@config
class AutoregressiveFlowConfig(FlowConfig):
    """What the flows of masked autoregressive layers share."""

    num_transforms: PositiveInt = 5
    """How many layers."""
    hidden_dims: tuple[PositiveInt, ...] = (64, 64)
    """Widths of the hidden layers of each network."""
    activation: str = "relu"
    """Name of the nonlinearity."""
    reach: ReachField = 3.0
    """Beyond this, the networks see an element ever less clearly, at most as 4/3 of this, so that what they make of far-out
    values stays tame; null for never. Data are expected to be standardised."""
    bias_gain: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """How often the biases of the masked networks' last layers count; a third of the last hidden width if null. Adam then
    learns them as fast as the rest. Norms that gradients are clipped to count them so too; with ``sgd``, let it be 1."""
    ordering: Literal["alternating", "random"] | tuple[tuple[int, ...], ...] = "alternating"
    """Elements in stored order and backwards in turn; in an order drawn for each layer; or, for each layer, every element's
    place, 0 first. Drawn orders often fit many elements better."""
    ordering_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of random orders. They are part of a model's structure, as its widths are: equal configs have equal orders."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built
        if isinstance(self.ordering, tuple):
            places = list(range(self.input_dim))
            if len(self.ordering) != self.num_transforms or any(sorted(order) != places for order in self.ordering):
                raise ValueError(
                    f"ordering is {self.ordering}; expected {self.num_transforms} orders (num_transforms), each with the "
                    f"places 0 to {self.input_dim - 1} once"
                )

    def order_of(self, layer: int) -> tuple[int, ...]:
        """The place of each element in the ordering of a layer."""
        if isinstance(self.ordering, tuple):
            return self.ordering[layer]
        if self.ordering == "random":
            draws = np.random.RandomState((self.ordering_seed, layer))  # NumPy keeps this generator's stream frozen (NEP 19)
            return tuple(draws.permutation(self.input_dim).tolist())
        return tuple(range(self.input_dim))[:: 1 if layer % 2 == 0 else -1]


@config
class MAFConfig(AutoregressiveFlowConfig):
    """A masked autoregressive flow.

    Example:
        >>> MAFConfig(input_dim=2, hidden_dims=[32, 32]).num_transforms
        5
    """

    min_scale: Annotated[float, Field(gt=0, lt=1)] = 0.03
    """Least slope of a layer, from data to base. A smaller one lets the density fall faster, at the cost of the way back."""
    max_scale: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 1e3
    """Largest slope of a layer, from data to base."""


def autoregressive_layers(config: AutoregressiveFlowConfig, transformer: Transformer, *, rngs: nnx.Rngs) -> list:
    """The layers that ``config`` describes."""
    head_scale = 1.0 if isinstance(transformer, AffineTransformer) else NEAR_IDENTITY
    return [
        MaskedAutoregressive(
            config.order_of(i),
            transformer,
            config.hidden_dims,
            n_condition=config.condition_dim or 0,
            activation=config.activation,
            reach=config.reach,
            head_scale=head_scale,
            bias_gain=config.bias_gain,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            rngs=rngs,
        )
        for i in range(config.num_transforms)
    ]


class MAF(Flow):
    """A masked autoregressive flow.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`MAFConfig`.

    Example:
        >>> import jax.numpy as jnp
        >>> model = MAF(MAFConfig(input_dim=2), rngs=nnx.Rngs(0))
        >>> model.log_prob(jnp.zeros((3, 2))).shape, model.sample(5).shape
        ((3,), (5, 2))
    """

    def __init__(self, config: MAFConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, MAFConfig):
            raise InvalidTypeError(f"MAF takes a MAFConfig, got {type(config).__name__}: {config!r}")
        layers = autoregressive_layers(config, AffineTransformer(config.min_scale, config.max_scale), rngs=rngs)
        super().__init__(config, Chain(layers), rngs=rngs)
