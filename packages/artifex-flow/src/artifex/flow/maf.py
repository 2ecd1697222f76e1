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
from artifex.flow.masks import checked_order

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
    ordering: Literal["alternating", "random"] | tuple[tuple[int, ...], ...] = "alternating"
    """Elements in stored order and backwards in turn; in an order drawn for each layer; or an ordering for each layer, written
    out: the place of each element, 0 first."""
    ordering_seed: Annotated[int, Field(ge=0)] = 0
    """What random orderings are drawn by. They are part of the model's form: a model that is loaded has to have them again."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built
        if isinstance(self.ordering, str):
            return
        if len(self.ordering) != self.num_transforms:
            raise ValueError(
                f"ordering has {len(self.ordering)} orderings for {self.num_transforms} transforms; give one for each"
            )
        for order in self.ordering:
            checked_order(order, self.input_dim)

    def given_orderings(self) -> tuple[tuple[int, ...], ...] | None:
        """Drawn or written out, one a layer; None where they alternate."""
        if not isinstance(self.ordering, str):
            return self.ordering
        if self.ordering == "alternating":
            return None
        draws = np.random.RandomState(self.ordering_seed)  # NumPy keeps this generator's stream frozen (NEP 19)
        return tuple(tuple(draws.permutation(self.input_dim).tolist()) for _ in range(self.num_transforms))


@config
class MAFConfig(AutoregressiveFlowConfig):
    """A masked autoregressive flow.

    Example:
        >>> MAFConfig(input_dim=2, hidden_dims=[32, 32]).num_transforms
        5
    """

    min_scale: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Least scale of a layer; the largest is its reciprocal."""


def autoregressive_layers(config: AutoregressiveFlowConfig, transformer: Transformer, *, rngs: nnx.Rngs) -> list:
    """The layers that ``config`` describes."""
    places = tuple(range(config.input_dim))
    alternating = [places if i % 2 == 0 else places[::-1] for i in range(config.num_transforms)]
    return [
        MaskedAutoregressive(
            order,
            transformer,
            config.hidden_dims,
            n_condition=config.condition_dim or 0,
            activation=config.activation,
            rngs=rngs,
        )
        for order in config.given_orderings() or alternating
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
        layers = autoregressive_layers(config, AffineTransformer(config.min_scale), rngs=rngs)
        super().__init__(config, Chain(layers), rngs=rngs)
