"""A model as a structure and its arrays, remembered from call to call.

``flax.nnx.split`` walks through the whole model, at some hundredths of a millisecond for each of its parts: more than many a
compiled program takes. What it found last time still holds if every module has the attributes that it had, the very same
objects, and every variable the metadata; only the variables' values have to be read anew.
"""

from __future__ import annotations

import weakref
from operator import is_
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

__all__ = ["take_apart"]


class _Known(NamedTuple):
    """What was found, and what it was found from."""

    graph: nnx.GraphDef[Any]
    structure: Any
    """Of the state, as a tree."""
    variables: tuple[nnx.Variable[Any], ...]
    """Its leaves."""
    metadata: tuple[dict[str, Any], ...]
    """Of each variable."""
    own: tuple[Any, ...]
    """Attributes of the model itself."""
    inner: tuple[tuple[nnx.Pytree, tuple[Any, ...]], ...]
    """Every module below it, and its attributes."""

    def holds(self, model: nnx.Module) -> bool:
        """Whether nothing but values has changed."""
        return (
            _same(model, self.own)
            and all(_same(module, attributes) for module, attributes in self.inner)
            and all(v.get_metadata() == known for v, known in zip(self.variables, self.metadata, strict=True))
        )


_known: weakref.WeakKeyDictionary[nnx.Module, _Known] = weakref.WeakKeyDictionary()


def take_apart(model: nnx.Module) -> tuple[nnx.GraphDef[Any], Any]:
    """The structure of a model, and its variables' values as a tree of arrays: what ``nnx.merge`` puts together again.

    Example:
        >>> layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> graph, state = take_apart(layer)
        >>> state["kernel"] is layer.kernel[...]
        True
        >>> take_apart(layer)[0] is graph
        True
    """
    known = _known.get(model)
    if known is None or not known.holds(model):
        graph, split = nnx.split(model)
        state = nnx.as_pure(split)
        found = _remembered(model, graph, state)
        if found is None:
            _known.pop(model, None)
        else:
            _known[model] = found
        return graph, state
    return known.graph, jax.tree.unflatten(known.structure, [v.get_raw_value() for v in known.variables])


def _remembered(model: nnx.Module, graph: nnx.GraphDef[Any], state: Any) -> _Known | None:
    """What to remember; None for a model that holds arrays in other ways than as variables of modules."""
    variables: dict[tuple[str, ...], nnx.Variable[Any]] = {}
    modules: dict[int, nnx.Pytree] = {}
    if not _collect(model, (), variables, modules):
        return None
    leaves, structure = jax.tree.flatten_with_path(state)
    found = [(variables.get(tuple(str(getattr(key, "key", key)) for key in path)), leaf) for path, leaf in leaves]
    kept = tuple(variable for variable, leaf in found if variable is not None and variable.get_raw_value() is leaf)
    if len(kept) < len(leaves):
        return None
    return _Known(
        graph,
        structure,
        kept,
        tuple(dict(variable.get_metadata()) for variable in kept),
        tuple(vars(model).values()),
        tuple((module, tuple(vars(module).values())) for module in modules.values() if module is not model),
    )


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


def _same(module: nnx.Pytree, attributes: tuple[Any, ...]) -> bool:
    now = vars(module).values()
    return len(now) == len(attributes) and all(map(is_, now, attributes))
