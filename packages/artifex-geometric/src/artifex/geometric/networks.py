"""The open slot ``geometric_network``: what maps points with features to vectors and features.

A stranger's network plugs in as ours do: a :class:`GeometricNetworkConfig` of its own, a class that follows
:class:`GeometricNetwork`, and a ``ComponentEntry(slot="geometric_network", ...)``.

Shapes: ``B`` batch, ``N`` points, ``I`` features that come in, ``O`` that go out.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float
from pydantic import BeforeValidator

from artifex.core import plugins
from artifex.core.config import Config, Registered, config

__all__ = ["GeometricNetwork", "GeometricNetworkConfig", "NetworkField", "check_equivariant", "create_network"]


@config
class GeometricNetworkConfig(Config):
    """Base of the configs of geometric networks; the registered name is the ``kind`` in a model's ``network``."""

    equivariant: ClassVar[bool] = False
    """Whether vectors turn with the points, and features do not."""


@runtime_checkable
class GeometricNetwork(Protocol):
    """What models ask of a network, built as ``network(config, *, in_features, out_features, param_dtype, rngs)``.

    ``dtype`` is given beside those where a model's config has one: what hidden layers compute in.
    """

    def __call__(
        self, points: Float[Array, "B N 3"], features: Float[Array, "B N I"], mask: Bool[Array, "B N"]
    ) -> tuple[Float[Array, "B N 3"], Float[Array, "B N O"]]:
        """A vector and new features for each point; zero in padded places, where the arguments are zero too."""
        ...


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


NetworkField = Annotated[GeometricNetworkConfig, Registered("geometric_network"), BeforeValidator(_named)]
"""A config field that takes a network's config, a dict with its ``kind``, or just its name."""


def create_network(
    config: GeometricNetworkConfig,
    *,
    in_features: int,
    out_features: int,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
) -> Any:
    """The network that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("geometric_network", type(config))
    made: dict[str, Any] = {"param_dtype": param_dtype, "rngs": rngs} | ({} if dtype is None else {"dtype": dtype})
    return plugins.resolve(entry.component)(config, in_features=in_features, out_features=out_features, **made)


def check_equivariant(network: GeometricNetworkConfig, model: str) -> None:
    """Refuse a network that would break what a model promises.

    Raises:
        ValueError: its vectors do not turn with the points.
    """
    if not type(network).equivariant:
        raise ValueError(
            f"{model} is equivariant under rotation, and {type(network).__name__} is not; use egnn, or "
            "invariant_point_attention for chains"
        )
