"""Every config class of whatever is installed, by name: ``from artifex.generative_models.core.configuration import VAEConfig``.

Our own come from a small static table, other people's from the entries of their plugins. Nothing is imported before it is
asked for. A name that ends in ``Config`` and cannot be had raises :class:`ImportError`, which says why; Python would replace
the message of an ``AttributeError`` in ``from ... import``. The configs of one family also stand in a module of their own
(``vae_config``, ``gan_config`` …), which a family that is not installed has too: it names the distribution.
"""

from __future__ import annotations

import difflib
from typing import Any

from artifex.core import plugins
from artifex.core.errors import PluginConflictError
from artifex.core.plugins.index import CONFIG_HOME
from artifex.generative_models.core.configuration._family import is_installed, our_own

BASE = "BaseConfig"
"""What the documents call :class:`artifex.core.config.Config`, which every config class derives from."""


def __getattr__(name: str) -> Any:
    if name in CONFIG_HOME:
        return our_own(name)
    if name == BASE:
        from artifex.core.config import Config

        return Config
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
    ours = {name for name, (_, distribution) in CONFIG_HOME.items() if is_installed(distribution)}
    return sorted({target.rpartition(":")[2] for target in _registered_configs()} | ours | {BASE})


def _registered_configs() -> list[str]:
    registry = plugins.registry()
    return [entry.config for kind in plugins.KINDS for entry, _ in registry.entries(kind) if hasattr(entry, "config")]
