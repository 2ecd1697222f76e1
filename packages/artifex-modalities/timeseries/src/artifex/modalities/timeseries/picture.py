"""Curves of series as one SVG file, which browsers and ``report.html`` show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

__all__ = ["write_picture"]

WIDTH, HEIGHT, GAP, COLUMNS, MOST = 180, 90, 12, 4, 24
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")


def write_picture(series: np.ndarray, names: Sequence[str], path: Path) -> Path:
    """Draw the first 24 of ``series``, ``(N, L, C)``, each in a frame of its own, a colour a channel; all to one scale.

    Gaps break the line. Returns ``path``.
    """
    shown = series[:MOST]
    rows = -(-len(shown) // COLUMNS)
    width, height = COLUMNS * (WIDTH + GAP) + GAP, rows * (HEIGHT + GAP) + GAP + 18
    finite = shown[np.isfinite(shown)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">'
    ]
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for c, name in enumerate(names):
        colour = COLOURS[c % len(COLOURS)]
        parts.append(f'<text x="{GAP + 90 * c}" y="14" fill="{colour}">{escape(name)}</text>')
    for i, one in enumerate(shown):
        x, y = GAP + (i % COLUMNS) * (WIDTH + GAP), 18 + GAP + (i // COLUMNS) * (HEIGHT + GAP)
        parts.append(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>')
        for c in range(one.shape[1]):
            place = _path(one[:, c], x, y, low, (high - low) or 1.0)
            parts.append(f'<path d="{place}" fill="none" stroke="{COLOURS[c % len(COLOURS)]}"/>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]), encoding="utf-8")
    return path


def _path(values: np.ndarray, x: float, y: float, low: float, span: float) -> str:
    """Lines through what is there."""
    across = x + WIDTH * np.arange(len(values)) / max(len(values) - 1, 1)
    down = y + HEIGHT * (1 - (values - low) / span)
    there = np.isfinite(values)
    after_gap = there & ~np.concatenate([[False], there[:-1]])
    points = zip(across[there], down[there], after_gap[there], strict=True)
    return " ".join(f"{'M' if first else 'L'}{a:.1f} {b:.1f}" for a, b, first in points)
