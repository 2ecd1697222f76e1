"""Where every array lives: a model's logical axes, a mesh and rules make a sharding for each parameter.

A parameter says what its axes mean in its metadata, ``nnx.with_metadata(init, logical_axes=("embed", "mlp"))``; rules say which
mesh axis divides which meaning; models know nothing of meshes.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from artifex.core.errors import InvalidInputError
from artifex.core.mesh import MESH_AXES

__all__ = ["DEFAULT_RULES", "batch_sharding", "create_sharded", "shard_like_params", "shardings"]

Rules = Mapping[str, str | None]
M = TypeVar("M", bound=nnx.Module)

DEFAULT_RULES: Rules = {
    "batch": "data",
    "conv_in": None,
    "conv_out": "tensor",
    "embed": None,
    "expert": "expert",
    "head_dim": None,
    "heads": "tensor",
    "layers": "pipeline",
    "mlp": "tensor",
    "vocab": "tensor",
}
"""Which mesh axis divides an axis of that meaning; a name that is not here stays whole."""

FSDP_MIN_WEIGHT_SIZE = 2**18


def shardings(
    abstract: Any, mesh: Mesh, rules: Rules = DEFAULT_RULES, *, fsdp_min_weight_size: int = FSDP_MIN_WEIGHT_SIZE
) -> Any:
    """A ``NamedSharding`` for every array of a model.

    An axis is divided by the mesh axis that the rules give its logical name, unless its size is not a multiple of it. Where the
    mesh's ``fsdp`` axis has more than one device, the largest axis still whole is divided by it, in arrays of at least
    ``fsdp_min_weight_size`` elements. Scalars and random streams are on every device.

    Args:
        abstract: a module, a state or any tree of ``nnx.Variable``; abstract (``nnx.eval_shape``) or real.
        mesh: its axes need not be all of :data:`artifex.core.mesh.MESH_AXES`; one that is missing counts as of size one.
        rules: logical name to mesh axis, or to ``None``.
        fsdp_min_weight_size: in elements.

    Returns:
        The same tree with a sharding in the place of each variable: what ``nnx.as_pure`` of the state looks like.

    Raises:
        InvalidInputError: logical axes that do not match an array's shape, or a rule that names no mesh axis.
    """
    _check_rules(rules, mesh)
    tree = nnx.state(abstract) if isinstance(abstract, nnx.Module) else abstract

    def place(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        value = leaf.get_value() if isinstance(leaf, nnx.Variable) else leaf
        names = leaf.get_metadata().get("logical_axes") if isinstance(leaf, nnx.Variable) else None
        if isinstance(leaf, nnx.RngState) or jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return NamedSharding(mesh, PartitionSpec())
        if names is not None and len(names) != len(value.shape):
            raise InvalidInputError(
                f"{jax.tree_util.keystr(path)} has shape {tuple(value.shape)} and logical axes {names}: one name an axis, "
                "None where an axis has none."
            )
        return NamedSharding(mesh, _spec(value.shape, names or (None,) * len(value.shape), mesh, rules, fsdp_min_weight_size))

    return jax.tree_util.tree_map_with_path(place, tree, is_leaf=lambda node: isinstance(node, nnx.Variable))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Divides the leading axis of a batch over the ``data`` and ``fsdp`` axes of the mesh."""
    return NamedSharding(mesh, PartitionSpec(tuple(axis for axis in ("data", "fsdp") if axis in mesh.shape)))


def create_sharded(
    init: Callable[[], M], mesh: Mesh, rules: Rules = DEFAULT_RULES, *, fsdp_min_weight_size: int = FSDP_MIN_WEIGHT_SIZE
) -> M:
    """The model that ``init()`` makes, each array created where it belongs and never whole on one device.

    The values are those of ``jax.jit`` on one device, to the last bit.

    Args:
        init: makes the model and its streams: ``lambda: VAE(config, rngs=nnx.Rngs(0))``.
        mesh: as in :func:`shardings`, and so the rest.
        rules: logical name to mesh axis, or to ``None``.
        fsdp_min_weight_size: in elements.
    """
    graph, abstract = nnx.split(nnx.eval_shape(init))
    places = shardings(abstract, mesh, rules, fsdp_min_weight_size=fsdp_min_weight_size)
    return nnx.merge(graph, jax.jit(lambda: nnx.as_pure(nnx.state(init())), out_shardings=places)())


def shard_like_params(optimizer_state: Any, params: Any, param_shardings: Any) -> Any:
    """Shardings for an optimiser's state: what belongs to a parameter lies where the parameter lies.

    An array belongs to the parameter whose path ends its own path (``[0].mu['decoder']['kernel']``, the longest such) and whose
    shape it has. All else, counters and factored moments for instance, is on every device.

    Args:
        optimizer_state: the state, abstract (``jax.eval_shape(optimizer.init, params)``) or real.
        params: the parameters that it was made for, abstract or real, as a tree of arrays.
        param_shardings: a sharding for each, in the same tree.

    Raises:
        InvalidInputError: there is no parameter.
    """
    known = {
        _keys(path): (tuple(leaf.shape), sharding)
        for (path, leaf), sharding in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(param_shardings), strict=True
        )
    }
    if not known:
        raise InvalidInputError(
            "shard_like_params was given no parameter; pass the tree that the optimiser was initialised with."
        )
    replicated = NamedSharding(next(iter(known.values()))[1].mesh, PartitionSpec())

    def place(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        keys = _keys(path)
        for start in range(len(keys) + 1):  # longest ending first
            if keys[start:] in known:
                shape, sharding = known[keys[start:]]
                return sharding if shape == tuple(leaf.shape) else replicated
        return replicated

    return jax.tree_util.tree_map_with_path(place, optimizer_state)


def _spec(
    shape: Sequence[int], names: Sequence[str | None], mesh: Mesh, rules: Rules, fsdp_min_weight_size: int
) -> PartitionSpec:
    spec: list[str | None] = [None] * len(shape)
    for i, (size, name) in enumerate(zip(shape, names, strict=True)):
        axis = rules.get(name) if name is not None else None
        if axis is not None and axis not in spec and mesh.shape.get(axis, 1) > 1 and size % mesh.shape[axis] == 0:
            spec[i] = axis
    fsdp = mesh.shape.get("fsdp", 1)
    free = [i for i, size in enumerate(shape) if spec[i] is None and size % fsdp == 0]
    if fsdp > 1 and "fsdp" not in spec and free and math.prod(shape) >= fsdp_min_weight_size:
        spec[max(free, key=lambda i: shape[i])] = "fsdp"
    return PartitionSpec(*spec)


def _check_rules(rules: Rules, mesh: Mesh) -> None:
    for name, axis in rules.items():
        if axis is not None and axis not in mesh.shape and axis not in MESH_AXES:
            close = difflib.get_close_matches(axis, MESH_AXES, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"The axes are {', '.join(MESH_AXES)}."
            raise InvalidInputError(f"The rule {name!r} -> {axis!r} names no axis of a mesh. {hint}")


def _keys(path: tuple[Any, ...]) -> tuple[str, ...]:
    """The path as plain names, whatever kind of container each step went through."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)
