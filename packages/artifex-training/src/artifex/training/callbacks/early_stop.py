"""Stopping when a figure no longer improves, with the model of the best evaluation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, RunError, RunWarning
from artifex.core.storage import read_weights, write_weights
from artifex.training.callbacks.base import Callback, Training
from artifex.training.callbacks.checkpoint import Checkpoint
from artifex.training.processes import is_first, on_host
from artifex.training.state import Flat
from artifex.training.step import GRAD_NORM

BEST = "best"
"""Sub-folder of a run with the variables of its best evaluation, ``<step>.safetensors``."""
PARTS = ("params", "model_state", "ema")
"""What of a state is a model."""


@config
class EarlyStopConfig(Config):
    """Which figure has to improve, and how long it may fail to."""

    metric: str = "eval/loss"
    """The figure, by the name an evaluation gives it in the log."""
    patience: Annotated[int, Field(ge=1)] = 5
    """Evaluations in a row without an improvement after which the run ends."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """Improvements of this or less do not count for patience; the best is the best by any margin."""
    higher_is_better: bool = False
    """Which way is better."""
    restore_best: bool = True
    """At the end, early or not, hand on the model of the best evaluation instead of the last one. It waits in the host's
    memory, and in ``best/`` of a run that keeps checkpoints, which hold the last state all the same."""


class EarlyStop(Callback):
    """Ends the run when the figure has not improved for ``patience`` evaluations, and hands on the best model.

    The figures of the run then say which step that was, ``best_step``, and hold what the evaluation there gave.
    """

    def __init__(self, config: EarlyStopConfig):
        self.config = config
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.waited = 0
        self._top: float | None = None  # the best by any margin, its step and figures, and the variables there
        self._step, self._figures = 0, {}
        self._variables: Mapping[str, Flat] = {}
        self._is_written = False
        self._told: list[int] = []  # best steps that the newest checkpoints tell of

    def on_start(self, trainer: Training) -> None:
        assert trainer.state is not None
        self._check_name([f"eval/{name}" for name in trainer.state.sums if name.split("/")[-1] != GRAD_NORM])
        keeping = [c.config.keep for c in trainer.callbacks if isinstance(c, Checkpoint)]
        self._kept = max(keeping, default=0)
        self._folder = trainer.folder / BEST if trainer.folder is not None and keeping else None
        if trainer.step == 0:  # a new training, of which nothing is known
            self._forget()
        elif self.config.restore_best and self._step:
            self._read()
        self._stop_when_tired(trainer)  # a run that was stopped stays so when it is taken up again

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        self._check_name(metrics)
        value = metrics[self.config.metric] * (1 if self.config.higher_is_better else -1)
        if math.isfinite(value) and (self._top is None or value > self._top):
            self._top = value
            if self.config.restore_best:
                self._keep(trainer, metrics)
        if math.isfinite(value) and (self.best is None or value > self.best + self.config.min_delta):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        self._stop_when_tired(trainer)
        if trainer.stop_reason is not None or trainer.step == trainer.total_steps:
            self._hand_on(trainer)  # before others draw or measure at the end

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if error is None:
            self._hand_on(trainer)

    def state(self) -> dict[str, Any]:
        known = {"best": self.best, "waited": self.waited, "top": self._top, "step": self._step, "figures": self._figures}
        if self._folder is not None and self._step and self.config.restore_best:
            self._write(self._folder)
        return known | {"told": self._told}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited, self._top = state["best"], state["waited"], state["top"]
        self._step, self._figures, self._told = state["step"], dict(state["figures"]), list(state["told"])

    def _check_name(self, known: Collection[str]) -> None:
        if self.config.metric not in known:
            raise InvalidInputError(f"early_stop watches {self.config.metric!r}, but an evaluation gives {', '.join(known)}")

    def _stop_when_tired(self, trainer: Training) -> None:
        name = self.config.metric
        if self.waited >= self.config.patience:
            best = math.nan if self.best is None else self.best if self.config.higher_is_better else -self.best
            trainer.stop_reason = f"{name} has not improved on {best:.6g} for {self.waited} evaluations"
            if self.config.restore_best and self._step:
                trainer.stop_reason += f"; the model is that of step {self._step}"

    def _keep(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        """Remember the model as it is now."""
        assert trainer.state is not None
        self._variables = {part: on_host(getattr(trainer.state, part)) for part in PARTS}
        self._step, self._figures, self._is_written = trainer.step, dict(metrics), False

    def _hand_on(self, trainer: Training) -> None:
        if self._variables:
            trainer.choose(self._variables if self._step != trainer.step else {})
            trainer.metrics |= {**self._figures, "best_step": float(self._step)}

    def _write(self, folder: Path) -> None:
        """Have the best on the disk before a checkpoint tells of it, and none that no checkpoint tells of any more."""
        self._told = [*self._told, self._step][-self._kept - 1 :]
        if self._is_written or not is_first():
            return
        folder.mkdir(exist_ok=True)
        arrays = {f"{part}.{name}": array for part, flat in self._variables.items() for name, array in flat.items()}
        write_weights(folder / f"{self._step}.safetensors", arrays)  # over what an abandoned part of the run left
        self._is_written = True
        for other in folder.glob("*.safetensors"):
            if other.stem not in map(str, self._told):
                other.unlink()

    def _read(self) -> None:
        """Take up the best of the part of the run that is gone on from."""
        path = None if self._folder is None else self._folder / f"{self._step}.safetensors"
        try:
            arrays = read_weights(path or Path(f"best/{self._step}.safetensors"))
        except RunError as error:
            warnings.warn(
                f"early_stop cannot hand on the best evaluation so far, that of step {self._step}: {error}; "
                "it looks for the best anew from here",
                RunWarning,
                stacklevel=2,
            )
            self._top, self._step, self._figures = None, 0, {}
            return
        self._is_written = True
        self._variables = {
            part: {name.removeprefix(f"{part}."): a for name, a in arrays.items() if name.startswith(f"{part}.")}
            for part in PARTS
        }
