r"""The open slot of networks: what a diffusion model asks of a backbone, and what backbones share.

    F(x, t, c):   x a noisy example, t its time as the process tells it, c a class, a vector or a sequence of vectors, or none

A stranger's network plugs in as ours do: a :class:`BackboneConfig` of its own, a module that follows :class:`Backbone`, and a
``ComponentEntry(slot="diffusion_network", ...)``.

Shapes: ``B = batch, ... = one example, S = length of a sequence, C = width of a condition``.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol, runtime_checkable

from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.diffusion.processes import named

__all__ = ["Backbone", "BackboneConfig", "BackboneField", "PositiveInt", "create_network"]

PositiveInt = Annotated[int, Field(gt=0)]


@config
class BackboneConfig(Config):
    """Base of the configs of backbones; the registered name is the ``kind`` under ``diffusion_network``."""

    num_classes: PositiveInt | None = None
    """Classes that examples are conditioned on; None for none."""

    @property
    def condition_shape(self) -> tuple[int | None, ...] | None:
        """Shape of one example's condition, None in the place of any length: ``()`` for a class; None for no condition."""
        return None if self.num_classes is None else ()

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the network can take examples of this shape; the message names both."""


@runtime_checkable
class Backbone(Protocol):
    """What a model asks of its network, built as ``network(config, shape, *, with_null, dtype, param_dtype, rngs)``.

    ``shape`` is that of one example. Where a condition may be dropped (``with_null``), class ``num_classes`` is no class, and
    vectors of zeros are no condition.
    """

    config: Any

    def __call__(self, x: Float[Array, "B ..."], t: Float[Array, "B"], condition: Array | None = None) -> Float[Array, "B ..."]:
        """Of the shape of ``x``."""
        ...


BackboneField = Annotated[BackboneConfig, Registered("diffusion_network"), BeforeValidator(named)]
"""A config field that takes a backbone's config, or a dict with its ``kind``."""


def create_network(
    config: BackboneConfig,
    shape: tuple[int, ...],
    *,
    with_null: bool = False,
    dtype: DTypeLike | None = None,
    param_dtype: DTypeLike = "float32",
    rngs: nnx.Rngs,
) -> Any:
    """The network that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("diffusion_network", type(config))
    return plugins.resolve(entry.component)(config, shape, with_null=with_null, dtype=dtype, param_dtype=param_dtype, rngs=rngs)
