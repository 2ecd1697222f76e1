"""The state of training as one pytree of arrays, and the way between it and a model."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.frozen import Frozen
from artifex.training.rematerialisation import rematerialise

__all__ = ["Arrays", "Flat", "ModelParts", "StateForm", "TrainState", "Variables", "dotted"]

Flat = dict[str, Any]
"""Arrays (or what belongs to each) under dotted keys, ``decoder.head.kernel``."""
Arrays = tuple[tuple[Any, ...], tuple[Any, ...]]
"""What a state consists of: all but the parameters, and the parameters."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that a step changes. A step takes the arrays' memory for the next state: copy what is to be kept.

    On CPUs it leaves the parameters alone, which XLA would copy first wherever a backward pass needs them once more.
    """

    step: Any
    """Steps done, int32."""
    params: Flat
    """The model's parameters."""
    model_state: Flat
    """The model's other variables (running averages, codebooks), random streams apart."""
    opt: tuple[Any, ...]
    """One optimiser state for each objective."""
    ema: Flat
    """Exponential moving average of the parameters; empty when there is none."""
    sums: Flat
    """Sums of the logged scalars since they were last read."""
    summed: Any
    """How many steps ``sums`` covers, int32."""
    bad_step: Any
    """First step, counted from 1, whose loss was not finite; -1 while there is none."""

    replace = replace


class StateForm:
    """The way between a state and the plain tuples of its arrays, which a compiled step takes and gives.

    Flattening and unflattening a state of hundreds of arrays at every step would cost more than handing them over.
    """

    def __init__(self, state: TrainState):
        self._others, self._params = jax.tree.structure(state.replace(params={})), jax.tree.structure(state.params)

    @staticmethod
    def flatten(state: TrainState) -> Arrays:
        """The arrays, or what stands in their place."""
        return tuple(jax.tree.leaves(state.replace(params={}))), tuple(jax.tree.leaves(state.params))

    def unflatten(self, arrays: Arrays) -> TrainState:
        """The state of these arrays."""
        others, params = arrays
        return jax.tree.unflatten(self._others, others).replace(params=jax.tree.unflatten(self._params, params))


def dotted(state: Any) -> Flat:
    """An nnx state under dotted keys."""
    return {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.as_pure(state))}


class Variables(NamedTuple):
    """A model's variables, random streams apart."""

    params: Flat
    """Those that are trained."""
    frozen: Flat
    """Those that nothing ever changes."""
    model_state: Flat
    """Running averages, codebooks, sample buffers: what a forward pass may move."""


class ModelParts:
    """A model's structure and the shapes of its variables, and a way to put it together around other ones.

    It holds none of the model's arrays but those of its random streams.

    Args:
        model: as it is, or abstract (``nnx.eval_shape``).
        frozen: whether the parameter of a dotted name is left as it is; :class:`artifex.core.frozen.Frozen` ones always are.
    """

    def __init__(self, model: nnx.Module, frozen: Callable[[str], bool] = lambda _: False):
        self.graphdef, streams, _ = nnx.split(model, nnx.RngState, ...)
        self._streams = dict(nnx.to_flat_state(nnx.as_pure(streams)))
        self._is_frozen = frozen
        self._paths = {".".join(map(str, path)): path for path, _ in nnx.to_flat_state(nnx.state(model))}
        self.shapes = Variables(*map(_shapes, self.variables_of(model)))

    def variables_of(self, model: Any) -> Variables:
        """The variables of ``model``, which has this structure."""
        params, constants, model_state = nnx.state(model, nnx.Param, Frozen, nnx.Not(nnx.RngState))
        named = dotted(params)
        frozen = {name: leaf for name, leaf in named.items() if self._is_frozen(name)}
        trained = {name: leaf for name, leaf in named.items() if name not in frozen}
        return Variables(trained, frozen | dotted(constants), dotted(model_state))

    def assemble(self, variables: Variables, key: jax.Array, *, train: bool, remat: Sequence[str] = ()) -> Any:
        """The model with these variables, in training or evaluation mode.

        Its own random streams start afresh from ``key``: a layer that draws from them sees new noise at every step. The modules
        that ``remat`` names compute their activations again in the backward pass.
        """
        streams = {path: _fresh_stream(path, leaf, key) for path, leaf in self._streams.items()}
        model = nnx.merge(self.graphdef, nnx.from_flat_state(streams), self._nested(variables))
        model = nnx.view(model, deterministic=not train, use_running_average=not train, raise_if_not_found=False)
        rematerialise(model, remat)
        return model

    def write_back(self, model: nnx.Module, *flats: Flat) -> None:
        """Put variables into ``model``, in place."""
        nnx.update(model, self._nested(flats))

    def _nested(self, flats: Iterable[Flat]) -> Any:
        return nnx.from_flat_state({self._paths[name]: leaf for flat in flats for name, leaf in flat.items()})


def _shapes(flat: Flat) -> Flat:
    return {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in flat.items()}


def _fresh_stream(path: tuple[Any, ...], leaf: jax.Array, key: jax.Array) -> jax.Array:
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.zeros_like(leaf)  # a stream's count
    named = jax.random.fold_in(key, zlib.crc32(".".join(map(str, path)).encode()))
    return jax.random.split(named, leaf.shape) if leaf.ndim else named
