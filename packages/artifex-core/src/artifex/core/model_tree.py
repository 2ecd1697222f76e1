"""A model as a structure and its arrays, remembered from call to call.

``flax.nnx.split`` walks through the whole model, at some hundredths of a millisecond for each of its parts: more than many a
compiled program takes. What it found last time still holds if every module has the attributes that it had, the very same
objects, and every variable the metadata; only the variables' values have to be read anew.
"""

from __future__ import annotations

import weakref
from operator import is_
from types import MethodType
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

__all__ = ["flatten"]


class _Known(NamedTuple):
    """What was found, and what it was found from."""

    graph: nnx.GraphDef[Any]
    structure: Any
    """Of the state, as a tree."""
    variables: tuple[nnx.Variable[Any], ...]
    """Its leaves."""
    kinds: tuple[tuple[type, dict[str, Any]], ...]
    """Type and metadata of each variable."""
    own: dict[str, Any]
    """Attributes of the model itself."""
    inner: tuple[tuple[nnx.Pytree, dict[str, Any]], ...]
    """Every module below it, and its attributes."""

    def holds(self, model: nnx.Module) -> bool:
        """Whether nothing but values has changed."""
        return (
            _same(model, self.own)
            and all(_same(module, attributes) for module, attributes in self.inner)
            and all(_kind(v) == kind for v, kind in zip(self.variables, self.kinds, strict=True))
        )


_known: dict[int, tuple[weakref.ref[nnx.Module], _Known]] = {}
"""By the model's ``id``, because not every model can be hashed; the reference drops the entry when the model goes."""


def flatten(model: nnx.Module) -> tuple[nnx.GraphDef[Any], Any]:
    """The structure of a model, and its variables' values as a tree of arrays: what ``nnx.merge`` puts together again.

    Example:
        >>> layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> graph, state = flatten(layer)
        >>> state["kernel"] is layer.kernel[...]
        True
        >>> flatten(layer)[0] is graph
        True
    """
    key = id(model)
    reference, known = _known.get(key, (None, None))
    if known is not None and reference is not None and reference() is model and known.holds(model):
        return known.graph, jax.tree.unflatten(known.structure, [v.get_raw_value() for v in known.variables])
    graph, split = nnx.split(model)
    state = nnx.as_pure(split)
    _known.pop(key, None)
    found = _remembered(model, graph, state)
    if found is not None:
        _known[key] = weakref.ref(model, lambda _: _known.pop(key, None)), found
    return graph, state


def _remembered(model: nnx.Module, graph: nnx.GraphDef[Any], state: Any) -> _Known | None:
    """What to remember; None for a model that holds arrays in other ways than as variables of modules, or holds itself."""
    variables: dict[tuple[str, ...], nnx.Variable[Any]] = {}
    modules: dict[int, nnx.Pytree] = {}
    if not _collect(model, (), variables, modules):
        return None
    leaves, structure = jax.tree.flatten_with_path(state)
    found = [(variables.get(tuple(str(getattr(key, "key", key)) for key in path)), leaf) for path, leaf in leaves]
    kept = tuple(variable for variable, leaf in found if variable is not None and variable.get_raw_value() is leaf)
    if len(kept) < len(leaves) or {id(v) for v in variables.values()} != {id(v) for v in kept}:  # some may hold no array
        return None
    inner = tuple((module, dict(vars(module))) for module in modules.values() if module is not model)
    if any(_refers(value, model) for _, attributes in (*inner, (model, vars(model))) for value in attributes.values()):
        return None
    return _Known(
        graph,
        structure,
        kept,
        tuple(map(_kind, kept)),
        dict(vars(model)),
        inner,
    )


def _kind(variable: nnx.Variable[Any]) -> tuple[type, dict[str, Any]]:
    return type(variable), dict(variable.get_metadata())


def _refers(value: Any, model: nnx.Module) -> bool:
    """Whether an attribute is the model or a method of it: what is remembered would keep the model alive."""
    return value is model or (isinstance(value, MethodType) and value.__self__ is model)


def _collect(
    module: nnx.Pytree,
    path: tuple[str, ...],
    variables: dict[tuple[str, ...], nnx.Variable[Any]],
    modules: dict[int, nnx.Pytree],
) -> bool:
    """Find all variables by their paths, and all modules; False if there is anything else that is not fixed."""
    modules[id(module)] = module
    for name, value in vars(module).items():
        here = (*path, name)
        if isinstance(value, nnx.Variable):
            variables[here] = value
        elif isinstance(value, nnx.Pytree):
            if id(value) not in modules and not _collect(value, here, variables, modules):
                return False
        elif not (name.startswith("_pytree__") or _fixed(value)):
            return False
    return True


def _fixed(value: Any) -> bool:
    """Whether a value can neither change in place nor hold what can."""
    if isinstance(value, tuple):
        return all(map(_fixed, value))
    return value is None or (jax.tree_util.all_leaves([value]) and not isinstance(value, jax.Array | np.ndarray))


def _same(module: nnx.Pytree, attributes: dict[str, Any]) -> bool:
    now = vars(module)
    return len(now) == len(attributes) and all(map(is_, now.values(), attributes.values())) and tuple(now) == tuple(attributes)
