"""Metrics for any data: two sets of vectors, neighbours, features, likelihoods."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.evaluation.metrics.frechet import FrechetDistance as FrechetDistance
    from artifex.evaluation.metrics.kernel import kernel_distance as kernel_distance
    from artifex.evaluation.metrics.neighbours import (
        coverage as coverage,
        density as density,
        precision as precision,
        recall as recall,
    )
    from artifex.evaluation.metrics.two_sets import (
        energy_distance as energy_distance,
        maximum_mean_discrepancy as maximum_mean_discrepancy,
        sliced_wasserstein as sliced_wasserstein,
    )

_HOMES = {
    "frechet": ("FrechetDistance",),
    "kernel": ("kernel_distance",),
    "neighbours": ("coverage", "density", "precision", "recall"),
    "two_sets": ("energy_distance", "maximum_mean_discrepancy", "sliced_wasserstein"),
}

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}
)
