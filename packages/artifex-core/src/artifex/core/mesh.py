"""The mesh: how many devices serve which kind of parallelism. Importing this module imports no jax."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from artifex.core.devices import Device

__all__ = ["MESH_AXES", "DeviceMeshManager", "ShardingConfig", "devices_for", "parameter_count"]

MESH_AXES = ("data", "fsdp", "tensor", "pipeline", "expert")
"""The axes of every mesh, in this order; those that a run does not use have size one."""

TRAINING_BYTES_PER_PARAMETER = 16
"""Parameter, gradient and Adam's two moments in float32 (Rajbhandari et al. 2019, "ZeRO", arXiv:1910.02054, section 3)."""

MOST_PARAMETERS_A_DEVICE = 2_300_000_000
"""The most parameters of a layer-wise divided transformer that each device had in the runs of arXiv:2104.04473, table 1."""

Size = Annotated[int, Field(ge=1)]


def _without_a_schedule(size: int) -> int:
    if size > 1:
        raise ValueError(
            "there is no pipeline schedule yet, so every stage would compute the whole batch; leave it at 1, and divide the "
            "model with fsdp_enabled or tensor_parallel_size"
        )
    return size


@config
class ShardingConfig(Config):
    """How a run is spread over devices: the product of the sizes is the number of devices it uses."""

    data_parallel_size: Size | None = None
    """Groups of devices that each take a share of the batch; none given means all the devices that the other sizes leave."""
    tensor_parallel_size: Size = 1
    """Devices that share each layer's matrix products."""
    pipeline_parallel_size: Annotated[Size, AfterValidator(_without_a_schedule)] = 1
    """Devices that hold consecutive parts of the stack of layers: 1 so far, since there is no schedule for more."""
    expert_parallel_size: Size = 1
    """Devices that share the experts of a mixture."""
    fsdp_enabled: bool = False
    """Share parameters and optimiser state among the data-parallel devices too (fully sharded data parallelism)."""
    fsdp_min_weight_size: Annotated[int, Field(ge=0)] = 2**18
    """Arrays of fewer elements stay whole on every device, since gathering them costs more than they weigh."""

    @property
    def divides_parameters(self) -> bool:
        """Whether devices hold parts of parameters, and not all of them everything."""
        return self.fsdp_enabled or self.tensor_parallel_size * self.pipeline_parallel_size * self.expert_parallel_size > 1


