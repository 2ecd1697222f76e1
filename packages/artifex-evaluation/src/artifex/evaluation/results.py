"""What an evaluation gives: figures with intervals, per-example values, and signatures that say what may be compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError

__all__ = ["EvaluationResult", "MetricResult", "Signature", "check_comparable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a figure is of. Two figures are compared only where all of it is the same.

    Example:
        >>> str(Signature(metric="psnr", definition="image.metrics:psnr", version="0.1.0", estimator="streamed over 9"))
        'psnr|image.metrics:psnr|v:0.1.0|streamed over 9'
    """

    metric: str
    """Its name."""
    definition: str
    """Target of the function or object."""
    version: str
    """Of the distribution that registers it."""
    estimator: str
    """How it is computed, and from how many examples."""
    features: str = ""
    """Network, checksum of its weights and resizing, of a metric that compares features."""
    data: str = ""
    """Data set, split and checksum of the references."""

    def __str__(self) -> str:
        named = {"v": self.version, "features": self.features, "data": self.data}
        parts = [self.metric, self.definition, f"v:{self.version}", self.estimator]
        return "|".join([*parts, *(f"{k}:{v}" for k, v in named.items() if v and k != "v")])


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricResult:
    """One figure."""

    name: str
    value: float
    low: float = math.nan
    """Lower end of the interval; NaN where there is none."""
    high: float = math.nan
    spread: float = math.nan
    """Standard deviation over seeds, of which the figure is the mean; NaN of one seed."""
    level: float = 0.95
    """Of confidence."""
    method: str = ""
    """What the interval is made by."""
    n: int
    """Examples."""
    signature: Signature
    higher_is_better: bool
    unit: str = ""
    tolerance: float = 0.0
    """Changes below it matter to nobody."""
    seconds: float = 0.0
    """What it took, without what an earlier metric or evaluation had computed."""
    per_example: np.ndarray | None = field(default=None, repr=False, compare=False)
    """``(N,)``: each example's share, whose mean is the figure or, where that is no mean, comes near it."""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        interval = f" [{self.low:.5g}, {self.high:.5g}]" if math.isfinite(self.low) else ""
        spread = f" ± {self.spread:.5g} over seeds" if math.isfinite(self.spread) else ""
        return f"{self.value:.5g}{interval}{unit}{spread}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the per-example values; what is no finite number is None, as JSON knows none."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name not in ("per_example", "signature")}
        plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}
        return {**plain, "signature": asdict(self.signature)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], per_example: np.ndarray | None = None) -> MetricResult:
        """What :meth:`to_dict` gave."""
        known = {name: fields[name] for name in cls.__slots__ if name in fields}
        numbers = {name: math.nan for name in ("value", "low", "high", "spread") if known.get(name) is None}
        return cls(**{**known, **numbers, "signature": Signature(**fields["signature"]), "per_example": per_example})


@dataclass(slots=True)
class EvaluationResult(Mapping[str, MetricResult]):
    """Figures by name, and what became of the other metrics.

    Example:
        >>> result = EvaluationResult("run", {}, failures={"fid": "no weights"})
        >>> len(result), result.ok
        (0, False)
    """

    subject: str
    """What was evaluated."""
    metrics: dict[str, MetricResult]
    """Figures by the metric's name."""
    failures: dict[str, str] = field(default_factory=dict)
    """What went wrong with metrics that were to be computed."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Why others of the registry do not apply."""
    seconds: float = 0.0
    seconds_per_sample: float = math.nan
    """Of drawing, compilation left out; NaN where not two blocks of samples were drawn."""
    by_seed: dict[int, EvaluationResult] = field(default_factory=dict)
    """The results that this one is the mean of, where a suite has several seeds."""

    def __getitem__(self, name: str) -> MetricResult:
        return self.metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    @property
    def ok(self) -> bool:
        """Whether every metric was computed."""
        return not self.failures

    def reasons(self) -> dict[str, list[str]]:
        """What keeps metrics from applying, and which ones: the rarest reasons, which are of this model, first."""
        found: dict[str, list[str]] = {}
        for name, why in self.skipped.items():
            found.setdefault(why, []).append(name)
        return dict(sorted(found.items(), key=lambda item: len(item[1])))

    def table(self) -> str:
        """The figures as lines of text."""
        arrows = {True: "higher is better", False: "lower is better"}
        rows = [
            (r.name, f"{r.value:.5g}", _interval(r), r.unit, f"n={r.n}", arrows[r.higher_is_better])
            for r in self.metrics.values()
        ]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(6)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *(f"{name}  failed: {reason}" for name, reason in self.failures.items())])


def _interval(result: MetricResult) -> str:
    interval = f"[{result.low:.5g}, {result.high:.5g}]" if math.isfinite(result.low) else ""
    return f"{interval} ± {result.spread:.5g} over seeds".strip() if math.isfinite(result.spread) else interval


def check_comparable(one: MetricResult, other: MetricResult) -> None:
    """Refuse to compare figures of different things.

    Raises:
        InvalidInputError: the signatures differ; the message shows both.
    """
    if one.signature != other.signature:
        differing = [f for f in Signature.__slots__ if getattr(one.signature, f) != getattr(other.signature, f)]
        raise InvalidInputError(
            f"figures of {one.name!r} with different signatures are not compared; they differ in {', '.join(differing)}:\n"
            f"  {one.signature}\n  {other.signature}\n"
            "Evaluate both anew, with the same versions, options and data; the figures that there are stay where they are"
        )
