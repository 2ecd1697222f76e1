"""What a run would be, without training: shapes, parameters, memory and the loss of the first batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import numpy as np

from artifex.training.runs import Run

__all__ = ["DryRun", "dry_run"]


@dataclass(frozen=True, slots=True)
class DryRun:
    """Findings of a dry run."""

    batch: dict[str, str]
    """Stored arrays of one batch: shape and dtype."""
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
    memory: dict[str, int | None]
    """Bytes a device needs for the compiled step, by XLA's own account; None where the backend does not say."""
    losses: dict[str, float]
    """Scalars of the first batch, before any training."""

    def __str__(self) -> str:
        lines = [
            *(f"batch {name}: {what}" for name, what in self.batch.items()),
            f"parameters: {self.parameters:,} in {self.parameter_arrays} arrays",
            f"devices: {self.devices}",
            f"steps: {self.steps} ({self.steps_per_epoch} an epoch)",
            *(
                f"memory, {name}: {'unknown' if size is None else f'{size / 2**20:.1f} MiB a device'}"
                for name, size in self.memory.items()
            ),
            *(f"first batch, {name}: {value:.6g}" for name, value in self.losses.items()),
        ]
        return "\n".join(lines)


def dry_run(run: Run) -> DryRun:
    """Compile the step of ``run`` and look at its first batch. Writes nothing and changes nothing."""
    trainer = run.trainer
    trainer.compile(run.train)
    position = run.train.state()
    batch = next(run.train)
    run.train.restore(position)
    assert trainer.state is not None
    params = trainer.state.params
    mesh = {axis: size for axis, size in trainer.mesh.shape.items() if size > 1}
    platform = jax.devices()[0].platform
    return DryRun(
        batch={name: f"{np.shape(value)} {np.asarray(value).dtype}" for name, value in batch.items()},
        parameters=sum(math.prod(value.shape) for value in params.values()),
        parameter_arrays=len(params),
        devices=f"{trainer.mesh.size} × {platform}" + (f", {mesh}" if mesh else ""),
        steps=trainer.total_steps,
        steps_per_epoch=run.train.steps_per_epoch,
        memory=trainer.memory(run.train),
        losses=trainer.losses(batch),
    )
