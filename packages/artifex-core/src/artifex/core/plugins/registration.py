"""Registering in the process, for notebooks and scripts; what is to outlast it belongs into a plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from artifex.core.errors import InvalidTypeError
from artifex.core.plugins.entries import LiveTarget, ModelEntry
from artifex.core.plugins.registry import register_in_this_process

__all__ = ["register_model"]

C = TypeVar("C", bound=type)


def register_model(
    name: str,
    *,
    config: type,
    family: str = "",
    capabilities: tuple[str, ...] = (),
    paper: str = "",
    summary: str = "",
) -> Callable[[C], C]:
    """Decorator of a model's class: registers it in this process as a plugin's hook does for everybody.

    ``create_model``, run files, the trainer, ``save_model`` and ``load_model`` then know it, in this process; another one has
    to register it too before it loads such a model or resumes its run. Running the cell again replaces what it registered.

    Args:
        name: what run files call it.
        config: its config's class, which belongs to this model alone.
        family: what it is listed under.
        capabilities: names of the capability protocols it follows (``log_prob``, ``encode`` …).
        paper: authors and year, and where to find it.
        summary: one line for listings; by default the first line of the class's docstring.

    Raises:
        InvalidTypeError: the config is not a class made with ``@config``, or what is decorated is no class.
        PluginConflictError: a plugin has a model of that name, or another model has that config.

    >>> from flax import nnx
    >>> from artifex.core import create_model, register_model
    >>> from artifex.core.config import Config, config
    >>> @config
    ... class WidthConfig(Config):
    ...     width: int = 3
    >>> @register_model("only-a-width", config=WidthConfig)
    ... class Width(nnx.Module):
    ...     def __init__(self, config, *, rngs):
    ...         self.layer = nnx.Linear(config.width, 1, rngs=rngs)
    >>> type(create_model(WidthConfig(width=5), rngs=nnx.Rngs(0))).__name__
    'Width'
    """
    _check_config(name, config)

    def register(model: C) -> C:
        if not isinstance(model, type):
            raise InvalidTypeError(f"register_model({name!r}) decorates a model's class, got {type(model).__name__}: {model!r}")
        register_in_this_process(
            ModelEntry(
                name=name,
                model=LiveTarget(model),
                config=LiveTarget(config),
                family=family,
                capabilities=capabilities,
                paper=paper,
                summary=summary or (model.__doc__ or "").strip().partition("\n")[0],
            )
        )
        return model

    return register


def _check_config(name: str, config: object) -> None:
    from artifex.core.config import Config  # here, because a listing has no use for pydantic, which it imports

    if not (isinstance(config, type) and issubclass(config, Config)):
        raise InvalidTypeError(
            f"register_model({name!r}, config=...) takes the class of a config: one below artifex.core.config.Config with the "
            f"decorator @config; got {config!r}"
        )
    if "__pydantic_fields__" not in vars(config):
        raise InvalidTypeError(f"{config.__name__} lacks the decorator @config (artifex.core.config.config)")
