"""The metrics of :mod:`artifex.gan.metrics` batch by batch, which is how they are registered.

Shapes: ``B = examples, D = numbers of an example``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["RelativeSpread", "relative_spread"]


class _Spread(NamedTuple):
    n: int
    mean: Float[np.ndarray, "D"]
    square: float
    """Sum over examples and numbers of the squared distance from the mean."""


class RelativeSpread:
    """``sqrt(sum_d Var(s_d) / sum_d Var(r_d))``, from centred sums that merge (Chan et al. 1983)."""

    def state(self, batch: Mapping[str, Any]) -> dict[str, _Spread]:
        """Of samples and of references, as far as the batch has them."""
        return {name: self._of(batch[name]) for name in ("samples", "references") if name in batch}

    def _of(self, examples: Any) -> _Spread:
        x = np.asarray(examples, np.float64).reshape(len(examples), -1)
        mean = x.mean(axis=0)
        return _Spread(len(x), mean, float(np.sum((x - mean) ** 2)))

    def merge(self, one: dict[str, _Spread], other: dict[str, _Spread]) -> dict[str, _Spread]:
        both = {name: self._merged(one[name], other[name]) for name in one.keys() & other.keys()}
        return {**one, **other, **both}

    def _merged(self, one: _Spread, other: _Spread) -> _Spread:
        count, step = one.n + other.n, other.mean - one.mean
        between = float(step @ step) * one.n * other.n / count
        return _Spread(count, one.mean + step * (other.n / count), one.square + other.square + between)

    def finalize(self, state: dict[str, _Spread]) -> float:
        samples, references = (state[name].square / state[name].n for name in ("samples", "references"))
        return math.sqrt(samples / max(references, np.finfo(np.float32).tiny))


relative_spread = RelativeSpread()
