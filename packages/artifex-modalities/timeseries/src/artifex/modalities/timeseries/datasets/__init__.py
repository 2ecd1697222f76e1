"""Data sets of time series: files of one's own, and series that are made."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.timeseries.datasets.made import MadeSeries as MadeSeries, MadeSeriesConfig as MadeSeriesConfig
    from artifex.modalities.timeseries.datasets.series_file import (
        SeriesFile as SeriesFile,
        SeriesFileConfig as SeriesFileConfig,
    )

_HERE = "artifex.modalities.timeseries.datasets"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "MadeSeries": f"{_HERE}.made",
        "MadeSeriesConfig": f"{_HERE}.made",
        "SeriesFile": f"{_HERE}.series_file",
        "SeriesFileConfig": f"{_HERE}.series_file",
    },
)
