"""Configs of the time series modality: the form that a series takes on its way to a model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from artifex.core.config import Config, config

__all__ = ["ChannelConfig", "TimeseriesModalityConfig"]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


@config
class ChannelConfig(Config):
    """One channel of a series, and what is learnt of it from the training series.

    >>> ChannelConfig(channel="temperature", centre=12.5, scale=3.0).scale
    3.0
    """

    channel: Annotated[str, Field(min_length=1)]
    """Its name."""
    centre: Finite = 0.0
    """What is taken from its values; with ``difference``, from the first of each series."""
    scale: Positive = 1.0
    """What they are divided by then."""
    change_centre: Finite = 0.0
    """With ``difference``: what is taken from the change from one step to the next."""
    change_scale: Positive = 1.0
    """With ``difference``: what changes are divided by then."""
    gaps: bool = False
    """Whether values are missing within the training series."""


@config
class TimeseriesModalityConfig(Config):
    """What a model is given as ``x``: float32 ``(length, channels)``, and ``mask`` where series are shorter.

    Stored series are converted in this order: gaps, differences, scale. Channels that say what is missing come last.

        >>> TimeseriesModalityConfig(length=24).scaling
        'standard'
    """

    length: Annotated[int, Field(ge=2)]
    """Steps of the model's series; shorter ones are padded, longer ones refused."""
    scaling: Literal["standard", "range", "none"] = "standard"
    """``standard``: zero mean, unit deviation of the training series. ``range``: from -1 to 1. ``none``: as they are."""
    missing: Literal["forward", "linear", "mask"] = "linear"
    """A gap within a series: the last value before it (at the start, the first after it), the line between its ends, or
    (``mask``) the channel's mean and a channel beside that is 1 where there is a gap and else -1, from which samples have gaps
    again."""
    difference: bool = False
    """The change from each step to the next in the place of all values but the first."""
    flatten: bool = False
    """Series as vectors of ``length * channels`` elements, for models of vectors."""
    channels: tuple[ChannelConfig, ...] = ()
    """The channels, learnt from the training series; a run fills them in."""

    def __post_init__(self) -> None:
        names = [channel.channel for channel in self.channels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"channels are named once each; given twice: {', '.join(twice)}")
        if self.difference and self.missing == "mask":
            raise ValueError("difference needs a value at every step: set missing to 'forward' or 'linear'")
