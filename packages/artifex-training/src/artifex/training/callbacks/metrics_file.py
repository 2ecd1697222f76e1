"""``metrics.jsonl``: one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from artifex.core.config import Config, config
from artifex.core.storage import naming_file, write_atomically
from artifex.training.callbacks.base import Callback, Training, run_folder


@config
class MetricsFileConfig(Config):
    """Nothing to set."""


class MetricsFile(Callback):
    """Appends every log and every evaluation to ``metrics.jsonl``, each with its ``step``."""

    first_process_only = True

    def __init__(self, config: MetricsFileConfig):
        self.config = config
        self._file: IO[str] | None = None

    def on_start(self, trainer: Training) -> None:
        path = run_folder(trainer, "metrics_file") / "metrics.jsonl"
        _forget_after(path, trainer.step)
        self._file = path.open("a", encoding="utf-8")

    def on_log(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        self._write(trainer.step, metrics)

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        self._write(trainer.step, metrics)

    def on_figures(self, trainer: Training, figures: Mapping[str, float]) -> None:
        self._write(trainer.step, figures)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        file, self._file = self._file, None
        if file is not None:
            with naming_file(Path(file.name)):  # what could not be written before is tried once more
                file.close()

    def _write(self, step: int, metrics: Mapping[str, float]) -> None:
        assert self._file is not None
        plain = {name: value if math.isfinite(value) else None for name, value in metrics.items()}  # JSON knows no NaN
        with naming_file(Path(self._file.name)):
            self._file.write(json.dumps({"step": step, **plain}) + "\n")
            self._file.flush()


def _forget_after(path: Path, step: int) -> None:
    """Drop the lines of steps that a resumed run is going to do again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (json.JSONDecodeError, KeyError, TypeError):  # a line cut short when the run was killed
            continue
    write_atomically(path, "".join(f"{line}\n" for line in kept).encode())
