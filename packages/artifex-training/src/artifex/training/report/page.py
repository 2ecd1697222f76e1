"""The page of a run: its curves, samples, config and surroundings, on a page of :mod:`artifex.core.report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artifex.core.errors import RunError
from artifex.core.report import IMAGES, NOT_XML, page, read_json, shown_file, table, text
from artifex.core.storage import write_atomically
from artifex.core.yamlio import load_yaml
from artifex.training.report.history import Series, read_history
from artifex.training.report.plot import STYLE, line_plot

__all__ = ["REPORT", "SUMMARY", "write_report"]

REPORT, SUMMARY = "report.html", "summary.json"
SAMPLES = 12
"""Most samples along the way that are shown: the first, the last, and others evenly between."""
TOGETHER = {"grad_norm": "gradient norm", "learning_rate": "learning rate", "steps_per_second": "steps per second"}
"""Figures of one kind that share a plot, the last ones of the page."""


def write_report(folder: Path) -> Path:
    """Make ``report.html`` of a run from what its folder holds; returns the file, which is written whole or not at all.

    Raises:
        RunError: it is no run folder.
        OSError: the file cannot be written.
    """
    config = folder / "config.yaml"
    if not config.is_file():
        raise RunError(f"{folder} is no run folder: it has no {config.name}")
    write_atomically(folder / REPORT, _page(folder, config.read_text(encoding="utf-8")).encode())
    return folder / REPORT


def _page(folder: Path, config: str) -> str:
    fields: Any = load_yaml(config)
    history, summary = read_history(folder / "metrics.jsonl"), read_json(folder / SUMMARY)
    name = str(fields.get("name") or folder.resolve().name)
    sections = {
        "Curves": _curves(history),
        "Figures": _figures(history),
        "Samples": _samples(folder / "samples"),
        "Notes": "".join(f"<p>{text(note)}</p>" for note in summary.get("notes", ())),
        "Config": f"<pre>{text(config)}</pre>",
        "Parameters": _parameters(summary.get("parameters", ())),
        "Environment": _environment(read_json(folder / "environment.json")),
    }
    return page(name, _overview(fields, summary), sections, style=STYLE)


def _overview(fields: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """What was run, and in what parts: a run that was interrupted and resumed has several."""
    training, parts = fields.get("training", {}), summary.get("parts", ())
    parameters = sum(p["size"] for p in summary.get("parameters", ()))
    rows = {
        "model": fields.get("model", {}).get("kind"),
        "data": fields.get("data", {}).get("dataset", {}).get("kind"),
        "seed": fields.get("seed"),
        "batch size": training.get("batch_size"),
        "steps": summary.get("total_steps"),
        "parameters": parameters or None,
        "devices": summary.get("devices"),
    }
    description = f"<p>{text(fields['description'])}</p>\n" if fields.get("description") else ""
    overview = table(("run", ""), [(key, value) for key, value in rows.items() if value is not None])
    ran = [
        (
            p["started"],
            p["from_step"],
            "" if p["to_step"] is None else p["to_step"],
            p["ended"] or "",
            p["end"] or "killed, or still running",
        )
        for p in parts
    ]
    return description + overview + ("\n" + table(("started", "from step", "to step", "ended", "how"), ran) if ran else "")


def _curves(history: Mapping[str, Series]) -> str:
    plots = [line_plot(title, lines) for title, lines in _panels(history).items()]
    return f'<div class="curves">\n{chr(10).join(plots)}\n</div>' if plots else "<p>Nothing was logged.</p>"


def _panels(history: Mapping[str, Series]) -> dict[str, dict[str, Series]]:
    """Plots by title: a figure in training and on held-out data together; then gradients, learning rates, and the speed.

    Examples a second are left to the table: their curve is that of the steps.
    """
    panels: dict[str, dict[str, Series]] = {}
    for name, series in history.items():
        name = NOT_XML.sub("\ufffd", name)
        title = TOGETHER.get(name.split("/")[-1])
        if title is not None:
            panels.setdefault(title, {})[name] = series
        elif name != "examples_per_second":
            base = name.removeprefix("eval/")
            panels.setdefault(base, {})["training" if base == name else "held-out data"] = series
    last = list(TOGETHER.values())
    order = sorted(panels, key=lambda title: (last.index(title) + 1 if title in last else 0, title.split("/")[-1] != "loss"))
    return {title: panels[title] for title in order}


def _figures(history: Mapping[str, Series]) -> str:
    rows = []
    for name, series in history.items():
        steps, values = series.steps[series.finite], series.values[series.finite]
        if len(values):
            low, high = int(np.argmin(values)), int(np.argmax(values))
            extremes = (float(values[low]), int(steps[low]), float(values[high]), int(steps[high]))
            rows.append((name, float(values[-1]), *extremes))
    return table(("figure", "last", "lowest", "at step", "highest", "at step"), rows) if rows else ""


def _samples(folder: Path) -> str:
    found = sorted((path for path in folder.glob("step_*") if path.is_file()), key=lambda path: path.suffix.lower() in IMAGES)
    files = [one for _, one in sorted({path.stem: path for path in found}.items())]  # of values and their picture, the picture
    chosen = sorted({round(i) for i in np.linspace(0, len(files) - 1, min(SAMPLES, len(files)))})
    shown = [_sample(files[i]) for i in chosen]
    left_out = f"<p>{len(shown)} of {len(files)} are shown.</p>" if len(shown) < len(files) else ""
    return f'{left_out}<div class="samples">\n{chr(10).join(shown)}\n</div>' if shown else ""


def _sample(path: Path) -> str:
    caption = _step_of(path)
    return shown_file(path, caption, f"samples at {caption}")


def _step_of(path: Path) -> str:
    number = path.stem.removeprefix("step_")
    return f"step {int(number):,}" if number.isdecimal() else path.stem


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = [(p["name"], " × ".join(map(str, p["shape"])) or "scalar", p["dtype"], p["size"]) for p in parameters]
    total = ("total", f"{len(rows)} arrays", "", sum(p["size"] for p in parameters))
    return table(("parameter", "shape", "type", "numbers"), [*rows, total])


def _environment(environment: Mapping[str, Any]) -> str:
    versions = environment.get("versions", {})
    rows = [(key, ", ".join(v) if isinstance(v, list) else v) for key, v in environment.items() if key != "versions"]
    return table(("environment", ""), [*rows, *versions.items()]) if environment else ""
