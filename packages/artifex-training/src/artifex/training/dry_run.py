"""What a run would be, without training: shapes, parameters, memory and the loss of the first batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import jax
import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.core.hardware import HardwareDetector, HardwareSpecs, MemoryUsage, in_bytes
from artifex.core.mesh import ShardingConfig
from artifex.training.runs import Run
from artifex.training.state import ModelParts
from artifex.training.trainer import Trainer

__all__ = ["DryRun", "dry_run"]


@dataclass(frozen=True, slots=True)
class DryRun:
    """Findings of a dry run."""

    batch: dict[str, str]
    """Stored arrays of one batch: shape, dtype, least and largest value."""
    parameters: int
    """Number of the model's parameters."""
    parameter_arrays: int
    """Number of arrays they are in."""
    devices: str
    """The mesh."""
    steps: int
    """Length of the run."""
    steps_per_epoch: int
    """Steps of one pass over the data."""
    memory: MemoryUsage | None
    """What the compiled step needs on each device, by XLA's own account; None where it keeps none."""
    hardware: HardwareSpecs
    """What there is."""
    advice: str
    """How the step would fit, where it does not; empty where it does or nothing is known."""
    losses: dict[str, float]
    """Scalars of the first batch, before any training; none where the step does not fit."""

    def __str__(self) -> str:
        lines = [
            *(f"batch {name}: {what}" for name, what in self.batch.items()),
            f"parameters: {self.parameters:,} in {self.parameter_arrays} arrays",
            f"devices: {self.devices}",
            f"steps: {self.steps} ({self.steps_per_epoch} an epoch)",
            *self._memory_lines(),
            *(f"first batch, {name}: {value:.6g}" for name, value in self.losses.items()),
        ]
        if bad := [name for name, value in self.losses.items() if not math.isfinite(value)]:
            lines.append(
                f"{', '.join(bad)}: not finite, and so the run would stop at its first step; see that the batch, whose values "
                "are shown above, is what the model takes once the modality has prepared it"
            )
        return "\n".join(lines)

    def _memory_lines(self) -> list[str]:
        has = f"memory of a device: {in_bytes(self.hardware.memory_per_device)}"
        if self.memory is None:
            return ["memory, a step: unknown", has]
        parts = {"state and data": self.memory.arguments, "scratch": self.memory.temporaries, "a step": self.memory.total}
        lines = [*(f"memory, {name}: {in_bytes(size)} a device" for name, size in parts.items()), has]
        return [*lines, f"does not fit; {self.advice}"] if self.advice else lines


def dry_run(run: Run) -> DryRun:
    """Compile the step of ``run`` and look at its first batch. Writes nothing and changes nothing."""
    trainer = run.trainer
    memory, hardware = trainer.memory(run.train), HardwareDetector().detect_hardware()
    has = hardware.memory_per_device
    fits = memory is None or has is None or memory.total <= has
    if fits:
        trainer.compile(run.train, from_data=True)
    position = run.train.state()
    batch = next(run.train)
    run.train.restore(position)
    params = ModelParts(trainer.model).shapes.params
    mesh = {axis: size for axis, size in trainer.mesh.shape.items() if size > 1}
    platform = jax.devices()[0].platform
    return DryRun(
        batch={name: _described(np.asarray(value)) for name, value in batch.items()},
        parameters=sum(math.prod(value.shape) for value in params.values()),
        parameter_arrays=len(params),
        devices=f"{trainer.mesh.size} × {platform}" + (f", {mesh}" if mesh else ""),
        steps=trainer.total_steps,
        steps_per_epoch=run.train.steps_per_epoch,
        memory=memory,
        hardware=hardware,
        advice="" if fits else _advice(run, hardware),
        losses=trainer.losses(batch) if fits else {},
    )


def _described(value: np.ndarray) -> str:
    values = f" from {value.min():.4g} to {value.max():.4g}" if value.size and np.issubdtype(value.dtype, np.number) else ""
    return f"{value.shape} {value.dtype}{values}"


def _advice(run: Run, hardware: HardwareSpecs) -> str:
    """The settings with which a step fits, or that none do."""
    trainer = run.trainer

    def usage(sharding: ShardingConfig, accumulate: int) -> MemoryUsage | None:
        config = replace(trainer.config, accumulate=accumulate, lora=None)  # which the model has got
        options = {"seed": trainer.seed, "modality": trainer.modality, "objectives": trainer.objectives}
        return Trainer(trainer.model, config, mesh=sharding, **options).memory(run.train)

    try:
        found = HardwareDetector().sharding_that_fits(usage, batch_size=trainer.config.batch_size, specs=hardware)
    except InvalidInputError as error:
        return str(error)
    fsdp = str(found.sharding.fsdp_enabled).lower()
    mesh = f"--set mesh.data_parallel_size={found.sharding.data_parallel_size} --set mesh.fsdp_enabled={fsdp}"
    return f"this would: {mesh} --set training.accumulate={found.accumulate} ({found.reason})"
