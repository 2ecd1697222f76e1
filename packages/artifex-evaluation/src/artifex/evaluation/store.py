"""Where results are kept: JSON lines in the run's folder are the truth, an SQLite index over many runs is made from them.

``RUN/evaluations.jsonl`` has one line for each figure; per-example values lie beside it, in ``RUN/evaluation/examples/``. The
index is a file that may be deleted at any time: it is made anew from the lines.
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from artifex.core.errors import DataError, RunError, RunWarning
from artifex.evaluation.results import EvaluationResult, MetricResult
from artifex.evaluation.streaming import naming

__all__ = ["RESULTS", "Record", "ResultIndex", "latest_result", "machine", "read_records", "read_results", "write_results"]

RESULTS = "evaluations.jsonl"
EXAMPLES = Path("evaluation") / "examples"
INDEX = ".evaluations.sqlite"


@dataclass(frozen=True, slots=True)
class Record:
    """One figure of one evaluation."""

    evaluation: str
    """Which evaluation: the time of its start, and the process."""
    subject: str
    time: float
    """Seconds since 1970."""
    machine: str
    result: MetricResult
    seconds_per_sample: float = math.nan


def machine() -> str:
    """What timings depend on: processor, number of cores, kind and number of devices."""
    devices = jax.devices()
    host = f"{platform.machine()} {platform.processor() or platform.system()} x{os.cpu_count()}"
    return f"{host}, {len(devices)} {devices[0].device_kind}"


def write_results(folder: Path, result: EvaluationResult) -> str:
    """Append the figures to the folder's lines; returns the evaluation's name."""
    now = time.time()
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}.{os.getpid()}"
    (folder / EXAMPLES).mkdir(parents=True, exist_ok=True)
    lines = []
    for metric in result.metrics.values():
        record: dict[str, Any] = {"evaluation": name, "subject": result.subject, "time": now, "machine": machine()}
        if math.isfinite(result.seconds_per_sample):
            record["seconds_per_sample"] = result.seconds_per_sample
        if metric.per_example is not None:
            file = EXAMPLES / f"{name}-{metric.name.replace('/', '_')}.npy"
            np.save(folder / file, metric.per_example)
            record["examples"] = str(file)
        lines.append(json.dumps({**record, **metric.to_dict()}) + "\n")
    _append(folder / RESULTS, "".join(lines).encode())
    return name


def _append(path: Path, lines: bytes) -> None:
    """Add lines in one piece, beside what others add, and below a line that was cut short."""
    with naming(path), path.open("a+b", buffering=0) as out:
        if (size := out.seek(0, os.SEEK_END)) and (out.seek(size - 1), out.read(1))[1] != b"\n":
            lines = b"\n" + lines
        if (written := out.write(lines)) != len(lines):
            raise OSError(errno.ENOSPC, f"{written} of {len(lines)} bytes were written", str(path))


def read_records(folder: Path, *, examples: bool = False) -> list[Record]:
    """Every figure of a folder, oldest first.

    A line that was cut short, when the process was killed, is left out; one that is damaged otherwise, too, with a warning.

    Args:
        folder: a run's.
        examples: whether to read per-example values too.
    """
    records = (_record(folder, fields, examples) for fields in _lines(folder / RESULTS))
    return [record for record in records if record is not None]


def read_results(folder: Path, *, examples: bool = False) -> list[EvaluationResult]:
    """Every evaluation of a folder, oldest first."""
    found: dict[str, EvaluationResult] = {}
    for record in read_records(folder, examples=examples):
        result = found.setdefault(record.evaluation, EvaluationResult(record.subject, {}))
        result.metrics[record.result.name] = record.result
    return list(found.values())


def latest_result(folder: Path) -> EvaluationResult:
    """The newest figure of each metric, with per-example values.

    Raises:
        RunError: the folder was never evaluated.
    """
    records = read_records(folder, examples=True)
    if not records:
        raise RunError(f"{folder} has not been evaluated: `artifex evaluate {folder}` writes {RESULTS}")
    return EvaluationResult(records[-1].subject, {record.result.name: record.result for record in records})


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            fields = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(fields, dict) and "signature" in fields:
            yield fields


def _record(folder: Path, fields: dict[str, Any], examples: bool) -> Record | None:
    try:
        result = MetricResult.from_dict(fields, _values(folder, fields) if examples else None)
        if not isinstance(result.value, int | float):
            raise TypeError(f"its value is {result.value!r}")
        when, seconds = float(fields["time"]), float(fields.get("seconds_per_sample", math.nan))
        return Record(fields["evaluation"], fields["subject"], when, fields["machine"], result, seconds)
    except (KeyError, TypeError, ValueError) as error:
        known = f"the figure of {fields.get('name')!r} from {fields.get('evaluation')}"
        warnings.warn(f"{folder / RESULTS}: {known} is left out, its line is damaged: {error}", RunWarning, stacklevel=2)
        return None


def _values(folder: Path, fields: dict[str, Any]) -> np.ndarray | None:
    """Per-example values, where they can still be read."""
    file = folder / fields.get("examples", "")
    try:
        return np.load(file) if file.is_file() else None
    except (OSError, ValueError, EOFError) as error:
        warnings.warn(f"{file} cannot be read, and its values are not compared: {error}", RunWarning, stacklevel=2)
        return None


class ResultIndex:
    """An SQLite index of the results of all runs below a folder.

    Args:
        root: the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ResultIndex(Path(folder)).rebuild()
        0
    """

    def __init__(self, root: Path):
        if not root.is_dir():
            raise DataError(f"there is no folder {root} of runs; say where they are with --runs")
        self.root, self.file = root, root / INDEX

    def rebuild(self) -> int:
        """Make the index anew from the runs' lines; returns how many figures it has."""
        with closing(self._made_anew()) as base:
            return base.execute("SELECT COUNT(*) FROM results").fetchone()[0]

    def history(self, metric: str, *, signature: str | None = None) -> list[dict[str, Any]]:
        """The figures of a metric over all runs, oldest first; the index is made anew where it is not of the runs' lines."""
        query = "SELECT * FROM results WHERE metric = ?" + (" AND signature = ?" if signature else "") + " ORDER BY time"
        with closing(self._current()) as base:
            base.row_factory = sqlite3.Row
            return [dict(row) for row in base.execute(query, (metric, *([signature] if signature else [])))]

    def metrics(self) -> list[str]:
        """Names of all metrics with figures."""
        with closing(self._current()) as base:
            return [row[0] for row in base.execute("SELECT DISTINCT metric FROM results ORDER BY metric")]

    def _sources(self) -> str:
        """Names, ages and sizes of the files that the index is made from: runs are added, moved and deleted."""
        files = [(str(path.relative_to(self.root)), path.stat()) for path in sorted(self.root.rglob(RESULTS))]
        return json.dumps([(name, state.st_mtime_ns, state.st_size) for name, state in files])

    def _current(self) -> sqlite3.Connection:
        """The index, if it can be read and is of the lines that there are; else a new one."""
        if self.file.is_file():
            base = sqlite3.connect(self.file)
            try:
                sound = base.execute("PRAGMA quick_check").fetchone() == ("ok",)
                if sound and base.execute("SELECT files FROM sources").fetchone() == (self._sources(),):
                    return base
            except sqlite3.DatabaseError:  # damaged, or of an older version
                pass
            base.close()
        return self._made_anew()

    def _made_anew(self) -> sqlite3.Connection:
        """In the folder, whole or not at all; in memory where the folder cannot be written."""
        new = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        try:
            with closing(sqlite3.connect(new)) as base:
                self._fill(base)
            new.replace(self.file)
            return sqlite3.connect(self.file)
        except (OSError, sqlite3.OperationalError):
            base = sqlite3.connect(":memory:")
            self._fill(base)
            return base
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)

    def _fill(self, base: sqlite3.Connection) -> None:
        with base:
            base.execute("CREATE TABLE sources (files TEXT)")
            base.execute("INSERT INTO sources VALUES (?)", (self._sources(),))
            base.execute(
                "CREATE TABLE results (run TEXT, evaluation TEXT, subject TEXT, time REAL, machine TEXT, metric TEXT, "
                "value REAL, low REAL, high REAL, n INTEGER, seconds REAL, signature TEXT, "
                "PRIMARY KEY (run, evaluation, metric))"
            )
            base.execute("CREATE INDEX by_metric ON results (metric, time)")
            rows = [
                _row(path.parent.relative_to(self.root), record)
                for path in sorted(self.root.rglob(RESULTS))
                for record in read_records(path.parent)
            ]
            base.executemany(f"INSERT OR REPLACE INTO results VALUES ({', '.join('?' * 12)})", rows)


def _row(run: Path, record: Record) -> tuple[Any, ...]:
    r = record.result
    numbers = [None if not math.isfinite(v) else v for v in (r.value, r.low, r.high)]
    return (
        str(run), record.evaluation, record.subject, record.time, record.machine, r.name, *numbers, r.n, r.seconds,
        str(r.signature),
    )  # fmt: skip
