"""What is wrong with a table on its face: gaps, rows that stand twice, values out of range."""

from __future__ import annotations

import numpy as np
import pandas as pd

from artifex.modalities.tabular.metrics.fidelity import LEVELS, NUMBERS, both
from artifex.modalities.tabular.rows import TableLike, frame_of

__all__ = ["completeness", "duplicates", "in_range", "missing_similarity", "training_copies"]


def completeness(samples: TableLike) -> float:
    """Share of cells that are not missing.

    >>> completeness(pd.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}))
    0.75
    """
    return float(frame_of(samples).notna().to_numpy().mean())


def missing_similarity(samples: TableLike, references: TableLike) -> float:
    """Mean over columns of ``1 - |m - n|`` with the shares m and n of missing values, as SDMetrics has it."""
    real = frame_of(references, name="references")
    shares = (frame.isna().to_numpy().mean(axis=0) for frame in (frame_of(samples, real), real))
    return float(1 - np.abs(np.subtract(*shares)).mean())


def duplicates(samples: TableLike) -> float:
    """Share of rows that stood before.

    >>> duplicates(pd.DataFrame({"a": [1, 1, 2, 1]}))
    0.5
    """
    return float(frame_of(samples).duplicated().mean())


def training_copies(samples: TableLike, training: TableLike) -> float:
    """Share of samples that are a training row to the last value; gaps equal gaps.

    >>> training_copies(pd.DataFrame({"a": [1, 5]}), pd.DataFrame({"a": [1, 2]}))
    0.5
    """
    real = frame_of(training, name="training")
    rows = pd.concat([real, frame_of(samples, real)], ignore_index=True)
    groups = rows.groupby(list(real.columns), dropna=False, observed=True, sort=False).ngroup().to_numpy()
    return float(np.isin(groups[len(real) :], groups[: len(real)]).mean())


def in_range(samples: TableLike, references: TableLike) -> float:
    """Share of values, gaps left out, that the real table could have: numbers and dates in its range, levels among its own.

    NaN where all values are missing.

    >>> in_range(pd.DataFrame({"a": [1, 5]}), pd.DataFrame({"a": [1, 2]}))
    0.5
    """
    made, real = both(samples, references)
    fits: list[np.ndarray] = []
    for name in real.names(*NUMBERS):
        values, own = made.frame[name].dropna(), real.frame[name].dropna()
        within = values.between(own.min(), own.max()) if len(own) else pd.Series(False, index=values.index)
        fits.append(within.to_numpy(dtype=bool))
    for name in real.names(*LEVELS):
        values, own = made.frame[name].dropna().astype("object"), set(real.frame[name].dropna().astype("object"))
        fits.append(np.array([value in own for value in values], bool))
    found = np.concatenate(fits)
    return float(found.mean()) if len(found) else float("nan")
