"""Lazy public names (PEP 562): a package lists what it offers, and nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def attach(module: str, names: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` for ``module``, whose public names map to the modules that define them.

    A name that maps to its own module's path (``"losses": "artifex.vae.losses"``) hands on the module itself.
    """

    def __getattr__(name: str) -> object:
        try:
            home = names[name]
        except KeyError:
            raise AttributeError(f"module {module!r} has no attribute {name!r}") from None
        imported = importlib.import_module(home)
        value = imported if home == f"{module}.{name}" else getattr(imported, name)
        setattr(sys.modules[module], name, value)
        return value

    return __getattr__, lambda: sorted(names), sorted(names)
