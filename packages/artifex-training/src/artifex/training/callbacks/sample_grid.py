"""Samples to look at, along the way."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from flax import nnx
from pydantic import Field

from artifex.core.config import Config, config
from artifex.training.callbacks.base import Callback, Training, run_folder
from artifex.training.processes import is_first
from artifex.training.samples import draw_samples, save_samples, takes_condition
from artifex.training.seeds import key_for


@config
class SampleGridConfig(Config):
    """How often, and how many."""

    every: Annotated[int, Field(ge=1)] = 500
    """Steps between two grids; one more is made at the end."""
    n_samples: Annotated[int, Field(ge=1)] = 64
    """Samples in a grid."""


class SampleGrid(Callback):
    """Draws samples into ``samples/``, always with one seed, so that a row of grids shows the model change, not the noise.

    Where examples come with vectors or images that a model is conditioned on, samples are given those of the first training
    examples, prepared as in training; classes are for the model to choose.
    """

    def __init__(self, config: SampleGridConfig):
        self.config = config
        self._drawn_at = -1

    def on_start(self, trainer: Training) -> None:
        self._folder = run_folder(trainer, "sample_grid") / "samples"

    def on_step(self, trainer: Training) -> None:
        if trainer.step % self.config.every == 0:
            self._draw(trainer)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if error is None and trainer.step != self._drawn_at:
            self._draw(trainer)

    def _draw(self, trainer: Training) -> None:
        model = trainer.evaluation_model()
        if is_first():
            rngs = nnx.Rngs(key_for(trainer.seed, "sample grid"))
            samples = model.generate(self.config.n_samples, rngs=rngs, **self._conditions(trainer, model))
            for write in (save_samples, draw_samples):
                write(trainer.modality, samples, self._folder / f"step_{trainer.step:07d}")
        self._drawn_at = trainer.step

    def _conditions(self, trainer: Training, model: Any) -> dict[str, np.ndarray]:
        if not takes_condition(model) or trainer.loader is None:
            return {}
        batch: Any = next(trainer.loader.one_pass())
        if np.ndim(batch.get("condition", 0)) < 2:
            return {}
        if trainer.modality is not None:
            batch = trainer.modality.prepare(batch, rngs=nnx.Rngs(key_for(trainer.seed, "sample grid")), train=False)
        vectors = np.asarray(batch["condition"])
        return {"condition": np.resize(vectors, (self.config.n_samples, *np.shape(vectors)[1:]))}
