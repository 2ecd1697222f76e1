"""Building models from their configs: the config's type says which model it is."""

from __future__ import annotations

from typing import Any

from flax import nnx

from artifex.core import plugins
from artifex.core.config import Config
from artifex.core.errors import InvalidTypeError

__all__ = ["create_model", "model_class"]


def model_class(config: Config) -> Any:
    """The class of the model that ``config`` describes, found by the config's type among the installed plugins."""
    if not isinstance(config, Config):
        raise InvalidTypeError(
            f"create_model takes a model's config, built, such as VAEConfig(...); got {type(config).__name__}: {config!r}"
        )
    return plugins.resolve(plugins.registry().entry_of_config("model", type(config)).model)


def create_model(config: Config, *, rngs: nnx.Rngs) -> Any:
    """Build the model that ``config`` describes.

    Args:
        config: any registered model's config.
        rngs: random streams: ``params`` initialises, the others are kept as the model's own (``default`` stands in for all).

    Raises:
        InvalidTypeError: ``config`` is not a config, or ``rngs`` no :class:`flax.nnx.Rngs`.
        UnknownNameError: no installed plugin registers a model for this type of config.
        PluginConflictError: several do.
    """
    model = model_class(config)
    if not isinstance(rngs, nnx.Rngs):
        raise InvalidTypeError(f"create_model takes rngs=nnx.Rngs(seed), got {type(rngs).__name__}: {rngs!r}")
    return model(config, rngs=rngs)
