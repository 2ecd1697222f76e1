"""What SDMetrics 0.32 says of random tables: the reference of `test_tabular_fidelity.py`.

    python packages/artifex-modalities/tabular/tests/frozen_sdmetrics.py

writes `frozen_sdmetrics.npz` beside itself, from which the everyday tests read. It wants pandas < 3: `nox -s oracles` has an
environment of its own, in which the tests marked `reference` compare live.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
from sdmetrics.single_column import KSComplement, TVComplement

HERE = Path(__file__).parent


def figures(tables: Callable[[int], tuple[pd.DataFrame, pd.DataFrame]], cases: int) -> np.ndarray:
    """Four figures a case, NaN where SDMetrics has none."""
    return np.array([case(*tables(seed)) for seed in range(cases)])


def case(samples: pd.DataFrame, references: pd.DataFrame) -> list[float]:
    """Of one pair of tables."""
    return [
        _figure(KSComplement, references["a"], samples["a"]),
        _figure(TVComplement, references["c"], samples["c"]),
        _figure(CorrelationSimilarity, references[["a", "b"]], samples[["a", "b"]]),
        _figure(ContingencySimilarity, references[["c", "d"]], samples[["c", "d"]]),
    ]


def _figure(metric: type, real: object, made: object) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant input, which gives NaN
        try:
            return float(metric.compute(real_data=real, synthetic_data=made))
        except Exception:  # what cannot be computed is an error there and NaN here
            return float("nan")


if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("cases", HERE / "test_tabular_fidelity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.savez_compressed(HERE / "frozen_sdmetrics.npz", figures=figures(module.tables, module.CASES))
