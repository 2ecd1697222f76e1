"""The documented long path of :mod:`artifex.modalities.timeseries`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.timeseries import (
        ChannelConfig as ChannelConfig,
        TimeseriesModality as TimeseriesModality,
        TimeseriesModalityConfig as TimeseriesModalityConfig,
        TimeseriesModel as TimeseriesModel,
        TimeseriesModelAdapter as TimeseriesModelAdapter,
        constraints as constraints,
        datasets as datasets,
        filled as filled,
        metrics as metrics,
        padded as padded,
        transforms as transforms,
        windows as windows,
    )

_NAMES = (
    "ChannelConfig",
    "TimeseriesModality",
    "TimeseriesModalityConfig",
    "TimeseriesModel",
    "TimeseriesModelAdapter",
    "constraints",
    "datasets",
    "filled",
    "metrics",
    "padded",
    "transforms",
    "windows",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.timeseries"))
