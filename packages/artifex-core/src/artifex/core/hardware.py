"""The hardware as it is, the memory that a compiled program needs, and the sharding with which it fits.

Every figure is read from a device or the operating system, taken from the compiler, or measured. What cannot be known is None.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.devices import Device
from artifex.core.errors import InvalidInputError
from artifex.core.host_limits import host_memory, usable_cores
from artifex.core.mesh import TRAINING_BYTES_PER_PARAMETER, ShardingConfig, devices_for, parameter_count

__all__ = ["HardwareDetector", "HardwareSpecs", "MemoryUsage", "Recommendation", "in_bytes"]

BYTES_PER_ACTIVATION = 4
"""In float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareSpecs:
    """What a run has to work with. ``str`` of it is a table for people."""

    platform: str
    """``"cpu"``, ``"gpu"`` or ``"tpu"``, as JAX names its backend."""
    device_kind: str
    """What the devices call themselves; several kinds are listed."""
    device_count: int
    """Devices of all processes."""
    local_device_count: int
    """Devices of this process."""
    process_count: int
    """Processes that compute together."""
    device_memory: int | None
    """Bytes that JAX may use of the smallest local device's own memory; None where the device does not say, as CPUs do not."""
    host_memory: int | None
    """Bytes of main memory that this process may use, after the limits of its container; None where the system does not say."""
    cores: float | None
    """Processor cores that this process may keep busy, after the limits of its container; None where it is not known."""

    @property
    def memory_per_device(self) -> int | None:
        """Bytes for each device: its own memory, or an equal part of the host's among the devices that a CPU poses as."""
        if self.platform == "cpu" and self.device_memory is None and self.host_memory is not None:
            return self.host_memory // self.local_device_count
        return self.device_memory

    def __str__(self) -> str:
        processes = f"{self.process_count} process{'es' if self.process_count > 1 else ''}"
        own = "part of the host's" if self.platform == "cpu" and self.device_memory is None else in_bytes(self.device_memory)
        rows = {
            "devices": f"{self.device_count} × {self.device_kind} ({self.platform}), in {processes}",
            "memory of a device": own,
            "memory of the host": in_bytes(self.host_memory),
            "cores": "unknown" if self.cores is None else f"{self.cores:g}",
        }
        return "\n".join(f"{name}: {value}" for name, value in rows.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUsage:
    """Bytes that one execution of a compiled program needs on each device, by the compiler's own account."""

    arguments: int
    """What it is given: parameters, optimiser state, data."""
    outputs: int
    """What it gives back."""
    aliased: int
    """The part of the outputs that is written over donated arguments."""
    temporaries: int
    """Scratch: activations, gradients."""

    @property
    def total(self) -> int:
        """All that is there at once: arguments, outputs that need memory of their own, and scratch."""
        return self.arguments + self.outputs - self.aliased + self.temporaries


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """A sharding under which a training step fits, and why this one."""

    sharding: ShardingConfig
    """For the run file's ``mesh``."""
    accumulate: int
    """For the run file's ``training.accumulate``: parts that each batch is worked through in."""
    usage: MemoryUsage | None
    """What a step needs so; None where the compiler does not say."""
    reason: str
    """In words."""


class HardwareDetector:
    """Looks at the hardware and at compiled programs. Making one starts nothing.

    >>> detector = HardwareDetector()
    >>> detector.detect_hardware().device_count == jax.device_count()
    True
    >>> detector.compiled_memory(lambda x: x + 1.0, jax.ShapeDtypeStruct((256,), jnp.float32)).arguments
    1024
    >>> detector.estimate_memory_usage(batch_size=8, model_size="1m")
    48000000
    """

    def detect_hardware(self) -> HardwareSpecs:
        """What JAX's devices and the operating system say."""
        local = jax.local_devices()
        limits = [(device.memory_stats() or {}).get("bytes_limit") for device in local]
        known = [limit for limit in limits if limit]
        return HardwareSpecs(
            platform=jax.default_backend(),
            device_kind=", ".join(dict.fromkeys(device.device_kind for device in jax.devices())),
            device_count=jax.device_count(),
            local_device_count=len(local),
            process_count=jax.process_count(),
            device_memory=min(known) if len(known) == len(limits) else None,
            host_memory=host_memory(),
            cores=usable_cores(),
        )

    def measure_matmul_flops(
        self, *, size: int = 2048, dtype: str = "float32", repeats: int = 5, device: Device | None = None
    ) -> float:
        """Floating-point operations a second of a matrix product: ``2 n³`` over the shortest of several times.

        Args:
            size: ``n``, rows and columns of both factors.
            dtype: of the factors; the sums are kept in what XLA chooses for it.
            repeats: how many times are taken, after one that is not.
            device: where; none given means the default one.
        """
        if size < 1 or repeats < 1:
            raise InvalidInputError(f"size and repeats are at least 1, got {size} and {repeats}.")
        factors = [jax.device_put(jnp.full((size, size), value, dtype), device) for value in (1.0, 0.5)]
        product = jax.jit(jnp.matmul)
        product(*factors).block_until_ready()
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            product(*factors).block_until_ready()
            seconds.append(time.perf_counter() - start)
        return 2 * size**3 / min(seconds)

    def estimate_memory_usage(self, batch_size: int, model_size: int | str) -> int:
        """Bytes that training takes at the most, from two numbers: ``16 P + 4 B P`` in float32 with Adam.

        Parameters, gradients and the two moments take 16 bytes a parameter (Rajbhandari et al. 2019, arXiv:1910.02054). Each of
        ``B`` examples adds at most one activation a parameter where a weight serves once for an example, as in multilayer
        perceptrons: a layer of ``n`` outputs has at least ``n`` weights. Convolutions and attention use theirs at every
        place and can take more. :meth:`compiled_memory` asks the compiler about the step itself.

        Args:
            batch_size: ``B``, examples in a step on one device.
            model_size: ``P``, the number of parameters, also as people write it: ``"7b"``.

        Raises:
            InvalidInputError: a number below one.
        """
        if batch_size < 1:
            raise InvalidInputError(f"batch_size is at least 1, got {batch_size}.")
        parameters = parameter_count(model_size)
        return TRAINING_BYTES_PER_PARAMETER * parameters + BYTES_PER_ACTIVATION * batch_size * parameters

    def compiled_memory(self, step: Callable[..., Any], *arguments: Any) -> MemoryUsage | None:
        """The memory that ``step(*arguments)`` needs on each device: it is compiled, not run, and the compiler is asked.

        Args:
            step: a function, or what ``jax.jit`` made of it with the donation and the shardings that it will be run with.
            arguments: arrays, or their shapes (``jax.ShapeDtypeStruct``, with a ``sharding`` where it matters).

        Returns:
            None where the backend's compiler keeps no account.
        """
        jitted: Any = step if isinstance(step, jax.stages.Wrapped) else jax.jit(step)
        found = jitted.lower(*arguments).compile().memory_analysis()
        if found is None:
            return None
        return MemoryUsage(
            arguments=found.argument_size_in_bytes,
            outputs=found.output_size_in_bytes,
            aliased=found.alias_size_in_bytes,
            temporaries=found.temp_size_in_bytes,
        )

    def get_optimal_configuration(self, model: nnx.Module, *, specs: HardwareSpecs | None = None) -> Recommendation:
        """The simplest sharding with which the training state of ``model`` fits: data parallelism, else FSDP.

        The state is counted (16 bytes a parameter: float32 with Adam), activations are not: they depend on the batch, and
        :meth:`sharding_that_fits` has the compiler count them. ``usage`` is None therefore.

        Args:
            model: any module; an abstract one (``nnx.eval_shape``) will do.
            specs: the hardware; none given means this machine's.

        Raises:
            InvalidInputError: the state does not fit, however it is divided.
        """
        specs = self.detect_hardware() if specs is None else specs
        devices, memory = specs.device_count, specs.memory_per_device
        parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
        state = TRAINING_BYTES_PER_PARAMETER * parameters
        has = f"{in_bytes(memory)} on each of {devices} devices"
        if memory is not None and state > memory * devices:
            raise InvalidInputError(
                f"training {type(model).__name__} keeps {in_bytes(state)} ({parameters:,} parameters), and there are {has}. "
                "Use more devices, or a smaller model."
            )
        fsdp = memory is not None and state > memory
        kind = "FSDP" if fsdp else "data parallelism"
        reason = f"{kind}: the training state takes {in_bytes(state)}, activations not counted, with {has}"
        sharding = ShardingConfig(data_parallel_size=devices, fsdp_enabled=fsdp)
        return Recommendation(sharding=sharding, accumulate=1, usage=None, reason=reason)

    def sharding_that_fits(
        self,
        usage: Callable[[ShardingConfig, int], MemoryUsage | None],
        *,
        batch_size: int,
        specs: HardwareSpecs | None = None,
    ) -> Recommendation:
        """The fastest way to train with batches of ``batch_size`` that fits the memory of each device.

        It decides on three things, and tries them in this order, the cheapest in communication and repeated work first:

        1. data parallelism over the largest number of devices that divides ``batch_size``;
        2. FSDP over the same devices, which also divides parameters and optimiser state among them;
        3. with that, working through each batch in 2, 4 … parts, which divides the activations.

        It decides nothing else: not the batch size, which changes what is learnt; not tensor parallelism and not
        rematerialisation, which depend on the model's layers.

        Args:
            usage: the memory of a step with a sharding and a number of parts, from its compiled program.
            batch_size: examples in a step, over all devices.
            specs: the hardware; none given means this machine's.

        Raises:
            InvalidInputError: nothing fits.
        """
        specs = self.detect_hardware() if specs is None else specs
        memory, least = specs.memory_per_device, None
        devices = devices_for(batch_size, specs.device_count)
        for sharding, accumulate in _by_cost(devices, batch_size):
            needed = usage(sharding, accumulate)
            proposal = Recommendation(sharding=sharding, accumulate=accumulate, usage=needed, reason="")
            if memory is None or needed is None:
                what = "the memory of a device" if memory is None else "the memory that the step needs"
                reason = f"data parallel over {devices}; {what} is unknown, so nothing is said about FSDP and accumulation"
                return replace(proposal, reason=reason)
            if needed.total <= memory:
                return replace(proposal, reason=_reason(proposal, devices, needed.total, memory, least))
            least = needed.total if least is None else min(least, needed.total)
        assert least is not None and memory is not None  # noqa: PT018
        raise InvalidInputError(
            f"a step with batch_size {batch_size} needs {in_bytes(least)} on each of {devices} devices at the least, and each "
            f"has {in_bytes(memory)}. Use more devices, tensor_parallel_size, training.remat, or a smaller model."
        )


def _by_cost(devices: int, batch_size: int) -> Iterator[tuple[ShardingConfig, int]]:
    data = ShardingConfig(data_parallel_size=devices)
    fsdp = ShardingConfig(data_parallel_size=devices, fsdp_enabled=True)
    yield data, 1
    if devices > 1:
        yield fsdp, 1
    examples, parts = batch_size // devices, 2
    while examples % parts == 0:
        yield (fsdp if devices > 1 else data), parts
        parts *= 2


def _reason(chosen: Recommendation, devices: int, needed: int, memory: int, least: int | None) -> str:
    kind = "FSDP" if chosen.sharding.fsdp_enabled else "data parallel"
    parts = f", each batch in {chosen.accumulate} parts" if chosen.accumulate > 1 else ""
    before = "" if least is None else f"; what costs less needs {in_bytes(least)} or more"
    where = f"{kind} over {devices}" if devices > 1 else "one device"
    return f"{where}{parts}: a step needs {in_bytes(needed)} of the {in_bytes(memory)} on each device{before}"


def in_bytes(size: int | None) -> str:
    """``size`` for people."""
    return "unknown" if size is None else f"{size / 2**30:.2f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.2f} MiB"
