"""What artifex-core registers itself: data that several families are tried on."""

from __future__ import annotations

from artifex.core.plugins import DatasetEntry, hookimpl

ARTIFEX_API = (1, 1)


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """The data sets."""
    return [
        DatasetEntry(
            name="density",
            dataset="artifex.core.densities.dataset:DensitySamples",
            config="artifex.core.densities.dataset:DensitySamplesConfig",
            summary="Draws of a known density on the plane: two moons, checkerboard, rings and others.",
        ),
    ]
