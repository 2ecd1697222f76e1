"""Where everything that a run needs lies on the devices: the state, the training data, the batches."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from artifex.core.errors import InvalidInputError
from artifex.core.mesh import DeviceMeshManager, ShardingConfig
from artifex.core.sharding import batch_sharding, shard_like_params, shardings
from artifex.training.loaders import ArrayLoader, HostBatch, Loader, batch_shapes
from artifex.training.processes import put_global
from artifex.training.state import Flat, TrainState, dotted

__all__ = ["ON_DEVICE_BYTES", "Placement"]

ON_DEVICE_BYTES = 2**30
"""Training data in memory are kept on the devices up to this size; larger ones are sent batch by batch."""


class Placement:
    """A mesh, and what lies where on it.

    Args:
        mesh: devices and their roles: a mesh, a :class:`ShardingConfig`, or None for one device.

    Raises:
        InvalidInputError: the mesh's axes are not of the type Auto, there are too few devices, or a process has none of them.
    """

    def __init__(self, mesh: Mesh | ShardingConfig | None):
        self.sharding = mesh if isinstance(mesh, ShardingConfig) else ShardingConfig(data_parallel_size=1)
        self.mesh = mesh if isinstance(mesh, Mesh) else DeviceMeshManager(_devices(mesh)).mesh_for(self.sharding)
        if any(kind != AxisType.Auto for kind in self.mesh.axis_types):
            raise InvalidInputError(
                f"the mesh has axes of the types {self.mesh.axis_types}; make it with axis_types=(AxisType.Auto,) * "
                f"{len(self.mesh.axis_names)}, or pass a ShardingConfig"
            )
        processes = {device.process_index for device in self.mesh.devices.flat}
        if len(processes) < jax.process_count():
            raise InvalidInputError(
                f"the mesh has devices of {len(processes)} of {jax.process_count()} processes, and each has to take part; "
                "mesh=ShardingConfig() uses all devices"
            )

    @property
    def shards(self) -> int:
        """In how many pieces a batch is split."""
        return self.mesh.shape.get("data", 1) * self.mesh.shape.get("fsdp", 1)

    @cached_property
    def everywhere(self) -> NamedSharding:
        """Whole on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @cached_property
    def split(self) -> NamedSharding:
        """A batch, its leading axis divided."""
        return batch_sharding(self.mesh)

    def layout(self, model: Any, state: TrainState, frozen: Flat) -> tuple[TrainState, Flat]:
        """Where each array of ``state`` lives, and each frozen one of the model.

        All that is the model's by its logical axes and size, moments and averages beside the parameters, the rest everywhere.
        """
        placed = dotted(shardings(nnx.state(model), self.mesh, fsdp_min_weight_size=self.sharding.fsdp_min_weight_size))
        self._check_mesh_is_used(model, placed)
        params = {name: placed[name] for name in state.params}
        layout = TrainState(
            step=self.everywhere,
            params=params,
            model_state={name: placed[name] for name in state.model_state},
            opt=shard_like_params(state.opt, state.params, params),
            ema={name: placed[name] for name in state.ema},
            sums=dict.fromkeys(state.sums, self.everywhere),
            summed=self.everywhere,
            bad_step=self.everywhere,
        )
        return layout, {name: placed[name] for name in frozen}

    def _check_mesh_is_used(self, model: Any, placed: Flat) -> None:
        """Refuse a mesh axis over which devices would only repeat each other's work."""
        used = {"data", "fsdp"} | {axis for s in placed.values() for axis in jax.tree.leaves(tuple(s.spec))}
        idle = [axis for axis, size in self.mesh.shape.items() if size > 1 and axis not in used]
        if idle:
            raise InvalidInputError(
                f"the mesh has {self.mesh.shape[idle[0]]} devices along {idle[0]!r}, but no parameter of "
                f"{type(model).__name__} is divided over it; set {idle[0]}_parallel_size to 1"
            )

    def stages(self, loader: Loader) -> bool:
        """Whether the training data are kept on the devices: they are in memory, and not too large."""
        if not isinstance(loader, ArrayLoader):
            return False
        copies = self.mesh.size if self.mesh.devices.flat[0].platform == "cpu" else 1
        return copies * sum(value.nbytes for value in loader.arrays.values()) <= ON_DEVICE_BYTES

    def stage(self, loader: Loader) -> dict[str, jax.Array] | None:
        """The training data on the devices, where they are kept there: a step then needs to be told row numbers only."""
        return put_global(loader.arrays, self.everywhere) if isinstance(loader, ArrayLoader) and self.stages(loader) else None

    def step_shapes(self, loader: Loader) -> tuple[Any, ...]:
        """Shapes and places of what a step is given beside the state."""
        if isinstance(loader, ArrayLoader) and self.stages(loader):
            staged = {name: _shape(value, self.everywhere) for name, value in loader.arrays.items()}
            return staged, jax.ShapeDtypeStruct((loader.batch_size,), np.int32)
        return ({name: _shape(value, self.split) for name, value in batch_shapes(loader).items()},)

    def gather(self, arrays: dict[str, jax.Array], rows: jax.Array) -> dict[str, jax.Array]:
        """The batch that ``rows`` of staged arrays make, inside the compiled step."""
        batch = {name: value.at[rows].get(mode="promise_in_bounds") for name, value in arrays.items()}
        return jax.lax.with_sharding_constraint(batch, self.split)

    def put(self, batch: HostBatch) -> dict[str, jax.Array]:
        """A batch on the devices, divided where its size allows."""
        even = len(batch["x"]) % self.shards == 0
        return put_global(batch, self.split if even else self.everywhere)

    def share(self, batch_size: int) -> np.ndarray:
        """Which rows of a batch lie on devices of this process."""
        slices = self.split.addressable_devices_indices_map((batch_size,)).values()
        return np.unique(np.concatenate([np.arange(batch_size)[index] for index in slices if index is not None]))

    def put_share(self, part: HostBatch, batch_size: int) -> dict[str, jax.Array]:
        """A batch of ``batch_size`` examples on the devices of all processes; each has its :meth:`share` of it in ``part``."""
        mine = self.share(batch_size)

        def supply(array: np.ndarray) -> jax.Array:
            def rows(index: Any) -> np.ndarray:
                start, stop, _ = index[0].indices(batch_size)
                return array[np.searchsorted(mine, start) : np.searchsorted(mine, stop)]

            return jax.make_array_from_callback((batch_size, *array.shape[1:]), self.split, rows)

        return {name: supply(array) for name, array in part.items()}


def _shape(array: Any, place: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place)


def _devices(mesh: Mesh | ShardingConfig | None) -> list[Any] | None:
    """One device when nothing is said; all of them when a sharding is."""
    return jax.devices()[:1] if mesh is None else None
