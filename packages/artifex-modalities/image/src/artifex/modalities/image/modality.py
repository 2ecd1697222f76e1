"""Images on their way to a model and back: ``prepare`` inside the compiled step, ``restore`` and ``save_samples`` after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from artifex.core.checks import check_any_samples
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.image import transforms
from artifex.modalities.image.config import COLOUR_CHANNELS, Channels, ImageAugmentConfig, ImageModalityConfig
from artifex.modalities.image.grid import image_grid, save_image
from artifex.modalities.image.stored import check_unit_range

__all__ = ["ImageModality"]

SMALLEST_TILE = 64
"""Pixels that the longer side of an image has at least in a grid: smaller ones are drawn enlarged."""


@dataclass(frozen=True, slots=True)
class ImageModality:
    """Images as arrays ``(height, width, channels)``.

    Follows :class:`artifex.core.protocols.ModalityProtocol` and :class:`~artifex.core.protocols.ChecksData`.

    Equal configs make equal, equally hashed modalities, so that one can be a static argument of a jitted function.

    Args:
        config: the form of the images. Left out, they keep size and channels: each method goes by the arrays that it is given,
            and :meth:`for_data` gives the modality of a data set, which has a ``shape``, as training needs.
        rngs: random streams, of which the modality keeps a fork: it serves whenever :meth:`prepare` is given none, outside
            compiled functions. Left out, a config that makes random draws needs ``rngs`` at each call.

    Example:
        >>> from artifex.modalities.image import ImageModality, ImageModalityConfig
        >>> digits = ImageModality(ImageModalityConfig(height=8, width=8, binarize=0.5))
        >>> digits.prepare({"x": np.full((2, 8, 8), 200, np.uint8)}, rngs=nnx.Rngs(0), train=True)["x"].shape
        (2, 8, 8, 1)
    """

    config: ImageModalityConfig | None = None
    rngs: nnx.Rngs | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.config is not None and not isinstance(self.config, ImageModalityConfig):
            raise InvalidTypeError(
                f"ImageModality takes an ImageModalityConfig, got {type(self.config).__name__}; write "
                "ImageModality(ImageModalityConfig(height=..., width=...))"
            )
        if self.rngs is None:
            return
        if not isinstance(self.rngs, nnx.Rngs):
            raise InvalidTypeError(f"ImageModality takes rngs=nnx.Rngs(seed), got {type(self.rngs).__name__}: {self.rngs!r}")
        object.__setattr__(self, "rngs", self.rngs.fork())

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one prepared image: ``(height, width, channels)``, or that of a vector where it is flattened.

        Raises:
            AttributeError: there is no config, and no data that it could be taken from.
        """
        if self.config is None:
            raise AttributeError(
                "an ImageModality without a config has no shape of its own; take ImageModality().for_data(arrays), or give it "
                "ImageModalityConfig(height=..., width=...)"
            )
        return (math.prod(self.config.shape),) if self.config.flatten else self.config.shape

    def for_data(self, arrays: Mapping[str, Any]) -> ImageModality:
        """The modality itself; or, where it has no config, that of images like ``arrays["x"]``, at their size.

        Raises:
            InvalidInputError: ``x`` is missing, or its shape or dtype are no images'.

        >>> ImageModality().for_data({"x": np.zeros((5, 8, 6, 3), np.uint8)}).shape
        (8, 6, 3)
        """
        if self.config is not None:
            return self
        shape = np.shape(arrays["x"]) if "x" in arrays else None
        if shape is None or len(shape) not in (3, 4) or 0 in shape[1:]:
            raise InvalidInputError(
                "without a config, size and channels are taken from 'x' of shape (batch, height, width, channels) or (batch, "
                f"height, width); got {'no x' if shape is None else shape}"
            )
        channels = shape[3] if len(shape) == 4 else 1
        modes: dict[int, Channels] = {n: mode for mode, n in COLOUR_CHANNELS.items()}  # type: ignore[misc]
        config = ImageModalityConfig(height=shape[1], width=shape[2], channels=modes.get(channels, channels))
        return ImageModality(config, rngs=self.rngs)

    @property
    def _form(self) -> ImageModalityConfig:
        """The config, where it is known that there is one."""
        assert self.config is not None
        return self.config

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored images to model input; jitted with the step.

        Args:
            batch: ``x`` of shape ``(B, h, w, c)``, or ``(B, h, w)`` for grey images: uint8 in 0..255, or floats in [0, 1].
                A ``condition`` of such images, ``(B, h, w, c)``, as translations start from, goes the same way; other keys
                are handed on as they are.
            rngs: streams; what the config makes random draws from ``sample`` (or ``default``). The modality's own by default.
            train: whether to augment.

        Returns:
            The batch with ``x`` (and a ``condition`` of images) as float32 ``(B, height, width, channels)``, or
            ``(B, height * width * channels)`` flattened.

        Raises:
            InvalidInputError: ``x`` is missing, or its shape or dtype does not fit; or the config makes random draws and there
                is no stream for them.
        """
        if self.config is None:
            return self.for_data(batch).prepare(batch, rngs=rngs, train=train)
        rngs = self.rngs if rngs is None else rngs
        prepared = {"x": self._prepared(self._checked(batch), rngs, train)}
        if np.ndim(batch.get("condition", 0)) == 4:
            if train and self._form.augment is not None:
                raise InvalidInputError(
                    "augment changes x and leaves a condition of images where it is, so that they part; leave augment out"
                )
            prepared["condition"] = self._prepared(self._checked({"x": batch["condition"]}), rngs, train)
        return {**batch, **prepared}

    def _prepared(self, x: Array, rngs: nnx.Rngs | None, train: bool) -> Array:
        """Stored images ``(B, h, w, c)`` as model input."""
        config, x = self._form, transforms.to_unit(x)
        if isinstance(config.channels, str):
            x = transforms.convert_colour(x, config.n_channels)
        x = transforms.resize(x, config.height, config.width, config.resize)
        if train and config.augment is not None:
            x = self._augmented(x, config.augment, rngs)
        x = self._discretised(x, rngs)
        if config.scale == "symmetric":
            x = transforms.to_symmetric(x)
        if config.standardize is not None:
            x = transforms.standardize(x, config.standardize.mean, config.standardize.std)
        return x.reshape(x.shape[0], *self.shape)

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these stored images are what :meth:`prepare` takes them for; on the host, before the first step.

        Args:
            arrays: ``x`` of shape ``(N, h, w, c)``, or ``(N, h, w)`` for grey images; other keys are not looked at.
            first_row: row of the data set that the first of them is, for messages.

        Raises:
            InvalidInputError: ``x`` is missing, its shape or dtype does not fit, or a float in it is not in [0, 1].

        >>> modality = ImageModality(ImageModalityConfig(height=2, width=2))
        >>> modality.check({"x": np.full((1, 2, 2), 200.0)}, first_row=500)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        artifex.core.errors.InvalidInputError: x[500] holds 200, but floating-point images lie in [0, 1]: ...
        """
        self.for_data(arrays)._check_form(arrays)
        check_unit_range(np.asarray(arrays["x"]), "x", first_row)

    def restore(self, x: Num[Array, "..."]) -> Float[Array, "... height width channels"]:
        """Model space back to intensities in [0, 1] (clipped): undoes flattening, standardisation, scale and dequantisation."""
        if self.config is None:
            return jnp.clip(jnp.asarray(x, jnp.float32), 0.0, 1.0)
        config, n_axes = self.config, len(self.shape)
        if x.shape[-n_axes:] != self.shape:
            raise InvalidInputError(f"images of shape (..., {', '.join(map(str, self.shape))}) are needed, got {x.shape}")
        x = jnp.asarray(x, jnp.float32).reshape(*x.shape[:-n_axes], *config.shape)
        if config.standardize is not None:
            x = transforms.destandardize(x, config.standardize.mean, config.standardize.std)
        if config.scale == "symmetric":
            x = transforms.from_symmetric(x)
        if config.dequantize_levels is not None:
            x = transforms.quantize(x, config.dequantize_levels)
        return jnp.clip(x, 0.0, 1.0)

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write samples ``(N, *shape)`` from model space as one PNG grid ``stem.png``; returns its path.

        Images with a number of channels that is no colour mode's are drawn as a row of grey images, one for each channel. What
        is not a number is drawn black. Images below 64 pixels are enlarged by a whole factor.
        """
        check_any_samples(samples, stem)
        samples = np.asarray(samples)
        if self.config is None:
            return self.for_data({"x": samples}).save_samples(samples, stem)
        if samples.shape[1:] != self.shape:
            raise InvalidInputError(f"samples of shape (N, {', '.join(map(str, self.shape))}) are needed, got {samples.shape}")
        images = np.asarray(self.restore(jnp.asarray(samples)))
        columns = None
        if not self._is_drawn_in_colour:
            columns = images.shape[-1]
            images = np.moveaxis(images, -1, 1).reshape(-1, *images.shape[1:3], 1)
        zoom = max(1, SMALLEST_TILE // max(images.shape[1:3]))
        stem = Path(stem)
        return save_image(stem.with_name(f"{stem.name}.png"), image_grid(images, columns, zoom=zoom))

    @property
    def _is_drawn_in_colour(self) -> bool:
        return isinstance(self._form.channels, str) or self._form.channels in (1, 3)

    def _checked(self, batch: Mapping[str, Any]) -> Array:
        """``batch["x"]`` as ``(B, h, w, c)``, or an error that says what it should have been."""
        self._check_form(batch)
        x = jnp.asarray(batch["x"])
        return x[..., None] if x.ndim == 3 else x

    def _check_form(self, batch: Mapping[str, Any]) -> None:
        """Key, dtype and shape."""
        if "x" not in batch:
            raise InvalidInputError(f"a batch of images has the key 'x'; got the keys {sorted(batch)}")
        x = batch["x"] if isinstance(batch["x"], Array) else np.asarray(batch["x"])
        if x.dtype != jnp.uint8 and not jnp.issubdtype(x.dtype, jnp.floating):
            raise InvalidInputError(
                f"images are uint8 in 0..255 or floats in [0, 1]; got {x.dtype} of shape {x.shape}: convert them to one "
                "of the two"
            )
        shape = (*x.shape, 1) if x.ndim == 3 else x.shape
        channels = self._form.channels
        wanted = set(COLOUR_CHANNELS.values()) if isinstance(channels, str) else {channels}
        if len(shape) != 4 or shape[-1] not in wanted or 0 in shape[1:]:
            counts = " or ".join(map(str, sorted(wanted)))
            fix = "" if isinstance(channels, str) else f"set channels={shape[-1]} if that is their number of channels"
            if len(x.shape) == 4 and x.shape[1] in wanted:
                fix = "put the channels last, as x.transpose(0, 2, 3, 1) does"
            raise InvalidInputError(
                f"images for channels={channels!r} have the shape (batch, height, width, {counts}), or (batch, height, width) "
                f"if grey; got {x.shape}" + (f": {fix}" if fix else "")
            )

    def _augmented(self, x: Array, augment: ImageAugmentConfig, rngs: nnx.Rngs | None) -> Array:
        """Geometry moves all channels alike; brightness and contrast leave alpha alone."""
        if augment.horizontal_flip:
            x = transforms.random_flip(_key(rngs), x, augment.horizontal_flip)
        if augment.crop_padding:
            x = transforms.random_crop(_key(rngs), x, augment.crop_padding)
        if augment.shift:
            x = transforms.random_shift(_key(rngs), x, augment.shift)
        colours = 3 if self._form.channels == "rgba" else x.shape[-1]
        colour, alpha = x[..., :colours], x[..., colours:]
        if augment.brightness:
            colour = transforms.random_brightness(_key(rngs), colour, augment.brightness)
        if augment.contrast:
            colour = transforms.random_contrast(_key(rngs), colour, augment.contrast)
        return jnp.concatenate([colour, alpha], axis=-1)

    def _discretised(self, x: Array, rngs: nnx.Rngs | None) -> Array:
        config = self._form
        if config.dequantize_levels is not None:
            return transforms.dequantize(_key(rngs), x, config.dequantize_levels)
        if config.binarize == "stochastic":
            return transforms.sample_binary(_key(rngs), x)
        return x if config.binarize is None else transforms.binarize(x, config.binarize)


def _key(rngs: nnx.Rngs | None) -> Array:
    if rngs is None or not ("sample" in rngs or "default" in rngs):
        raise InvalidInputError(
            "this image config draws random numbers: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)"
        )
    return rngs.sample()
