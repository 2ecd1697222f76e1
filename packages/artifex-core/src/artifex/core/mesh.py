"""The mesh: how many devices serve which kind of parallelism. Importing this module imports no jax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from artifex.core.devices import Device

__all__ = ["MESH_AXES", "DeviceMeshManager", "ShardingConfig"]

MESH_AXES = ("data", "fsdp", "tensor", "pipeline", "expert")
"""The axes of every mesh, in this order; those that a run does not use have size one."""

TRAINING_BYTES_PER_PARAMETER = 16
"""Parameter, gradient and Adam's two moments in float32 (Rajbhandari et al. 2019, "ZeRO", arXiv:1910.02054, section 3)."""

Size = Annotated[int, Field(ge=1)]


@config
class ShardingConfig(Config):
    """How a run is spread over devices: the product of the sizes is the number of devices it uses."""

    data_parallel_size: Size | None = None
    """Groups of devices that each take a share of the batch; none given means all the devices that the other sizes leave."""
    tensor_parallel_size: Size = 1
    """Devices that share each layer's matrix products."""
    pipeline_parallel_size: Size = 1
    """Devices that hold consecutive parts of the stack of layers."""
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

    >>> mesh = DeviceMeshManager().create_mesh(ShardingConfig(data_parallel_size=1))
    >>> mesh.axis_names
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

    def create_mesh(self, config: ShardingConfig | None = None) -> Mesh:
        """The mesh with axes :data:`MESH_AXES`. A config that asks for fewer devices than there are takes the first ones.

        Raises:
            InvalidInputError: the sizes do not fit the devices, or leave out devices of other processes.
        """
        import jax
        from jax.sharding import AxisType

        devices = self.devices
        sizes = self.validate_mesh_config(config or ShardingConfig(), len(devices))
        used = math.prod(sizes.values())
        processes = len({device.process_index for device in devices})
        if used < len(devices) and processes > 1:
            raise InvalidInputError(
                f"{sizes} uses {used} of the {len(devices)} devices of {processes} processes; every process must take part. "
                "Leave data_parallel_size out to use all devices."
            )
        return jax.make_mesh(
            tuple(sizes.values()), MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES), devices=devices[:used]
        )

    def validate_mesh_config(self, config: ShardingConfig, n_devices: int | None = None) -> dict[str, int]:
        """The size of every mesh axis.

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

    def optimize_for_transformer(
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


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
