"""What a run's report needs beside its config and metrics: ``summary.json``, kept as the run starts and ends."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from artifex.core.report import read_json
from artifex.core.storage import write_atomically
from artifex.training.callbacks.base import Callback, Training, run_folder
from artifex.training.report.page import SUMMARY, write_report

__all__ = ["RunReport"]


class RunReport(Callback):
    """Writes ``summary.json`` and, however the run ends, ``report.html``.

    Args:
        notes: what was decided for the user.
    """

    first_process_only = True

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self._notes = tuple(notes)
        self._summary: dict[str, Any] = {}

    def on_start(self, trainer: Training) -> None:
        folder = run_folder(trainer, "report")
        before = read_json(folder / SUMMARY).get("parts", []) if trainer.step else []
        self._summary = {
            "total_steps": trainer.total_steps,
            "devices": _devices(trainer),
            "notes": list(self._notes),
            "parts": [*before, {"from_step": trainer.step, "started": _now(), "to_step": None, "ended": None, "end": None}],
            "parameters": _parameters(trainer),
        }
        self._write(folder)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if not self._summary:
            return
        folder = run_folder(trainer, "report")
        self._summary["parts"][-1] |= {"to_step": trainer.step, "ended": _now(), "end": _end(trainer, error)}
        try:
            self._write(folder)
            write_report(folder)
        except Exception as problem:  # the run is worth more than its report
            sys.stderr.write(
                f"the report could not be written: {problem}; once it can: artifex report {shlex.quote(str(folder))}\n"
            )

    def _write(self, folder: Path) -> None:
        write_atomically(folder / SUMMARY, json.dumps(self._summary, indent=1).encode())


def _end(trainer: Training, error: BaseException | None) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if error is not None:
        return f"{type(error).__name__}: {error}"
    return "finished" if trainer.stop_reason is None else f"stopped: {trainer.stop_reason}"


def _now() -> str:
    return datetime.now(UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")


def _devices(trainer: Training) -> str:
    """How many devices, of what kind, in what roles."""
    first, roles = trainer.mesh.devices.flat[0], {axis: n for axis, n in trainer.mesh.shape.items() if n > 1}
    return f"{trainer.mesh.size} × {first.device_kind}" + "".join(f", {axis} {n}" for axis, n in roles.items())


def _parameters(trainer: Training) -> list[dict[str, Any]]:
    assert trainer.state is not None
    return [
        {"name": name, "shape": list(p.shape), "dtype": str(p.dtype), "size": math.prod(p.shape)}
        for name, p in trainer.state.params.items()
    ]
