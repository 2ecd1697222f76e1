r"""Neural spline flows.

Durkan et al. 2019 (arXiv:1906.04032): coupling or autoregressive layers whose elements go through monotone rational-quadratic
splines (:mod:`artifex.flow.bijections.spline`). Data should be standardised: splines act on ``[-bound, bound]``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from flax import nnx
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.flow.bijections import Chain, Coupling, SplineTransformer
from artifex.flow.flow import Flow
from artifex.flow.maf import AutoregressiveFlowConfig, autoregressive_layers

__all__ = ["NeuralSplineFlow", "NeuralSplineFlowConfig"]


@config
class NeuralSplineFlowConfig(AutoregressiveFlowConfig):
    """A neural spline flow.

    Example:
        >>> NeuralSplineFlowConfig(input_dim=2, layer="coupling", bins=16).bound
        5.0
    """

    layer: Literal["autoregressive", "coupling"] = "autoregressive"
    """Autoregressive layers fit better and take one pass a density; coupling layers take one pass both ways."""
    bins: Annotated[int, Field(ge=2)] = 8
    """Bins of each spline."""
    bound: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    """Splines act between minus this and this; outside they are the identity."""
    min_slope: Annotated[float, Field(ge=1e-6, lt=1)] = 0.03
    """Least slope at a knot, from data to base. A smaller one lets the density fall faster, at the cost of the way back."""
    max_slope: Annotated[float, Field(gt=1, le=1e6)] = 1e3
    """Largest slope at a knot, from data to base."""

    def __post_init__(self) -> None:
        AutoregressiveFlowConfig.__post_init__(self)
        if self.layer == "coupling":
            self._check_coupling()

    def _check_coupling(self) -> None:
        if self.input_dim < 2:
            raise ValueError(
                f"layer 'coupling' needs an input_dim of at least 2, got {self.input_dim}: one element steers another; "
                "use layer 'autoregressive'"
            )
        if self.num_transforms < 2:
            raise ValueError("one layer 'coupling' leaves elements untouched; make num_transforms at least 2")
        if self.bias_gain is not None:
            raise ValueError(f"bias_gain is {self.bias_gain}; the networks of a coupling flow have none, leave it out")
        if isinstance(self.ordering, tuple):
            raise ValueError(
                f"ordering is {self.ordering}; the layers of a coupling flow have no such orders, use 'alternating' or 'random'"
            )


class NeuralSplineFlow(Flow):
    """A neural spline flow, coupling or autoregressive.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`NeuralSplineFlowConfig`.

    Example:
        >>> import jax.numpy as jnp
        >>> model = NeuralSplineFlow(NeuralSplineFlowConfig(input_dim=2, num_transforms=2), rngs=nnx.Rngs(0))
        >>> model.log_prob(jnp.zeros((3, 2))).shape, model.sample(5).shape
        ((3,), (5, 2))
    """

    def __init__(self, config: NeuralSplineFlowConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, NeuralSplineFlowConfig):
            raise InvalidTypeError(f"NeuralSplineFlow takes a NeuralSplineFlowConfig, got {type(config).__name__}: {config!r}")
        spline = SplineTransformer(config.bins, config.bound, config.min_slope, config.max_slope)
        if config.layer == "autoregressive":
            layers = autoregressive_layers(config, spline, rngs=rngs)
        else:
            layers = _coupling_layers(config, spline, rngs=rngs)
        super().__init__(config, Chain(layers), rngs=rngs)


def _coupling_layers(config: NeuralSplineFlowConfig, spline: SplineTransformer, *, rngs: nnx.Rngs) -> list[Coupling]:
    """Every other element, in stored order or in one drawn for each pair of layers, steers the rest; then the rest those."""
    return [
        Coupling(
            [(place + i) % 2 == 1 for place in config.order_of(i - i % 2)],
            spline,
            config.hidden_dims,
            n_condition=config.condition_dim or 0,
            activation=config.activation,
            reach=config.reach,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            rngs=rngs,
        )
        for i in range(config.num_transforms)
    ]
