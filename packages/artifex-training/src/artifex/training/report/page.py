"""The page: one HTML file that is XML too, with everything in it. No script, no link, nothing to fetch."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from artifex.core.errors import RunError
from artifex.core.storage import write_atomically
from artifex.core.yamlio import load_yaml
from artifex.training.report.history import Series, read_history
from artifex.training.report.plot import STYLE, line_plot

__all__ = ["REPORT", "SUMMARY", "read_json", "write_report"]

REPORT, SUMMARY = "report.html", "summary.json"
SAMPLES = 12
"""Most samples along the way that are shown: the first, the last, and others evenly between."""
LARGEST = 4 * 2**20
"""Bytes of a file of samples from which on it is only named."""
IMAGES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".svg": "svg+xml", ".webp": "webp"}
TEXTS = {".csv", ".fasta", ".md", ".smi", ".tsv", ".txt"}
TEXT_LENGTH = 2000
TOGETHER = {"grad_norm": "gradient norm", "learning_rate": "learning rate", "steps_per_second": "steps per second"}
"""Figures of one kind that share a plot, the last ones of the page."""
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

PAGE_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; }
table { margin: 1rem 0; border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: 0.15rem 0.9rem 0.15rem 0; text-align: left; border-bottom: 1px solid rgb(128 128 128 / 30%); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { padding: 0.8rem; overflow-x: auto; background: rgb(128 128 128 / 12%); font-size: 13px; }
.curves, .samples { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); }
figure { margin: 0; }
figure img { max-width: 100%; image-rendering: pixelated; }
"""


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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none, or it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _page(folder: Path, config: str) -> str:
    fields: Any = load_yaml(config)
    history, summary = read_history(folder / "metrics.jsonl"), read_json(folder / SUMMARY)
    name = str(fields.get("name") or folder.resolve().name)
    sections = {
        "Curves": _curves(history),
        "Figures": _figures(history),
        "Samples": _samples(folder / "samples"),
        "Notes": "".join(f"<p>{_text(note)}</p>" for note in summary.get("notes", ())),
        "Config": f"<pre>{_text(config)}</pre>",
        "Parameters": _parameters(summary.get("parameters", ())),
        "Environment": _environment(read_json(folder / "environment.json")),
    }
    body = "\n".join(f"<h2>{title}</h2>\n{content}" for title, content in sections.items() if content)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="{policy}"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{_text(name)}</title>
<style>{PAGE_STYLE}{STYLE}</style>
</head>
<body>
<h1>{_text(name)}</h1>
{_overview(fields, summary)}
{body}
</body>
</html>
"""


def _text(value: object) -> str:
    """``value`` as text that no browser takes for anything else. What XML has no place for becomes U+FFFD."""
    return escape(NOT_XML.sub("\ufffd", str(value)))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    titles = "".join(f"<th>{_text(title)}</th>" for title in head)
    return f"<table>\n<tr>{titles}</tr>\n" + "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows) + "\n</table>"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.6g}</td>'
    return f'<td class="number">{value:,}</td>' if isinstance(value, int) else f"<td>{_text(value)}</td>"


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
    description = f"<p>{_text(fields['description'])}</p>\n" if fields.get("description") else ""
    overview = _table(("run", ""), [(key, value) for key, value in rows.items() if value is not None])
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
    return description + overview + ("\n" + _table(("started", "from step", "to step", "ended", "how"), ran) if ran else "")


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
    return _table(("figure", "last", "lowest", "at step", "highest", "at step"), rows) if rows else ""


def _samples(folder: Path) -> str:
    files = sorted(path for path in folder.glob("step_*") if path.is_file())
    chosen = sorted({round(i) for i in np.linspace(0, len(files) - 1, min(SAMPLES, len(files)))})
    shown = [_sample(files[i]) for i in chosen]
    left_out = f"<p>{len(shown)} of {len(files)} are shown.</p>" if len(shown) < len(files) else ""
    return f'{left_out}<div class="samples">\n{chr(10).join(shown)}\n</div>' if shown else ""


def _sample(path: Path) -> str:
    suffix, size = path.suffix.lower(), path.stat().st_size
    caption = _step_of(path)
    if suffix in IMAGES and size <= LARGEST:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        content = f'<img src="data:image/{IMAGES[suffix]};base64,{data}" alt="samples at {_text(caption)}"/>'
    elif suffix in TEXTS:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(TEXT_LENGTH + 1)
        content = f"<pre>{_text(text[:TEXT_LENGTH])}{' …' if len(text) > TEXT_LENGTH else ''}</pre>"
    else:
        content = f"<p>{_text(path.name)}, {size:,} bytes</p>"
    return f"<figure>{content}<figcaption>{_text(caption)}</figcaption></figure>"


def _step_of(path: Path) -> str:
    number = path.stem.removeprefix("step_")
    return f"step {int(number):,}" if number.isdecimal() else path.stem


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = [(p["name"], " × ".join(map(str, p["shape"])) or "scalar", p["dtype"], p["size"]) for p in parameters]
    total = ("total", f"{len(rows)} arrays", "", sum(p["size"] for p in parameters))
    return _table(("parameter", "shape", "type", "numbers"), [*rows, total])


def _environment(environment: Mapping[str, Any]) -> str:
    versions = environment.get("versions", {})
    rows = [(key, ", ".join(v) if isinstance(v, list) else v) for key, v in environment.items() if key != "versions"]
    return _table(("environment", ""), [*rows, *versions.items()]) if environment else ""
