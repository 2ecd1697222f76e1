"""Functions of a model over batches, compiled once for each size: the weights are arguments, rows lie over a mesh.

The last batch is filled up with its last row, and what is computed of that is cut off: one program does for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["Programs", "filled"]

Function = Callable[[Any, dict[str, Any]], Any]
"""``(model, batch) -> rows (B, ...)``."""


class Programs:
    """What is computed of a model.

    Args:
        model: the model; None where there is none.
        key: of all draws; that of example ``i`` is ``fold_in(key, i)``.
        mesh: devices over all of which the rows of a batch are laid; None for one device.
    """

    def __init__(self, model: Any, key: jax.Array, mesh: Mesh | None = None):
        self.model, self._key, self.mesh = model, key, mesh
        self._graph, state = nnx.split(model) if isinstance(model, nnx.Module) else (None, {})
        self._state = state if mesh is None else jax.device_put(state, NamedSharding(mesh, PartitionSpec()))
        self._compiled: dict[Any, Any] = {}
        self._eager: set[Any] = set()

    def rows(self, name: Any, function: Function, batch: Mapping[str, Any], *, first: int, size: int, rngs: bool) -> np.ndarray:
        """``function`` of a batch, on the host.

        Args:
            name: the program's, unique to ``function``.
            function: what is computed; where ``rngs``, of one example at a time, with ``batch["rngs"]``.
            batch: arrays ``(B, ...)``.
            first: number of the batch's first example.
            size: ``B`` of a full batch.
            rngs: whether it makes random draws: then each example has streams of its own, whatever batch it is in.
        """
        n = len(next(iter(batch.values())))
        return np.asarray(self._computed(name, function, batch, first, size, rngs, summed=False))[:n]

    def total(
        self, name: Any, function: Function, batch: Mapping[str, Any], *, first: int, size: int, rngs: bool
    ) -> np.ndarray:
        """The sum over a batch of what :meth:`rows` gives, in float64.

        On a mesh each device adds up the rows that lie on it, and the devices exchange one sum: no row leaves its device.
        """
        found = np.asarray(self._computed(name, function, batch, first, size, rngs, summed=True), np.float64)
        return found.sum(axis=0) if name in self._eager else found

    def _computed(
        self, name: Any, function: Function, batch: Mapping[str, Any], first: int, size: int, rngs: bool, *, summed: bool
    ) -> Any:
        """Rows of the batch filled up, or their sum; the batch's own rows where ``function`` cannot be traced."""
        n = len(next(iter(batch.values())))
        size = max(n, size)
        if self.mesh is not None:
            size += -size % self.mesh.devices.size
        indices = np.arange(first, first + size, dtype=np.uint32)
        if name not in self._eager:
            program = self._program(name, function, rngs, summed)
            arrays = {k: self._placed(filled(np.asarray(v), size)) for k, v in batch.items()}
            try:
                return program(self._state, arrays, self._placed(indices), np.uint32(first + n))
            except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
                self._eager.add(name)  # it looks at its arrays' values
        return self._eagerly(function, {k: np.asarray(v) for k, v in batch.items()}, indices[:n], rngs)

    def _program(self, name: Any, function: Function, rngs: bool, summed: bool) -> Any:
        if (name, summed) not in self._compiled:
            run = self._each(function) if rngs else self._together(function)

            def rows(state: Any, batch: dict[str, Any], indices: Any, stop: Any) -> Any:
                del stop  # what was filled up is cut off on the host
                return run(state, batch, indices)

            def total(state: Any, batch: dict[str, Any], indices: Any, stop: Any) -> Any:
                found = jnp.asarray(run(state, batch, indices), jnp.float32)
                real = (indices < stop).reshape(-1, *(1,) * (found.ndim - 1))
                return jnp.where(real, found, 0).sum(axis=0)

            self._compiled[name, summed] = jax.jit(total if summed else rows)
        return self._compiled[name, summed]

    def _placed(self, array: np.ndarray) -> Any:
        if self.mesh is None:
            return array
        rows = PartitionSpec(self.mesh.axis_names)
        return jax.device_put(array, NamedSharding(self.mesh, rows))

    def _merged(self, state: Any) -> Any:
        return self.model if self._graph is None else nnx.merge(self._graph, state)

    def _together(self, function: Function) -> Callable[..., Any]:
        def run(state: Any, batch: dict[str, Any], indices: Any) -> Any:
            del indices  # nothing is drawn
            return function(self._merged(state), batch)

        return run

    def _each(self, function: Function) -> Callable[..., Any]:
        def run(state: Any, batch: dict[str, Any], indices: Any) -> Any:
            def one(example: dict[str, Any], index: Any) -> Any:
                rngs = nnx.Rngs(jax.random.fold_in(self._key, index))
                return function(self._merged(state), {**{k: v[None] for k, v in example.items()}, "rngs": rngs})[0]

            return jax.vmap(one)(batch, indices)

        return run

    def _eagerly(self, function: Function, batch: dict[str, np.ndarray], indices: np.ndarray, rngs: bool) -> np.ndarray:
        if not rngs:
            return np.asarray(function(self.model, batch))
        streams = [nnx.Rngs(jax.random.fold_in(self._key, i)) for i in indices]
        ones = [{k: v[i : i + 1] for k, v in batch.items()} | {"rngs": rngs} for i, rngs in enumerate(streams)]
        return np.concatenate([np.asarray(function(self.model, one)) for one in ones])


def filled(array: np.ndarray, size: int) -> np.ndarray:
    """``array`` with its last row repeated until it has ``size`` rows."""
    missing = size - len(array)
    return array if missing <= 0 else np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
