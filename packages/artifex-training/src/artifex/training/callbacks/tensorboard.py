"""TensorBoard events."""

from __future__ import annotations

import os
import platform
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from artifex.core.config import Config, config
from artifex.core.storage import naming_file
from artifex.training.callbacks.base import Callback, Training, run_folder


@config
class TensorBoardConfig(Config):
    """Nothing to set."""


class TensorBoard(Callback):
    """Writes every figure as TensorBoard events into ``tensorboard/``.

    The records are written here, not by tensorboardX's ``SummaryWriter``: the thread of that dies of a full disk, and the queue
    before it then blocks the run for ever.
    """

    first_process_only = True

    def __init__(self, config: TensorBoardConfig):
        self.config = config
        self._file: IO[bytes] | None = None
        self._event: Any = None  # modules that protobuf fills at run time, unknown to the type checker
        self._summary: Any = None

    def on_start(self, trainer: Training) -> None:
        from tensorboardX.proto import event_pb2, summary_pb2

        self._event, self._summary = event_pb2, summary_pb2
        folder = run_folder(trainer, "tensorboard") / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{platform.node()}.{os.getpid()}.{trainer.step}"
        self._file = (folder / name).open("ab")
        self._write(file_version="brain.Event:2")
        if trainer.step:  # what an earlier part of the run logged beyond this step is shown no more
            self._write(step=trainer.step + 1, session_log=self._event.SessionLog(status=self._event.SessionLog.START))

    def on_log(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        values = [
            self._summary.Summary.Value(tag=name if "/" in name else f"train/{name}", simple_value=value)
            for name, value in metrics.items()
        ]
        self._write(step=trainer.step, summary=self._summary.Summary(value=values))

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        self.on_log(trainer, metrics)

    def on_figures(self, trainer: Training, figures: Mapping[str, float]) -> None:
        self.on_log(trainer, figures)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        file, self._file = self._file, None
        if file is not None:
            with naming_file(Path(file.name)):  # what could not be written before is tried once more
                file.close()

    def _write(self, **fields: Any) -> None:
        assert self._file is not None
        with naming_file(Path(self._file.name)):
            self._file.write(_record(self._event.Event(wall_time=time.time(), **fields).SerializeToString()))
            self._file.flush()


def _record(data: bytes) -> bytes:
    """A record of TensorFlow's TFRecord format: length, its checksum, the data, their checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))
