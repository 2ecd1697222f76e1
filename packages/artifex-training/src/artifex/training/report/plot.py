"""Line plots as SVG: axes with ticks, a logarithmic scale where the values span decades, a legend, gaps at what is no number.

A plot is a few hundred bytes and its points; colours and widths are the page's (:data:`STYLE`), which follow light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

import numpy as np

from artifex.training.report.history import Series, thinned

__all__ = ["STYLE", "line_plot"]

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 66, 12, 44, 36
LOG_FROM = 100.0
"""Ratio of the greatest to the least value from which on the axis is logarithmic."""
LINES = 6
"""Colours (Okabe & Ito 2008, told apart with any colour vision), each with dashes of its own; then they come again."""

STYLE = """
svg { --l0: #0072b2; --l1: #d55e00; --l2: #007a5a; --l3: #a8447f; --l4: #8a6d00; --l5: #444444; }
@media (prefers-color-scheme: dark) {
  svg { --l0: #56b4e9; --l1: #ff9d4d; --l2: #2fd0a3; --l3: #e79ac6; --l4: #f0e442; --l5: #cccccc; }
}
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: currentColor; }
svg .title { font-size: 13px; font-weight: 600; }
svg .grid { stroke: currentColor; stroke-opacity: 0.15; }
svg polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
svg .l0 { stroke: var(--l0); }
svg .l1 { stroke: var(--l1); stroke-dasharray: 6 3; }
svg .l2 { stroke: var(--l2); stroke-dasharray: 2 3; }
svg .l3 { stroke: var(--l3); stroke-dasharray: 9 3 2 3; }
svg .l4 { stroke: var(--l4); stroke-dasharray: 12 4; }
svg .l5 { stroke: var(--l5); stroke-dasharray: 4 2 1 2; }
svg circle { stroke-width: 3; }
"""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where values lie: ``start`` of the picture is ``low``, ``end`` is ``high``."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]
    scale: Callable[[float], float]

    def __call__(self, value: float) -> float:
        low, high = self.scale(self.low), self.scale(self.high)
        return self.start + (self.scale(value) - low) / (high - low) * (self.end - self.start)


def line_plot(title: str, lines: Mapping[str, Series]) -> str:
    """An SVG element with one line for each of ``lines``, by step."""
    values = np.concatenate([series.values[series.finite] for series in lines.values()])
    steps = np.concatenate([series.steps for series in lines.values()])
    last = max(float(steps.max(initial=1)), 1.0)
    x = _Axis(0.0, last, LEFT, WIDTH - RIGHT, _linear_ticks(0.0, last, whole=True), float)
    y = _value_axis(values)
    missing = sum(int(np.sum(~series.finite)) for series in lines.values())
    what = f"{title}: {', '.join(lines)} by step" + (f"; {missing} values are no finite numbers" if missing else "")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(what)}</title>",
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>',
        *_axes(x, y),
        *(part for i, series in enumerate(lines.values()) for part in _line(thinned(series), x, y, f"l{i % LINES}")),
        *_legend(list(lines), missing),
        "</svg>",
    ]
    return "\n".join(parts)


def _value_axis(values: np.ndarray) -> _Axis:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    bottom, top = float(HEIGHT - BOTTOM), float(TOP)
    if low > 0 and high / low >= LOG_FROM:
        room = 0.04 * math.log10(high / low)
        low, high = low * 10**-room, high * 10**room
        return _Axis(low, high, bottom, top, _log_ticks(low, high), math.log10)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room
    return _Axis(low, high, bottom, top, _linear_ticks(low, high), float)


def _linear_ticks(low: float, high: float, *, whole: bool = False) -> tuple[tuple[float, str], ...]:
    """About five round numbers between ``low`` and ``high``, with enough digits to tell them apart."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    numbers = [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    largest, place = max(map(abs, numbers), default=1.0) or 1.0, math.floor(math.log10(step) + 1e-9)
    if largest >= 1e6 or place < -5:
        digits = max(0, math.floor(math.log10(largest)) - place)
        return tuple((number, f"{number:.{digits}e}") for number in numbers)
    return tuple((number, f"{number:.{max(0, -place)}f}") for number in numbers)


def _log_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Powers of ten between ``low`` and ``high``; with few of them, their doubles and fivefolds too."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    multiples = (1, 2, 5) if last - first <= 3 else (1,)
    stride = math.ceil((last - first) / 8)
    numbers = [m * 10.0**power for power in range(first, last + 1, stride) for m in multiples]
    return tuple(
        (number, f"{number:.0e}" if not 1e-3 <= number < 1e5 else f"{number:g}") for number in numbers if low <= number <= high
    )


def _axes(x: _Axis, y: _Axis) -> list[str]:
    parts = []
    for value, label in x.ticks:
        at = f"{x(value):.2f}"
        parts += [
            f'<line class="grid" x1="{at}" x2="{at}" y1="{y.start}" y2="{y.end}"/>',
            f'<text class="x" x="{at}" y="{y.start + 14}" text-anchor="middle">{label}</text>',
        ]
    for value, label in y.ticks:
        at = f"{y(value):.2f}"
        parts += [
            f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{at}" y2="{at}"/>',
            f'<text class="y" x="{x.start - 5}" y="{at}" dy="4" text-anchor="end">{label}</text>',
        ]
    return [*parts, f'<text x="{x.end}" y="{HEIGHT - 6}" text-anchor="end">step</text>']


def _line(series: Series, x: _Axis, y: _Axis, kind: str) -> list[str]:
    """A polyline for each unbroken stretch of numbers; a number between two gaps is a dot."""
    breaks = np.flatnonzero(~series.finite)
    parts = []
    for stretch in np.split(np.arange(len(series)), breaks):
        points = [(x(float(series.steps[i])), y(float(series.values[i]))) for i in stretch if series.finite[i]]
        if len(points) == 1:
            parts.append(f'<circle class="{kind}" cx="{points[0][0]:.2f}" cy="{points[0][1]:.2f}" r="1.5"/>')
        elif points:
            parts.append(f'<polyline class="{kind}" points="{" ".join(f"{a:.2f},{b:.2f}" for a, b in points)}"/>')
    return parts


def _legend(names: list[str], missing: int) -> list[str]:
    parts, at = [], float(LEFT)
    for i, name in enumerate(names if len(names) > 1 else []):
        parts += [
            f'<polyline class="l{i % LINES} key" points="{at:.0f},29 {at + 24:.0f},29"/>',
            f'<text x="{at + 28:.0f}" y="33">{escape(name)}</text>',
        ]
        at += 44 + 6.5 * len(name)
    if missing:
        parts.append(f'<text x="{WIDTH - RIGHT}" y="16" text-anchor="end">{missing} not finite</text>')
    return parts
