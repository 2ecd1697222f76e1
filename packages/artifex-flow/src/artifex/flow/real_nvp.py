r"""Real NVP.

Dinh et al. 2016, "Density estimation using Real NVP" (arXiv:1605.08803): affine coupling layers
(:mod:`artifex.flow.bijections.coupling`) whose masks take turns, so that every element is transformed and steers others.
"""

from __future__ import annotations

from typing import Annotated

from flax import nnx
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidTypeError
from artifex.core.nn import activation as activation_named
from artifex.flow.bijections import AffineTransformer, Chain, Coupling
from artifex.flow.flow import Flow, FlowConfig, PositiveInt
from artifex.flow.layers import ReachField

__all__ = ["CouplingNetworkConfig", "RealNVP", "RealNVPConfig"]


@config
class CouplingNetworkConfig(Config):
    """The network that steers a coupling layer."""

    hidden_dims: tuple[PositiveInt, ...] = (64, 64)
    """Widths of the hidden layers."""
    activation: str = "relu"
    """Name of the nonlinearity."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built


@config
class RealNVPConfig(FlowConfig):
    """A Real NVP.

    Example:
        >>> made = RealNVPConfig(
        ...     name="moons", input_dim=2, num_coupling_layers=8, coupling_network=CouplingNetworkConfig(hidden_dims=[128])
        ... )
        >>> made.coupling_network.activation
        'relu'
    """

    num_coupling_layers: Annotated[int, Field(ge=2)] = 8
    """How many coupling layers; two are needed for every element to be transformed."""
    coupling_network: CouplingNetworkConfig = CouplingNetworkConfig()
    """The network of each layer."""
    reach: ReachField = 3.0
    """Beyond this, the networks see an element ever less clearly, at most as 4/3 of this, so that what they make of far-out
    values stays tame; null for never. Data are expected to be standardised."""
    min_scale: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Least slope of a layer, from data to base. A smaller one lets the density fall faster, at the cost of the way back."""
    max_scale: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 1e3
    """Largest slope of a layer, from data to base."""

    def __post_init__(self) -> None:
        if self.input_dim < 2:
            raise ValueError(f"input_dim is {self.input_dim}; a coupling layer needs at least 2 elements, one to steer another")


class RealNVP(Flow):
    """A Real NVP on vectors.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`RealNVPConfig`.

    Example:
        >>> import jax.numpy as jnp
        >>> model = RealNVP(RealNVPConfig(input_dim=2), rngs=nnx.Rngs(0))
        >>> model.log_prob(jnp.zeros((3, 2))).shape, model.sample(5).shape
        ((3,), (5, 2))
    """

    def __init__(self, config: RealNVPConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, RealNVPConfig):
            raise InvalidTypeError(f"RealNVP takes a RealNVPConfig, got {type(config).__name__}: {config!r}")
        network = config.coupling_network
        layers = [
            Coupling(
                [(place + i) % 2 == 1 for place in range(config.input_dim)],
                AffineTransformer(config.min_scale, config.max_scale),
                network.hidden_dims,
                n_condition=config.condition_dim or 0,
                activation=network.activation,
                reach=config.reach,
                dtype=config.dtype,
                param_dtype=config.param_dtype,
                rngs=rngs,
            )
            for i in range(config.num_coupling_layers)
        ]
        super().__init__(config, Chain(layers), rngs=rngs)
