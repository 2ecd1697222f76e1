"""Time series on their way to a model and back: ``prepare`` inside the compiled step, ``restore`` and files after it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from artifex.core.checks import check_any_samples
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.modalities.timeseries import transforms
from artifex.modalities.timeseries.config import ChannelConfig, TimeseriesModalityConfig
from artifex.modalities.timeseries.picture import write_picture
from artifex.modalities.timeseries.series import filled, lengths_of, padded

__all__ = ["TimeseriesModality"]

FIT = "TimeseriesModality.fit(series) learns from series, and a run learns from its training split by itself"


@dataclass(frozen=True, slots=True)
class TimeseriesModality:
    """Series of numbers at equal steps, of one channel or several, of unequal lengths and with gaps.

    Follows :class:`artifex.core.protocols.ModalityProtocol`, :class:`~artifex.core.protocols.FitsData`,
    :class:`~artifex.core.protocols.Restores`, :class:`~artifex.core.protocols.HasHostForm`,
    :class:`~artifex.core.protocols.DrawsSamples` and :class:`~artifex.core.protocols.ChecksData`.

    Equal configs make equal, equally hashed modalities, so that one can be a static argument of a jitted function.

    Args:
        config: the form of the series. Its channels are learnt by :meth:`fitted` or :meth:`fit`.

    Example:
        >>> series = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
        >>> modality = TimeseriesModality.fit(series)
        >>> x = modality.prepare({"x": series[..., None]}, train=False)["x"]
        >>> x.shape, round(float(x.std()), 4), modality.restore(x)[0, :, 0].round(4).tolist()
        ((2, 3, 1), 1.0, [1.0, 2.0, 3.0])
    """

    config: TimeseriesModalityConfig

    def __post_init__(self) -> None:
        if not isinstance(self.config, TimeseriesModalityConfig):
            raise InvalidTypeError(
                f"TimeseriesModality takes a TimeseriesModalityConfig, got {type(self.config).__name__}: {self.config!r}"
            )

    @classmethod
    def fit(
        cls, series: Any, config: TimeseriesModalityConfig | None = None, *, names: Sequence[str] = ()
    ) -> TimeseriesModality:
        """A modality that has learnt from ``series``, which are the training series alone.

        Args:
            series: an array ``(N, L, C)`` or ``(N, L)``, or a list of arrays ``(L, C)``; NaN for gaps.
            config: the form of the series; by default standardised and as long as the longest.
            names: of the channels.

        Raises:
            InvalidInputError: the series do not fit each other, or the names them.
        """
        x = padded(series)
        names = tuple(names) or tuple(f"channel_{i}" for i in range(x.shape[2]))
        if len(names) != x.shape[2]:
            raise InvalidInputError(f"{len(names)} names for {x.shape[2]} channels; give one for each")
        config = config or TimeseriesModalityConfig(length=x.shape[1])
        inside = np.arange(x.shape[1]) < lengths_of(x)[:, None]
        return cls(config.replace(channels=_learnt(x, names, config, inside)))

    def fitted(self, dataset: Any, split: str) -> TimeseriesModality:
        """A modality that has learnt from one split of a data set of series, which has ``channels`` and ``arrays(split)``.

        Raises:
            DataError: it is no data set of series; or the modality has learnt from one with other channels.
        """
        names = getattr(dataset, "channels", None)
        if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(
                f"the modality 'timeseries' needs a data set of series (series_file, made_series), got {type(dataset).__name__}"
            )
        if self.config.channels:
            learnt = tuple(channel.channel for channel in self.config.channels)
            if learnt != names:
                raise DataError(
                    f"the modality has learnt the channels {', '.join(learnt)}, but the data set has {', '.join(names)}"
                )
            return self
        arrays = dataset.arrays(split)
        x = np.asarray(arrays["x"], np.float64)
        inside = np.asarray(arrays["mask"], bool) if "mask" in arrays else np.ones(x.shape[:2], bool)
        x = np.where(inside[..., None], x, np.nan)
        return TimeseriesModality(self.config.replace(channels=_learnt(x, names, self.config, inside)))

    @property
    def channels(self) -> tuple[ChannelConfig, ...]:
        """What the channels are. Raises :class:`InvalidInputError` before they are learnt."""
        if not self.config.channels:
            raise InvalidInputError(f"this modality has not learnt its series yet; {FIT}")
        return self.config.channels

    @property
    def _gap_channels(self) -> tuple[int, ...]:
        """Channels beside which another one says what is missing."""
        masked = self.config.missing == "mask"
        return tuple(i for i, channel in enumerate(self.channels) if masked and channel.gaps)

    @property
    def _wide(self) -> tuple[int, int]:
        return self.config.length, len(self.channels) + len(self._gap_channels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one series in model space: ``(length, channels)``, or that of a vector where it is flattened."""
        length, channels = self._wide
        return (length * channels,) if self.config.flatten else (length, channels)

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored series to model input; jitted with the step. Nothing is drawn.

        Args:
            batch: ``x`` of shape ``(B, L, C)`` with NaN for gaps and, where series are shorter, ``mask`` ``(B, L)``, true
                within them. Other keys are handed on.
            rngs: streams, of which none is used.
            train: makes no difference.

        Returns:
            The batch with ``x`` as float32 ``(B, *shape)``, 0 after the end of a series, and ``mask`` ``(B, length)`` where
            there was one or steps had to be added.

        Raises:
            InvalidInputError: ``x`` is missing, or its shape does not fit.
        """
        del rngs, train
        self._check_form(batch)
        x, mask = jnp.asarray(batch["x"], jnp.float32), batch.get("mask")
        short = self.config.length - x.shape[1]
        if short:
            mask = jnp.ones(x.shape[:2], bool) if mask is None else jnp.asarray(mask, bool)
            x, mask = jnp.pad(x, ((0, 0), (0, short), (0, 0))), jnp.pad(mask, ((0, 0), (0, short)))
        made = self._prepared(x, None if mask is None else jnp.asarray(mask, bool))
        made = made.reshape(len(made), *self.shape)
        return {**batch, "x": made} if mask is None else {**batch, "x": made, "mask": jnp.asarray(mask, bool)}

    def _prepared(self, x: Float[Array, "B L C"], mask: Bool[Array, "B L"] | None) -> Float[Array, "B L D"]:
        config, (centre, scale, change_centre, change_scale) = self.config, self._constants
        x = transforms.within(mask, x, jnp.nan) if mask is not None else x
        gaps = jnp.isnan(x)
        if config.missing == "mask":
            x = jnp.where(gaps, centre, x)
        else:
            x = (transforms.fill_forward if config.missing == "forward" else transforms.fill_linear)(x)
        if config.difference:
            x = transforms.difference(x)
            x = jnp.concatenate([(x[:, :1] - centre) / scale, (x[:, 1:] - change_centre) / change_scale], axis=1)
        else:
            x = (x - centre) / scale
        if which := self._gap_channels:
            x = jnp.concatenate([x, jnp.where(gaps[..., list(which)], 1.0, -1.0)], axis=-1)
        return transforms.within(mask, x, 0.0)

    def restore(self, x: Float[Array, "B ..."]) -> Float[Array, "B L C"]:
        """Model space back to the data's own units, ``(B, length, C)``; NaN where channels of gaps say that there is one."""
        if x.shape[1:] != self.shape:
            raise InvalidInputError(f"series of shape (N, {', '.join(map(str, self.shape))}) are needed, got {x.shape}")
        x = jnp.asarray(x, jnp.float32).reshape(len(x), *self._wide)
        centre, scale, change_centre, change_scale = self._constants
        n, which = len(self.channels), self._gap_channels
        values = x[..., :n]
        if self.config.difference:
            first, changes = values[:, :1] * scale + centre, values[:, 1:] * change_scale + change_centre
            return transforms.undo_difference(jnp.concatenate([first, changes], axis=1))
        values = values * scale + centre
        for at, i in enumerate(which):
            values = values.at[..., i].set(jnp.where(x[..., n + at] > 0, jnp.nan, values[..., i]))
        return values

    @property
    def _constants(self) -> tuple[np.ndarray, ...]:
        """Centres and scales, each ``(1, 1, C)``."""
        names = ("centre", "scale", "change_centre", "change_scale")
        return tuple(np.array([[[getattr(c, name) for c in self.channels]]], np.float32) for name in names)

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these are series that :meth:`prepare` can make sense of; on the host, before the first step.

        Raises:
            InvalidInputError: ``x`` is missing or of another shape; it holds an infinite value, or a gap in a channel that has
                none among the training series where gaps have a channel; or a series without any value.
        """
        self._check_form(arrays)
        x, mask = np.asarray(arrays["x"]), arrays.get("mask")
        counted = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask, bool)
        if (bad := np.isinf(x) & counted[..., None]).any():
            row, step, channel = (int(i) for i in np.argwhere(bad)[0])
            raise InvalidInputError(
                f"x[{first_row + row}] holds {x[row, step, channel]} at step {step} in {self.channels[channel].channel!r}; "
                "mend it, or write NaN for a gap"
            )
        if (empty := ~counted.any(axis=1)).any():
            raise InvalidInputError(f"mask[{first_row + int(np.argmax(empty))}] is False throughout; leave that series out")
        gaps = (np.isnan(x) & counted[..., None]).any(axis=1)
        unknown = [self.config.missing == "mask" and not channel.gaps for channel in self.channels]
        if (bad := gaps & np.array(unknown)).any():
            row, channel = (int(i) for i in np.argwhere(bad)[0])
            raise InvalidInputError(
                f"x[{first_row + row}] has a gap in {self.channels[channel].channel!r}, which has none among the training "
                "series; fill it, or set missing to 'forward' or 'linear'"
            )

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> list[np.ndarray | None]:
        """Series in model space as arrays ``(L_i, C)`` in the data's own units, NaN for gaps; None for what is not finite.

        Args:
            x: ``(N, *shape)``.
            mask: ``(N, length)``, true within each series; left out, all are whole.
        """
        x = np.asarray(x, np.float32)
        values = np.asarray(self.restore(jnp.asarray(x)), np.float64)
        finite = np.all(np.isfinite(x.reshape(len(x), -1)), axis=1)
        ends = np.full(len(x), self.config.length) if mask is None else np.asarray(mask, bool).sum(axis=1)
        return [one[:end] if whole else None for one, end, whole in zip(values, ends, finite, strict=True)]

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write samples from model space as ``stem.csv``, a line for each step; returns its path.

        The lines are ``series,step`` and a value for each channel, empty for a gap: what the data set ``series_file`` reads
        with ``series: series`` and ``step: step``.
        """
        check_any_samples(samples, stem)
        stem, values = Path(stem), np.asarray(self.restore(jnp.asarray(samples, jnp.float32)))
        names = [channel.channel for channel in self.channels]
        stem.parent.mkdir(parents=True, exist_ok=True)
        path = stem.with_name(f"{stem.name}.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["series", "step", *names])
            for i, one in enumerate(values):
                for step, row in enumerate(one):
                    writer.writerow([i, step, *("" if np.isnan(value) else f"{value:.7g}" for value in row)])
        return path

    def draw_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Draw the first 24 samples from model space as curves, ``stem.svg``; returns its path."""
        check_any_samples(samples, stem)
        stem, values = Path(stem), np.asarray(self.restore(jnp.asarray(samples, jnp.float32)))
        return write_picture(values, [channel.channel for channel in self.channels], stem.with_name(f"{stem.name}.svg"))

    def _check_form(self, batch: Mapping[str, Any]) -> None:
        if "x" not in batch:
            raise InvalidInputError(f"a batch of series has the key 'x'; got the keys {sorted(batch)}")
        shape, channels, length = np.shape(batch["x"]), len(self.channels), self.config.length
        if len(shape) != 3 or shape[2] != channels or not 1 <= shape[1] <= length:
            raise InvalidInputError(
                f"stored series have the shape (batch, up to {length}, {channels}), got {shape}; for longer ones set the "
                "modality's length, or cut windows (window in the data set)"
            )


def _learnt(
    x: np.ndarray, names: Sequence[str], config: TimeseriesModalityConfig, inside: np.ndarray
) -> tuple[ChannelConfig, ...]:
    """Centre and scale of each channel of training series ``(N, L, C)``, without gaps and what is not ``inside``."""
    values = x[:, :1] if config.difference else x
    changes = np.diff(filled(x), axis=1) if config.difference else None
    made = []
    for i, name in enumerate(names):
        own = {"channel": name, "gaps": bool((np.isnan(x[..., i]) & inside).any())}
        own |= dict(zip(("centre", "scale"), _centre_and_scale(values[..., i], config), strict=True))
        if changes is not None:
            pair = _centre_and_scale(changes[..., i], config)
            own |= dict(zip(("change_centre", "change_scale"), pair, strict=True))
        made.append(ChannelConfig(**own))
    return tuple(made)


def _centre_and_scale(values: np.ndarray, config: TimeseriesModalityConfig) -> tuple[float, float]:
    there = values[~np.isnan(values)]
    if not len(there) or config.scaling == "none":
        return 0.0, 1.0
    if config.scaling == "standard":
        return float(there.mean()), float(there.std()) or 1.0
    low, high = float(there.min()), float(there.max())
    return (low + high) / 2, (high - low) / 2 or 1.0
