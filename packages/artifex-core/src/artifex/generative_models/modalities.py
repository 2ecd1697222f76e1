"""Every modality of whatever is installed, by name: ``from artifex.generative_models.modalities import TabularModality``.

Each distribution fills the folder ``modalities/`` beside this file with an alias module of its own (``image``, ``tabular``),
and none of these folders may have an ``__init__.py``. This module stands for them all: a plain file, whose search path is the
folders of that name wherever the parent's own path leads. Our own modalities are found in a small static table, other people's
among the entries of their plugins; nothing is imported before it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifex.core import plugins
from artifex.core.errors import PluginConflictError
from artifex.core.plugins.index import MODALITY_HOME

_PARENT, _, _LAST = __name__.rpartition(".")


class _Folders:
    """The folders of this name, as the parent's path is now: what is installed later in the process counts too."""

    def __iter__(self) -> Iterator[str]:
        found = (Path(folder, _LAST) for folder in sys.modules[_PARENT].__path__)
        return (str(folder) for folder in found if folder.is_dir())


__path__: Any = _Folders()


def __getattr__(name: str) -> Any:
    if name in MODALITY_HOME:
        return _our_own(name)
    targets = sorted({target for target in _registered() if target.rpartition(":")[2] == name})
    if len(targets) > 1:
        raise PluginConflictError(
            f"several plugins have a modality called {name}: {', '.join(targets)}; import it from where it is defined"
        )
    if targets:
        return plugins.resolve(targets[0])
    if not name.endswith("Modality"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    stems = {known.removesuffix("Modality"): known for known in [*__dir__(), *MODALITY_HOME]}  # the ending alone is no likeness
    close = difflib.get_close_matches(name.removesuffix("Modality"), stems, n=1)
    hint = f"did you mean {stems[close[0]]}?" if close else f"installed: {', '.join(__dir__()) or 'none'}"
    raise ImportError(f"no installed distribution has a modality called {name}; {hint}", name=__name__)


def __dir__() -> list[str]:
    return sorted({target.rpartition(":")[2] for target in _registered()})


def _registered() -> list[str]:
    return [entry.modality for entry, _ in plugins.registry().entries("modality")]


def _our_own(name: str) -> Any:
    """A modality of ours, from the distribution that has it."""
    module, distribution = MODALITY_HOME[name]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ImportError(
            f"{name} is part of {distribution}, which is not installed: pip install {distribution}", name=__name__
        ) from error
