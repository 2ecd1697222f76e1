"""Time series: how they reach a model and come back, data sets, and how good series of samples are."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.timeseries import (
        constraints as constraints,
        datasets as datasets,
        metrics as metrics,
        transforms as transforms,
    )
    from artifex.modalities.timeseries.adapter import (
        TimeseriesModel as TimeseriesModel,
        TimeseriesModelAdapter as TimeseriesModelAdapter,
    )
    from artifex.modalities.timeseries.config import (
        ChannelConfig as ChannelConfig,
        TimeseriesModalityConfig as TimeseriesModalityConfig,
    )
    from artifex.modalities.timeseries.modality import TimeseriesModality as TimeseriesModality
    from artifex.modalities.timeseries.series import filled as filled, padded as padded, windows as windows

_HERE = "artifex.modalities.timeseries"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ChannelConfig": f"{_HERE}.config",
        "TimeseriesModality": f"{_HERE}.modality",
        "TimeseriesModalityConfig": f"{_HERE}.config",
        "TimeseriesModel": f"{_HERE}.adapter",
        "TimeseriesModelAdapter": f"{_HERE}.adapter",
        "constraints": f"{_HERE}.constraints",
        "datasets": f"{_HERE}.datasets",
        "filled": f"{_HERE}.series",
        "metrics": f"{_HERE}.metrics",
        "padded": f"{_HERE}.series",
        "transforms": f"{_HERE}.transforms",
        "windows": f"{_HERE}.series",
    },
)