class DeviceMeshManager:
    """Makes meshes of devices.

    Args:
        devices: those to use; none given means all that JAX has.

    >>> manager = DeviceMeshManager()
    >>> manager.create_mesh((1, 1), ("data", "model")).axis_names
    ('data', 'model')
    >>> manager.mesh_for(ShardingConfig(data_parallel_size=1)).axis_names
    ('data', 'fsdp', 'tensor', 'pipeline', 'expert')
    """

    def __init__(self, devices: Sequence[Device] | None = None) -> None:
        self._devices = devices

    @property
    def devices(self) -> Sequence[Device]:
        """The devices that meshes are made of."""
        if self._devices is None:
            import jax

            return jax.devices()
        return self._devices

    def create_mesh(self, mesh_shape: Sequence[int], axis_names: Sequence[str]) -> Mesh:
        """A mesh of any shape, with axes of any names. One of fewer devices than there are takes the first ones.

        The engines look for the names :data:`MESH_AXES`; :meth:`mesh_for` makes a mesh with these from a run's config.

        Args:
            mesh_shape: how many devices there are along each axis.
            axis_names: as many names.

        Raises:
            InvalidInputError: sizes and names do not match, there are too few devices, or devices of other processes are left
                out.
        """
        sizes = _named_sizes(mesh_shape, axis_names)
        needed = math.prod(sizes.values())
        if needed > len(self.devices):
            there = f"there {'is' if len(self.devices) == 1 else 'are'} {len(self.devices)}"
            raise InvalidInputError(f"a mesh of shape {tuple(mesh_shape)} needs {needed} devices, {there}; lower a size")
        return self._mesh(sizes, "Use all of them.")

    def validate_mesh_config(self, mesh_shape: Sequence[int], device_count: int) -> bool:
        """Whether a mesh of this shape has a place for each of ``device_count`` devices, and a device for each place.

        >>> manager = DeviceMeshManager()
        >>> manager.validate_mesh_config((2, 4), 8), manager.validate_mesh_config((3, 4), 8)
        (True, False)
        """
        return all(size >= 1 for size in mesh_shape) and math.prod(mesh_shape) == device_count

    def mesh_for(self, config: ShardingConfig | None = None) -> Mesh:
        """The mesh that a run's config describes, with axes :data:`MESH_AXES`; none given means all devices, data parallel.

        A config that asks for fewer devices than there are takes the first ones.

        Raises:
            InvalidInputError: the sizes do not fit the devices, or leave out devices of other processes.
        """
        return self._mesh(self.axis_sizes(config or ShardingConfig()), "Leave data_parallel_size out to use all devices.")

    def _mesh(self, sizes: Mapping[str, int], remedy: str) -> Mesh:
        """The mesh of the first devices, as many as ``sizes`` need, with axes that the compiler shards along by itself."""
        import jax
        from jax.sharding import AxisType

        devices, used = self.devices, math.prod(sizes.values())
        processes = len({device.process_index for device in devices})
        if used < len(devices) and processes > 1:
            raise InvalidInputError(
                f"{dict(sizes)} uses {used} of the {len(devices)} devices of {processes} processes; every process must take "
                f"part. {remedy}"
            )
        kinds = (AxisType.Auto,) * len(sizes)
        return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=kinds, devices=devices[:used])

    def axis_sizes(self, config: ShardingConfig, n_devices: int | None = None) -> dict[str, int]:
        """The size of each of the axes :data:`MESH_AXES`.

        Args:
            config: the sizes asked for.
            n_devices: how many there are; none given means those of this manager.

        Raises:
            InvalidInputError: the devices are too few, or the sizes do not divide them; the message names the sizes that would.
        """
        n_devices = len(self.devices) if n_devices is None else n_devices
        model = {
            "tensor_parallel_size": config.tensor_parallel_size,
            "pipeline_parallel_size": config.pipeline_parallel_size,
            "expert_parallel_size": config.expert_parallel_size,
        }
        per_group = math.prod(model.values())
        asked = " x ".join(f"{name} {size}" for name, size in model.items() if size > 1) or "one device a group"
        if config.data_parallel_size is None and n_devices % per_group:
            raise InvalidInputError(
                f"{asked} needs groups of {per_group} devices, and {n_devices} devices do not divide into them. "
                f"The product of these sizes must be one of {_listed(_divisors(n_devices))}, or give data_parallel_size."
            )
        data = config.data_parallel_size or n_devices // per_group
        if data * per_group > n_devices:
            there = f"there {'is' if n_devices == 1 else 'are'} {n_devices}"
            raise InvalidInputError(
                f"data_parallel_size {data} with {asked} needs {data * per_group} devices, {there}. "
                f"Lower a size; sizes whose product is one of {_listed(_divisors(n_devices))} use every device."
            )
        return {
            "data": 1 if config.fsdp_enabled else data,
            "fsdp": data if config.fsdp_enabled else 1,
            "tensor": config.tensor_parallel_size,
            "pipeline": config.pipeline_parallel_size,
            "expert": config.expert_parallel_size,
        }

    def optimize_for_transformer(self, device_count: int, model_size: int | str) -> tuple[int, int]:
        """A shape for :meth:`create_mesh` with the axes ``("data", "model")``: the rule of thumb where only the size is known.

        The model is divided among the fewest devices, a power of two and at most 8 (one machine), with which each has no more
        than 2.3 billion parameters; the rest is data parallel. These are the tensor-parallel sizes of Narayanan et al. 2021
        ("Efficient large-scale language model training on GPU clusters using Megatron-LM", arXiv:2104.04473), table 1: 1, 2, 4
        and 8 for models of 1.7, 3.6, 7.5 and 18.4 billion parameters. :meth:`sharding_for_transformer` goes by the memory that
        there is.

        Args:
            device_count: how many devices there are.
            model_size: number of parameters, also as people write it: ``"7b"``, ``"350m"``.

        Raises:
            InvalidInputError: there is no device, or the size is no number of parameters.

        >>> DeviceMeshManager().optimize_for_transformer(8, "7b")
        (2, 4)
        """
        if device_count < 1:
            raise InvalidInputError(f"device_count must be at least 1, got {device_count}.")
        sizes = [size for size in (1, 2, 4, 8) if device_count % size == 0]
        enough = [size for size in sizes if parameter_count(model_size) / size <= MOST_PARAMETERS_A_DEVICE]
        tensor = enough[0] if enough else sizes[-1]
        return device_count // tensor, tensor

    def sharding_for_transformer(
        self,
        n_parameters: int,
        n_layers: int,
        n_heads: int,
        *,
        n_devices: int | None = None,
        memory_per_device: int | None = None,
    ) -> ShardingConfig:
        """The simplest sharding under which the training state of a transformer fits.

        Training with Adam in float32 keeps 16 bytes a parameter (ZeRO, arXiv:1910.02054). With ``N`` devices of ``M`` bytes,
        ``P`` parameters in ``L`` layers, the first that fits is taken:

        1. ``16 P <= M``: data parallelism;
        2. ``16 P / N + 8 P / L <= M``: FSDP, each device gathering one layer's parameters and gradients (8 bytes) at a time;
        3. ``16 P / N + 8 P / (L t) <= M``: FSDP with the smallest tensor-parallel ``t`` that divides ``N`` and the heads.

        Activations are not counted: give the memory that is left beside them. A pipeline is never proposed, because FSDP
        already spreads the whole state and has no idle stages.

        Args:
            n_parameters: ``P``.
            n_layers: ``L``.
            n_heads: attention heads.
            n_devices: ``N``; none given means those of this manager.
            memory_per_device: ``M`` in bytes; none given means what the devices report.

        Raises:
            InvalidInputError: nothing fits, or the devices do not report their memory (CPUs do not).
        """
        n_devices = len(self.devices) if n_devices is None else n_devices
        memory = self._memory() if memory_per_device is None else memory_per_device
        for name, value in {
            "n_parameters": n_parameters, "n_layers": n_layers, "n_heads": n_heads, "n_devices": n_devices
        }.items():  # fmt: skip
            if value < 1:
                raise InvalidInputError(f"{name} must be at least 1, got {value}.")
        state = TRAINING_BYTES_PER_PARAMETER * n_parameters
        if state <= memory:
            return ShardingConfig(data_parallel_size=n_devices)
        layer = TRAINING_BYTES_PER_PARAMETER // 2 * n_parameters / n_layers
        tensor_sizes = _divisors(math.gcd(n_devices, n_heads))
        for size in tensor_sizes:
            if state / n_devices + layer / size <= memory:
                return ShardingConfig(data_parallel_size=n_devices // size, tensor_parallel_size=size, fsdp_enabled=True)
        need = state / n_devices + layer / tensor_sizes[-1]
        raise InvalidInputError(
            f"{n_parameters:,} parameters on {n_devices} devices need {need / 2**30:.2f} GiB a device at the least, "
            f"there are {memory / 2**30:.2f} GiB. Use more devices, or a smaller model."
        )

    def _memory(self) -> int:
        """Bytes of the smallest device."""
        limits = [(device.memory_stats() or {}).get("bytes_limit") for device in self.devices]
        known = [limit for limit in limits if limit]
        if len(known) < len(limits):
            raise InvalidInputError("These devices do not report their memory; give memory_per_device in bytes.")
        return min(known)


def devices_for(batch_size: int, n_devices: int) -> int:
    """The largest number of ``n_devices`` that a batch divides evenly among.

    >>> devices_for(100, 8)
    5
    """
    return max(n for n in range(1, n_devices + 1) if batch_size % n == 0)


def parameter_count(model_size: int | str) -> int:
    """A number of parameters from how people write it: with ``k``, ``m``, ``b`` or ``t`` for thousands to trillions.

    Raises:
        InvalidInputError: it cannot be read, or is less than one.

    >>> parameter_count("1.5b"), parameter_count("350M"), parameter_count(7)
    (1500000000, 350000000, 7)
    """
    found = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)\s*([kmbt]?)", str(model_size).strip().lower())
    # Decimal, because 1.1e9 in binary is a little less than 1,100,000,000
    count = 0 if found is None else int(Decimal(found[1]) * 1000 ** " kmbt".index(found[2] or " "))
    if count < 1:
        raise InvalidInputError(f"{model_size!r} is no number of parameters; write 7000000000, or '7b'")
    return count


def _named_sizes(mesh_shape: Sequence[int], axis_names: Sequence[str]) -> dict[str, int]:
    """Sizes by name, checked against each other."""
    sizes = dict(zip(axis_names, mesh_shape, strict=False))
    if isinstance(axis_names, str) or not len(sizes) == len(mesh_shape) == len(axis_names):
        raise InvalidInputError(
            f"a mesh takes one name for each size, all different; got {tuple(mesh_shape)} and {axis_names!r}, where "
            "(2, 4) and ('data', 'model') would do"
        )
    if any(size < 1 for size in mesh_shape):
        raise InvalidInputError(f"a mesh has at least one device along each axis; got {tuple(mesh_shape)}")
    return sizes


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
