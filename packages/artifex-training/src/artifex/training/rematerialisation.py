"""Modules that compute activations again in the backward pass instead of keeping them (Chen et al. 2016, arXiv:1604.06174)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.patterns import matches

__all__ = ["named_modules", "rematerialise"]


def rematerialise(model: nnx.Module, patterns: Sequence[str]) -> None:
    """Change the modules of ``model`` whose dotted names match one of ``patterns`` (``decoder.layers.*``), in place.

    Raises:
        InvalidInputError: a pattern matches no module.
    """
    modules = dict(named_modules(model))
    for pattern in patterns:
        found = [name for name in modules if matches(pattern, name)]  # `layers.*` is the blocks, not what is inside them
        if not found:
            known = ", ".join(list(modules)[:12]) + (" ..." if len(modules) > 12 else "")
            raise InvalidInputError(f"remat: {pattern!r} names no module; the model has {known or 'none'}")
        for name in found:
            object.__setattr__(modules[name], "__class__", _recomputing(type(modules[name])))


def named_modules(module: Any, prefix: str = "") -> Iterator[tuple[str, nnx.Module]]:
    """Every module below ``module`` with its dotted name, outer ones first."""
    children = enumerate(module) if isinstance(module, nnx.List) else vars(module).items()
    for name, child in children:
        if isinstance(child, nnx.Module):
            yield f"{prefix}{name}", child
            yield from named_modules(child, f"{prefix}{name}.")


@cache
def _recomputing(cls: type) -> type:
    """``cls`` with a ``__call__`` that keeps its inputs only; a subclass, so the module stays what it was for its owner."""
    again = nnx.remat(lambda module, args, kwargs: cls.__call__(module, *args, **kwargs))
    call = {"__call__": lambda self, *args, **kwargs: again(self, args, kwargs), "__module__": cls.__module__}
    return type(cls)(cls.__name__, (cls,), call)
