"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

import math
from typing import Any

from artifex.core.plugins import DatasetEntry, MetricEntry, ModalityEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_HERE = "artifex.modalities.tabular"


def _dataset(name: str, module: str, cls: str, summary: str) -> DatasetEntry:
    home = f"{_HERE}.datasets.{module}"
    return DatasetEntry(name=name, dataset=f"{home}:{cls}", config=f"{home}:{cls}Config", modality="tabular", summary=summary)


def _metric(function: str, needs: tuple[Any, ...], compares: Any, summary: str, **more: Any) -> MetricEntry:
    module, _, name = function.partition(":")
    given = {"name": name, "higher_is_better": True, "tolerance": 0.005, "lowest": 0, "highest": 1, **more}  # most are shares
    metric = f"{_HERE}.metrics.{module}:{name}"
    return MetricEntry(
        metric=metric, needs=needs, modality="tabular", space="host", compares=compares, summary=summary, **given
    )


@hookimpl
def artifex_modalities() -> list[ModalityEntry]:
    """The modality ``tabular``."""
    return [
        ModalityEntry(
            name="tabular",
            modality=f"{_HERE}.modality:TabularModality",
            config=f"{_HERE}.config:TabularModalityConfig",
            summary="Tables of numbers, levels, truth values and dates, with gaps, as vectors; samples as CSV.",
        )
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """Data sets of tables."""
    return [
        _dataset("table_file", "table_file", "TableFile", "A table of your own: CSV, or Parquet (extra)."),
        _dataset("shipped_table", "shipped", "ShippedTable", "Wine or breast cancer, shipped with scikit-learn."),
        _dataset("mixed_table", "shipped", "MixedTable", "A made table with a column of every kind, and gaps."),
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """Metrics of tables, all of them of whole tables."""
    sdmetrics = "SDMetrics, https://docs.sdv.dev/sdmetrics"
    pair = ("samples", "references")
    return [
        _metric(
            "fidelity:ks_complement",
            pair,
            "sets",
            "One minus Kolmogorov-Smirnov's statistic, mean of columns.",
            paper=sdmetrics,
        ),
        _metric(
            "fidelity:tv_complement", pair, "sets", "One minus total variation of levels, mean of columns.", paper=sdmetrics
        ),
        _metric("fidelity:correlation_similarity", pair, "sets", "Likeness of correlations, mean of pairs.", paper=sdmetrics),
        _metric("fidelity:contingency_similarity", pair, "sets", "Likeness of joint levels, mean of pairs.", paper=sdmetrics),
        _metric("quality:missing_similarity", pair, "sets", "Likeness of the shares of gaps.", paper=sdmetrics),
        _metric("quality:in_range", pair, "sets", "Share of values that the real table could have."),
        _metric("quality:completeness", ("samples",), "samples", "Share of cells that are not missing."),
        _metric("quality:duplicates", ("samples",), "samples", "Share of rows that stood before.", higher_is_better=False),
        _metric(
            "privacy:membership_auc",
            ("samples", "training", "holdout"),
            "sets",
            "How well closeness to samples tells training rows from held-out ones; 1/2 is not at all.",
            higher_is_better=False,
            min_examples=100,
            tolerance=0.01,
            paper="Chen et al. 2020, arXiv:1909.03935",
        ),
        _metric(
            "privacy:distance_to_closest_record",
            ("samples", "training"),
            "sets",
            "Distance to the closest training row.",
            highest=math.inf,
            paper="Zhao et al. 2021, arXiv:2102.08369",
        ),
        _metric(
            "privacy:nearest_neighbour_ratio",
            ("samples", "training"),
            "sets",
            "Distance to the closest training row over that to the second closest.",
            paper="Zhao et al. 2021, arXiv:2102.08369",
        ),
        _metric(
            "quality:training_copies",
            ("samples", "training"),
            "sets",
            "Share of samples that are a training row.",
            higher_is_better=False,
        ),
        _metric(
            "privacy:k_anonymity",
            ("samples",),
            "samples",
            "Size of the smallest group of rows with the same levels.",
            tolerance=1.0,
            lowest=1,
            highest=math.inf,
            unit="rows",
            paper="Sweeney 2002, doi:10.1142/S0218488502001648",
        ),
        _metric(
            "usefulness:train_synthetic_test_real",
            ("samples", "training", "references"),
            "sets",
            "Score on real rows of a forest that learnt from samples.",
            min_examples=20,
            tolerance=0.01,
            lowest=-math.inf,  # R²
            of_a_half=f"{_HERE}.metrics.usefulness:synthetic_of_a_small_forest",
            paper="Esteban et al. 2017, arXiv:1706.02633",
        ),
        _metric(
            "usefulness:train_real_test_real",
            ("samples", "training", "references"),
            "sets",
            "Score on the same rows of a forest that learnt from real rows.",
            min_examples=20,
            tolerance=0.01,
            lowest=-math.inf,  # R²
            of_a_half=f"{_HERE}.metrics.usefulness:real_of_a_small_forest",
            paper="Esteban et al. 2017, arXiv:1706.02633",
        ),
    ]


@hookimpl
def artifex_suites() -> list[SuiteEntry]:
    """The suite ``tables``."""
    return [
        SuiteEntry(
            name="tables",
            file=f"{_HERE}:suites/tables.yaml",
            summary="Wine, breast cancer, and a made table with a column of every kind.",
        )
    ]
