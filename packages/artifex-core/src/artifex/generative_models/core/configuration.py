"""Every config class of whatever is installed, by name: ``from artifex.generative_models.core.configuration import VAEConfig``.

Our own come from a small static table, other people's from the entries of their plugins. Nothing is imported before it is
asked for. A name that ends in ``Config`` and cannot be had raises :class:`ImportError`, which says why; Python would replace
the message of an ``AttributeError`` in ``from ... import``.
"""

from __future__ import annotations

import difflib
import importlib
from importlib import metadata
from typing import Any

from artifex.core import plugins
from artifex.core.errors import PluginConflictError
from artifex.core.plugins.index import CONFIG_HOME


def __getattr__(name: str) -> Any:
    if name in CONFIG_HOME:
        return _our_own(name)
    targets = sorted({target for target in _registered_configs() if target.rpartition(":")[2] == name})
    found = [plugins.resolve(target) for target in targets]
    if any(cls is not found[0] for cls in found):
        raise PluginConflictError(
            f"several plugins have a config called {name}: {', '.join(targets)}; import it from where it is defined"
        )
    if found:
        return found[0]
    if not name.endswith("Config"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    stems = {known.removesuffix("Config"): known for known in [*__dir__(), *CONFIG_HOME]}  # the ending alone is no likeness
    close = difflib.get_close_matches(name.removesuffix("Config"), stems, n=1)
    hint = f"did you mean {stems[close[0]]}?" if close else f"installed: {', '.join(__dir__())}"
    raise ImportError(f"no installed distribution has a config called {name}; {hint}", name=__name__)


def __dir__() -> list[str]:
    ours = {name for name, (_, distribution) in CONFIG_HOME.items() if _is_installed(distribution)}
    return sorted({target.rpartition(":")[2] for target in _registered_configs()} | ours)


def _our_own(name: str) -> Any:
    """A config class of ours, from the distribution that has it."""
    module, distribution = CONFIG_HOME[name]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        message = f"{name} is part of {distribution}, which is not installed: pip install {distribution}"
        raise ImportError(message, name=module) from error


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _registered_configs() -> list[str]:
    registry = plugins.registry()
    return [entry.config for kind in plugins.KINDS for entry, _ in registry.entries(kind) if hasattr(entry, "config")]
