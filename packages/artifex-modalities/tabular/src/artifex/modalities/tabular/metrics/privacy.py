"""Whether a table gives away the rows that its model was trained on.

The figure that leads is :func:`membership_auc`: it is set against real rows that were held out. A distance to the closest
record alone says little, since there is no knowing how close is too close.

Distances are Euclidean between rows as vectors: numbers and dates in standard deviations of the real table, levels as
``1 / sqrt 2`` at their own place, so that two different ones are 1 apart; a gap is a level.

Shapes: ``N`` rows, ``D`` elements of such a vector.
"""

# pandas annotates most results as unions that cannot be narrowed
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from artifex.core.errors import InvalidInputError
from artifex.modalities.tabular.metrics.fidelity import LEVELS, NUMBERS, numbers
from artifex.modalities.tabular.rows import Table, TableLike, as_table, frame_of

__all__ = ["distance_to_closest_record", "k_anonymity", "membership_auc", "nearest_neighbour_ratio", "roc_auc"]


def distance_to_closest_record(samples: TableLike, training: TableLike) -> np.ndarray:
    """Distance of each sample to the training row that is closest to it, ``(N,)``; 0 for a copy.

    Z. Zhao, A. Kunar, R. Birke, L. Y. Chen 2021, "CTAB-GAN" (arXiv:2102.08369), section 4.3.

    Args:
        samples: a table.
        training: the rows that the model was trained on.

    >>> distance_to_closest_record(pd.DataFrame({"a": ["x", "z"]}), pd.DataFrame({"a": ["x", "y"]})).round(4).tolist()
    [0.0, 1.0]
    """
    made, real = _vectors((samples, "samples"), training=training)
    return _nearest(made, real, 1)[:, 0]


def nearest_neighbour_ratio(samples: TableLike, training: TableLike) -> np.ndarray:
    """Distance of each sample to the closest training row over that to the second closest, ``(N,)``, in [0, 1].

    Near 0 a sample singles one row out (Zhao et al. 2021, arXiv:2102.08369, section 4.3). Where both are 0 it is 1.

    Raises:
        InvalidInputError: there are fewer than two training rows.

    >>> nearest_neighbour_ratio(pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [0.0, 3.0]})).round(4).tolist()
    [0.5]
    """
    made, real = _vectors((samples, "samples"), training=training)
    if len(real) < 2:
        raise InvalidInputError("the nearest-neighbour ratio needs two training rows or more, got 1")
    first, second = _nearest(made, real, 2).T
    return np.divide(first, second, out=np.ones_like(first), where=second > 0)


def membership_auc(samples: TableLike, training: TableLike, holdout: TableLike) -> float:
    """How well the distance to the closest sample tells training rows from held-out ones: an area under the ROC curve.

    1/2: not at all, as for a model that has learnt the distribution alone. 1: every training row lies closer to the samples
    than every held-out row. The attack is that of D. Chen, N. Yu, Y. Zhang, M. Fritz 2020, "GAN-Leaks" (arXiv:1909.03935),
    section 4, with samples at hand and nothing else.

    Args:
        samples: a table.
        training: rows that the model was trained on.
        holdout: rows of the same kind that it was not.

    >>> train, rest = pd.DataFrame({"a": [0.0, 1.0, 2.0]}), pd.DataFrame({"a": [0.4, 1.6, 2.7]})
    >>> membership_auc(train, train, rest)
    1.0
    """
    made, members, others = _vectors((samples, "samples"), (holdout, "holdout"), training=training, order=(0, 2, 1))
    return roc_auc(-_nearest(members, made, 1)[:, 0], -_nearest(others, made, 1)[:, 0])


def roc_auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve, ``P(p > n) + P(p = n) / 2`` for scores p and n.

    >>> float(roc_auc(np.array([1.0, 2.0]), np.array([0.0, 1.0])))
    0.875
    """
    ranked = np.sort(negative)
    below, up_to = (np.searchsorted(ranked, positive, side=side) for side in ("left", "right"))
    return float(np.mean(below + up_to) / (2 * len(negative)))


def k_anonymity(samples: TableLike, *, identifiers: Sequence[str] | None = None) -> int:
    """Size of the smallest group of rows that agree in all identifiers: each hides among at least ``k - 1`` others.

    L. Sweeney 2002, "k-anonymity: a model for protecting privacy" (doi:10.1142/S0218488502001648), definition 3.

    Args:
        samples: a table.
        identifiers: columns by which somebody could be found; by default all that have levels.

    Raises:
        InvalidInputError: there is no such column.

    >>> k_anonymity(pd.DataFrame({"town": list("aab"), "smokes": [True, True, False]}))
    1
    """
    names = as_table(samples).names(*LEVELS) if identifiers is None else list(identifiers)
    frame = frame_of(samples)
    if absent := [name for name in names if name not in frame.columns]:
        raise InvalidInputError(f"samples has no column {absent[0]!r}; it has {', '.join(frame.columns)}")
    if not names:
        return len(frame)
    return int(frame.groupby(names, dropna=False, observed=True).size().min())


def _vectors(*tables: tuple[TableLike, str], training: TableLike, order: Sequence[int] | None = None) -> list[np.ndarray]:
    """Each table as vectors ``(N, D)``, the training rows last; ``order`` is in which they are given back."""
    real = as_table(training, name="training")
    made = [*(as_table(table, real, name=name) for table, name in tables), real]
    vectors = np.split(_joint_vectors(made, real), np.cumsum([len(table) for table in made])[:-1])
    return [vectors[i] for i in (order or range(len(made)))]


def _joint_vectors(tables: Sequence[Table], real: Table) -> np.ndarray:
    parts = []
    for column in real.columns:
        values = pd.concat([table.frame[column.column].astype("object") for table in tables], ignore_index=True)
        gaps = values.isna().to_numpy()
        if column.variant in NUMBERS:
            own = numbers(real.frame[column.column])
            parts.append(_standardised(values, gaps, own, column.variant, real.frame[column.column].dtype))
        else:
            codes = pd.factorize(pd.Series(np.where(gaps, "", values)).map(lambda value: f"{type(value).__name__}:{value}"))[0]
            codes = np.where(gaps, -1, codes)
            _, codes = np.unique(codes, return_inverse=True)
            parts.append(np.eye(codes.max() + 1)[codes] / np.sqrt(2))
        if column.variant in NUMBERS and gaps.any():
            parts.append(gaps[:, None].astype(np.float64))
    return np.concatenate(parts, axis=1)


def _standardised(values: pd.Series, gaps: np.ndarray, own: np.ndarray, variant: str, dtype: Any) -> np.ndarray:
    """In standard deviations of ``own``, from its mean; a gap lies at the mean."""
    there = numbers(values[~gaps].astype(dtype) if variant == "date" else values[~gaps])
    centre = own.min() if len(own) else 0  # first, so that counts of nanoseconds keep their digits
    own, there = (own - centre).astype(np.float64), (there - centre).astype(np.float64)
    std = own.std() if len(own) else 0.0
    made = np.zeros(len(values))
    made[~gaps] = (there - (own.mean() if len(own) else 0.0)) / (std or 1.0)
    return made[:, None]


def _nearest(points: np.ndarray, among: np.ndarray, k: int) -> np.ndarray:
    """Distances ``(N, k)`` to the k nearest."""
    from sklearn.neighbors import NearestNeighbors

    # trees subtract coordinates, so that a copy lies at 0 exactly; the matrix product of the brute form leaves rounding
    return NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(among).kneighbors(points)[0]
