"""The documented module of one family's configs (``vae_config``): answered from the index, be the family there or not."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

from artifex.core.plugins.index import CONFIG_HOME, CONFIG_MODULES

__all__ = ["attach", "is_installed", "our_own"]


def attach(module: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of ``module``, whose last name is one of :data:`CONFIG_MODULES`.

    A name that ends in ``Config`` and cannot be had raises :class:`ImportError`, which says why; Python would replace the
    message of an ``AttributeError`` in ``from ... import``.
    """
    last = module.rpartition(".")[2]
    distribution = CONFIG_MODULES[last]

    def names() -> list[str]:
        return (
            sorted(name for name, (_, home) in CONFIG_HOME.items() if home == distribution)
            if is_installed(distribution)
            else []
        )

    def get(name: str) -> Any:
        if CONFIG_HOME.get(name, ("", ""))[1] == distribution:
            return our_own(name)
        if not name.endswith("Config"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if not is_installed(distribution):
            raise ImportError(_missing(f"{last} hands on the configs of {distribution}", distribution), name=module)
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(names()) or 'none'}"
        raise ImportError(f"{distribution} has no config called {name}; {hint}", name=module)

    return get, names


def our_own(name: str) -> Any:
    """A config class of ours, from the distribution that has it."""
    module, distribution = CONFIG_HOME[name]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ImportError(_missing(f"{name} is part of {distribution}", distribution), name=module) from error


def _missing(what: str, distribution: str) -> str:
    return f"{what}, which is not installed: pip install {distribution}"


def is_installed(distribution: str) -> bool:
    """Whether ``distribution`` is there."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
