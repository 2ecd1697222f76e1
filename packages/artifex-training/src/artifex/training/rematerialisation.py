"""Modules that compute activations again in the backward pass instead of keeping them (Chen et al. 2016, arXiv:1604.06174)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.patterns import matches

__all__ = ["check_recomputed", "named_modules", "rematerialise"]

MOST_SHOWN = 12
"""Modules that a message names."""


_CALLED: set[tuple[type, str]] = set()
"""Classes, with the pattern that names the module, whose ``__call__`` has been traced. Kept for good: JAX does not trace again
what it has traced before."""


def rematerialise(model: nnx.Module, patterns: Sequence[str]) -> None:
    """Change the modules of ``model`` whose dotted names match one of ``patterns`` (``decoder.layers.*``), in place.

    Raises:
        InvalidInputError: a pattern matches no module.
    """
    modules = dict(named_modules(model))
    found = {pattern: _named_by(pattern, modules) for pattern in patterns}
    for name, module in modules.items():
        if by := tuple(pattern for pattern in patterns if name in found[pattern]):
            object.__setattr__(module, "__class__", _recomputing(type(module), by))


def check_recomputed(model: nnx.Module, patterns: Sequence[str]) -> None:
    """Refuse a pattern of which no module was called, once a step of the model has been traced.

    Only a module's ``__call__`` can be computed again: where its owner uses another method, or none, nothing would change.

    Args:
        model: as it is, without :func:`rematerialise`.
        patterns: what was given to that.

    Raises:
        InvalidInputError: it names the module.
    """
    modules = dict(named_modules(model))
    for pattern in patterns:
        found = _named_by(pattern, modules)
        if not any((type(modules[name]), pattern) in _CALLED for name in found):
            others = [name for name, module in modules.items() if name not in found and callable(module)]
            instead = f"; modules that can be called are {', '.join(others[:MOST_SHOWN])}" if others else ""
            raise InvalidInputError(
                f"remat: {pattern!r} would change nothing: a training step does not call {found[0]} "
                f"({type(modules[found[0]]).__name__}), or uses other methods of it than __call__{instead}"
            )


def _named_by(pattern: str, modules: Mapping[str, nnx.Module]) -> list[str]:
    found = [name for name in modules if matches(pattern, name)]  # `layers.*` is the blocks, not what is inside them
    if not found:
        known = ", ".join(list(modules)[:MOST_SHOWN]) + (" ..." if len(modules) > MOST_SHOWN else "")
        raise InvalidInputError(f"remat: {pattern!r} names no module; the model has {known or 'none'}")
    return found


def named_modules(module: Any, prefix: str = "") -> Iterator[tuple[str, nnx.Module]]:
    """Every module below ``module`` with its dotted name, outer ones first."""
    children = enumerate(module) if isinstance(module, nnx.List) else vars(module).items()
    for name, child in children:
        if isinstance(child, nnx.Module):
            yield f"{prefix}{name}", child
            yield from named_modules(child, f"{prefix}{name}.")


@cache
def _recomputing(cls: type, patterns: tuple[str, ...]) -> type:
    """``cls`` with a ``__call__`` that keeps its inputs only; a subclass, so the module stays what it was for its owner."""
    again = nnx.remat(lambda module, args, kwargs: cls.__call__(module, *args, **kwargs))

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        _CALLED.update((cls, pattern) for pattern in patterns)
        return again(self, args, kwargs)

    return type(cls)(cls.__name__, (cls,), {"__call__": call, "__module__": cls.__module__})
