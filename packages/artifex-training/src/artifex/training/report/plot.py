"""Line plots as SVG: axes with ticks, a logarithmic scale where the values span decades, a legend, gaps at what is no number.

A plot is complete in itself; what :data:`STYLE` adds on a page is the other colours of a dark one.
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
LOG_FROM, LOG_ABOVE_MEDIAN = 100.0, 10.0
"""Ratios of the greatest value to the least and to the median from which on the axis is logarithmic: below, most of the line is
easy to read on a linear one."""
COLOURS = ("#0072b2", "#d55e00", "#007a5a", "#a8447f", "#8a6d00", "#444444")
"""Okabe & Ito 2008 with the pale ones darkened: told apart with any colour vision."""
DARK_COLOURS = ("#56b4e9", "#ff9d4d", "#2fd0a3", "#e79ac6", "#f0e442", "#cccccc")
DASHES = ("none", "6 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2")
"""So that a line is known by more than its colour."""

STYLE = (
    "svg { width: 100%; height: auto; }\n@media (prefers-color-scheme: dark) {\n"
    + "".join(f"  svg .l{i} {{ stroke: {colour}; }}\n" for i, colour in enumerate(DARK_COLOURS))
    + "}\n"
)


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
    text = 'font-family="system-ui, sans-serif" font-size="11" fill="currentColor"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {text}>',
        f"<title>{escape(what)}</title>",
        f'<text x="{LEFT}" y="16" font-size="13" font-weight="600">{escape(title)}</text>',
        *_axes(x, y),
        *(part for i, series in enumerate(lines.values()) for part in _line(thinned(series), x, y, i)),
        *_legend(list(lines), missing),
        "</svg>",
    ]
    return "\n".join(parts)


def _value_axis(values: np.ndarray) -> _Axis:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    bottom, top = float(HEIGHT - BOTTOM), float(TOP)
    if low > 0 and high >= LOG_FROM * low and high >= LOG_ABOVE_MEDIAN * float(np.median(values)):
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
    parts = ['<g stroke="currentColor" stroke-opacity="0.15">']
    parts += [f'<line x1="{x(v):.2f}" x2="{x(v):.2f}" y1="{y.start}" y2="{y.end}"/>' for v, _ in x.ticks]
    parts += [f'<line x1="{x.start}" x2="{x.end}" y1="{y(v):.2f}" y2="{y(v):.2f}"/>' for v, _ in y.ticks]
    parts += ["</g>"]
    parts += [f'<text class="x" x="{x(v):.2f}" y="{y.start + 14}" text-anchor="middle">{label}</text>' for v, label in x.ticks]
    parts += [
        f'<text class="y" x="{x.start - 5}" y="{y(v):.2f}" dy="4" text-anchor="end">{label}</text>' for v, label in y.ticks
    ]
    return [*parts, f'<text x="{x.end}" y="{HEIGHT - 6}" text-anchor="end">step</text>']


def _line(series: Series, x: _Axis, y: _Axis, i: int) -> list[str]:
    """A polyline for each unbroken stretch of numbers; a number between two gaps is a dot."""
    breaks = np.flatnonzero(~series.finite)
    parts = []
    for stretch in np.split(np.arange(len(series)), breaks):
        points = [(x(float(series.steps[j])), y(float(series.values[j]))) for j in stretch if series.finite[j]]
        if len(points) == 1:
            parts.append(f'<circle {_look(i)} cx="{points[0][0]:.2f}" cy="{points[0][1]:.2f}" r="2"/>')
        elif points:
            parts.append(f'<polyline {_look(i)} points="{" ".join(f"{a:.2f},{b:.2f}" for a, b in points)}"/>')
    return parts


def _look(i: int) -> str:
    """Attributes of the ``i``-th line."""
    i %= len(COLOURS)
    return f'class="l{i}" fill="none" stroke="{COLOURS[i]}" stroke-dasharray="{DASHES[i]}" stroke-width="1.6"'


def _legend(names: list[str], missing: int) -> list[str]:
    parts, at = [], float(LEFT)
    for i, name in enumerate(names if len(names) > 1 else []):
        parts += [
            f'<line {_look(i)} x1="{at:.0f}" x2="{at + 24:.0f}" y1="29" y2="29"/>',
            f'<text x="{at + 28:.0f}" y="33">{escape(name)}</text>',
        ]
        at += 44 + 6.5 * len(name)
    if missing:
        parts.append(f'<text x="{WIDTH - RIGHT}" y="16" text-anchor="end">{missing} not finite</text>')
    return parts
