"""Every config class of whatever is installed, by name: ``from artifex.generative_models.core.configuration import VAEConfig``.

Our own come from a small static table, other people's from the entries of their plugins. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

from artifex.core import plugins
from artifex.core.plugins.index import CONFIG_HOME


def __getattr__(name: str) -> Any:
    if name in CONFIG_HOME:
        module, distribution = CONFIG_HOME[name]
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise
            raise ImportError(f"{name} is part of {distribution}, which is not installed: pip install {distribution}") from error
    for target in _registered_configs():
        if target.rpartition(":")[2] == name:
            return plugins.resolve(target)
    raise AttributeError(f"no installed distribution has a config called {name!r}; installed: {', '.join(__dir__())}")


def __dir__() -> list[str]:
    return sorted({target.rpartition(":")[2] for target in _registered_configs()} | set(CONFIG_HOME))


def _registered_configs() -> list[str]:
    registry = plugins.registry()
    return [entry.config for kind in plugins.KINDS for entry, _ in registry.entries(kind) if hasattr(entry, "config")]
