"""How good series of samples are: warping distance, dependence on the past, frequencies, trend and season, and two scores."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.timeseries.metrics.components import (
        dominant_period as dominant_period,
        seasonality_preservation as seasonality_preservation,
        strengths as strengths,
        trend_preservation as trend_preservation,
    )
    from artifex.modalities.timeseries.metrics.dependence import (
        autocorrelation as autocorrelation,
        autocorrelation_difference as autocorrelation_difference,
        cross_correlation as cross_correlation,
        cross_correlation_difference as cross_correlation_difference,
        marginal_distribution_difference as marginal_distribution_difference,
        power_spectrum as power_spectrum,
        power_spectrum_distance as power_spectrum_distance,
    )
    from artifex.modalities.timeseries.metrics.scores import (
        Score as Score,
        discriminative as discriminative,
        discriminative_score as discriminative_score,
        predictive as predictive,
        predictive_score as predictive_score,
    )
    from artifex.modalities.timeseries.metrics.warping import dtw as dtw, dtw_to_nearest as dtw_to_nearest

_HERE = "artifex.modalities.timeseries.metrics"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Score": f"{_HERE}.scores",
        "autocorrelation": f"{_HERE}.dependence",
        "autocorrelation_difference": f"{_HERE}.dependence",
        "cross_correlation": f"{_HERE}.dependence",
        "cross_correlation_difference": f"{_HERE}.dependence",
        "discriminative": f"{_HERE}.scores",
        "discriminative_score": f"{_HERE}.scores",
        "dominant_period": f"{_HERE}.components",
        "dtw": f"{_HERE}.warping",
        "dtw_to_nearest": f"{_HERE}.warping",
        "marginal_distribution_difference": f"{_HERE}.dependence",
        "power_spectrum": f"{_HERE}.dependence",
        "power_spectrum_distance": f"{_HERE}.dependence",
        "predictive": f"{_HERE}.scores",
        "predictive_score": f"{_HERE}.scores",
        "seasonality_preservation": f"{_HERE}.components",
        "strengths": f"{_HERE}.components",
        "trend_preservation": f"{_HERE}.components",
    },
)
