"""What a table is worth for training: a predictor that learnt from samples, beside one that learnt from real rows.

C. Esteban, S. L. Hyland, G. Ratsch 2017, "Real-valued (medical) time series generation with recurrent conditional GANs"
(arXiv:1706.02633), section 3.2: train on synthetic, test on real (TSTR), beside train on real, test on real (TRTR).
"""

# pandas annotates most results as unions that cannot be narrowed
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from artifex.core.errors import InvalidInputError
from artifex.modalities.tabular.metrics.fidelity import NUMBERS, numbers
from artifex.modalities.tabular.rows import Table, TableLike, as_table

__all__ = [
    "Utility",
    "real_of_a_small_forest",
    "synthetic_of_a_small_forest",
    "train_real_test_real",
    "train_synthetic_test_real",
    "utility",
]

TREES = 100
SMALL = 20
"""Trees of a forest for the interval."""
SYNTHETIC, REAL, REFERENCES = range(3)


@dataclass(frozen=True, slots=True)
class Utility:
    """Scores of a random forest on the same real rows."""

    synthetic: float
    """Of the one that learnt from samples."""
    real: float
    """Of the one that learnt from real rows."""
    target: str
    """What they predict."""
    score: str
    """``balanced accuracy`` or ``R2``."""


def utility(
    samples: TableLike, training: TableLike, references: TableLike, *, target: str | None = None, seed: int = 0
) -> Utility:
    """Train on synthetic and test on real, beside train on real and test on real.

    A random forest of 100 trees (Breiman 2001, doi:10.1023/A:1010933404324) predicts one column from all others: its balanced
    accuracy where that has levels, else R². Chance is 1 over the number of levels, and 0.

    Args:
        samples: a table.
        training: real rows.
        references: real rows to test on, which neither was trained on.
        target: the column to predict; by default the last one.
        seed: of the forest.

    Raises:
        InvalidInputError: there is no such column, or it is the only one, or it is missing throughout.
    """
    prepared = _prepared(samples, training, references, target)
    return Utility(
        _score(prepared, SYNTHETIC, TREES, seed),
        _score(prepared, REAL, TREES, seed),
        target=prepared.target,
        score="R2" if prepared.is_number else "balanced accuracy",
    )


def train_synthetic_test_real(samples: TableLike, training: TableLike, references: TableLike, *, trees: int = TREES) -> float:
    """Score on real rows of a forest that learnt from samples, predicting the last column: see :func:`utility`."""
    return _score(_prepared(samples, training, references), SYNTHETIC, trees)


def train_real_test_real(samples: TableLike, training: TableLike, references: TableLike, *, trees: int = TREES) -> float:
    """Score on the same rows of a forest that learnt from the real training rows: what TSTR is to be read beside."""
    return _score(_prepared(samples, training, references), REAL, trees)


synthetic_of_a_small_forest = partial(train_synthetic_test_real, trees=SMALL)
"""What the interval of :func:`train_synthetic_test_real` is made of: a small forest varies more, so it is too wide at worst."""
real_of_a_small_forest = partial(train_real_test_real, trees=SMALL)
"""What the interval of :func:`train_real_test_real` is made of."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Inputs and answers of samples, training rows and references."""

    inputs: list[np.ndarray]
    answers: list[np.ndarray]
    is_number: bool
    target: str


def _prepared(samples: TableLike, training: TableLike, references: TableLike, target: str | None = None) -> _Prepared:
    real = as_table(training, name="training")
    tables = [as_table(samples, real), real, as_table(references, real, name="references")]
    column = real.columns[-1] if target is None else next((c for c in real.columns if c.column == target), None)
    if column is None:
        raise InvalidInputError(
            f"training has no column {target!r} to predict; it has {', '.join(c.column for c in real.columns)}"
        )
    if len(real.columns) < 2:
        raise InvalidInputError(f"there is nothing to predict {column.column!r} from: it is the only column")
    inputs, is_number = _inputs(tables, real, column.column), column.variant in NUMBERS
    known = [table.frame[column.column].notna().to_numpy() for table in tables]
    if empty := [name for name, rows in zip(("samples", "training", "references"), known, strict=True) if not rows.any()]:
        raise InvalidInputError(f"{empty[0]} has no value of the column {column.column!r}, which is to be predicted")
    values = [table.frame[column.column][rows] for table, rows in zip(tables, known, strict=True)]
    answers = [_answers(one, values[REAL] if is_number else None) for one in values]
    inputs = [x[rows] for x, rows in zip(inputs, known, strict=True)]
    return _Prepared(inputs, answers, is_number, column.column)


def _answers(values: pd.Series, own: pd.Series | None) -> np.ndarray:
    """Levels as texts; numbers from the real median on, which is where a sum of squares keeps its digits."""
    if own is None:
        return values.astype("object").map(str).to_numpy(dtype=str)
    return (numbers(values) - np.median(numbers(own))).astype(np.float64)


def _inputs(tables: list[Table], real: Table, target: str) -> list[np.ndarray]:
    """All other columns as numbers: gaps at the real median with a flag beside, levels one-hot.

    Numbers are counted from that median, since forests see float32, in which an offset takes the digits.
    """
    parts: list[list[np.ndarray]] = [[] for _ in tables]
    for column in real.columns:
        if column.column == target:
            continue
        values = [table.frame[column.column] for table in tables]
        gaps = [one.isna().to_numpy() for one in values]
        if column.variant in NUMBERS:
            own = numbers(values[1])
            middle = float(np.median(own)) if len(own) else 0.0
            for part, one, gap in zip(parts, values, gaps, strict=True):
                filled = np.zeros(len(one))
                filled[~gap] = numbers(one) - middle
                part.append(np.stack([filled, gap], axis=1))
            continue
        levels = {level: i for i, level in enumerate(dict.fromkeys(map(str, values[1].dropna().astype("object"))))}
        for part, one, gap in zip(parts, values, gaps, strict=True):
            codes = [
                len(levels) if empty else levels.get(str(value), len(levels)) for value, empty in zip(one, gap, strict=True)
            ]
            part.append(np.eye(len(levels) + 1)[codes])
    return [np.concatenate(part, axis=1) for part in parts]


def _score(prepared: _Prepared, learnt: int, trees: int, seed: int = 0) -> float:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    forest = (RandomForestRegressor if prepared.is_number else RandomForestClassifier)(trees, random_state=seed)
    forest.fit(prepared.inputs[learnt], prepared.answers[learnt])
    found, answers = np.asarray(forest.predict(prepared.inputs[REFERENCES])), prepared.answers[REFERENCES]
    if not prepared.is_number:
        return float(np.mean([np.mean(found[answers == level] == level) for level in np.unique(answers)]))
    spread = np.sum((answers - answers.mean()) ** 2)
    return float(1 - np.sum((answers - found) ** 2) / spread) if spread > 0 else float("nan")
