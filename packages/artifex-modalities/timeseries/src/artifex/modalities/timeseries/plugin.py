"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

from typing import Any

from artifex.core.plugins import DatasetEntry, MetricEntry, ModalityEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_HERE = "artifex.modalities.timeseries"


def _dataset(name: str, module: str, cls: str, summary: str) -> DatasetEntry:
    home = f"{_HERE}.datasets.{module}"
    return DatasetEntry(
        name=name, dataset=f"{home}:{cls}", config=f"{home}:{cls}Config", modality="timeseries", summary=summary
    )


def _metric(function: str, summary: str, paper: str = "", **more: Any) -> MetricEntry:
    module, _, name = function.partition(":")
    given = {"name": name, "higher_is_better": False, "compares": "sets", "tolerance": 0.01, "lowest": 0, **more}
    return MetricEntry(
        metric=f"{_HERE}.metrics.{module}:{name}",
        needs=("samples", "references"),
        modality="timeseries",
        space="host",
        summary=summary,
        paper=paper,
        **given,
    )


@hookimpl
def artifex_modalities() -> list[ModalityEntry]:
    """The modality ``timeseries``."""
    return [
        ModalityEntry(
            name="timeseries",
            modality=f"{_HERE}.modality:TimeseriesModality",
            config=f"{_HERE}.config:TimeseriesModalityConfig",
            summary="Series of one channel or several, of unequal lengths and with gaps; samples as CSV and curves.",
        )
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """Data sets of series."""
    return [
        _dataset("series_file", "series_file", "SeriesFile", "Series of your own: CSV, long or wide, or a .ts file."),
        _dataset("made_series", "made", "MadeSeries", "Sines, ARMA processes or switches between regimes, made."),
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """Metrics that compare series with real ones."""
    warping = "Sakoe and Chiba 1978, doi:10.1109/TASSP.1978.1163055"
    tsgbench = "Ang et al. 2023, arXiv:2309.03755"
    timegan = "Yoon et al. 2019, NeurIPS"
    strength = "Hyndman and Athanasopoulos 2021, Forecasting, section 4.3"
    return [
        _metric("warping:dtw", "Dynamic time warping distance to its own reference.", warping, compares="pairs"),
        _metric("warping:dtw_to_nearest", "Dynamic time warping distance to the nearest reference.", warping),
        _metric("dependence:autocorrelation_difference", "Difference of autocorrelations.", tsgbench),
        _metric("dependence:cross_correlation_difference", "Difference of correlations between channels.", tsgbench),
        _metric("dependence:power_spectrum_distance", "Hellinger's distance between shares of power.", highest=1),
        _metric("dependence:marginal_distribution_difference", "Difference of densities at each step.", tsgbench),
        _metric(
            "components:trend_preservation",
            "Likeness of the strengths of the trend.",
            strength,
            higher_is_better=True,
            highest=1,
        ),
        _metric(
            "components:seasonality_preservation",
            "Likeness of the strengths of the season.",
            strength,
            higher_is_better=True,
            highest=1,
        ),
        _metric(
            "scores:discriminative_score",
            "How well a network tells samples from real series.",
            timegan,
            min_examples=8,
            highest=0.5,
            of_a_half=f"{_HERE}.metrics.scores:discriminative_score_of_one",
        ),
        _metric(
            "scores:predictive_score",
            "Error of real forecasts by a network that learnt from samples.",
            timegan,
            min_examples=8,
            of_a_half=f"{_HERE}.metrics.scores:predictive_score_of_one",
        ),
    ]


@hookimpl
def artifex_suites() -> list[SuiteEntry]:
    """The suite ``series``."""
    return [
        SuiteEntry(
            name="series",
            file=f"{_HERE}:suites/series.yaml",
            summary="Made series: sines, ARMA processes, switches between regimes.",
        )
    ]
