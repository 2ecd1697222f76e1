"""Configs of the image modality: the form an image takes on its way to a model."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from artifex.core.config import Config, config

__all__ = ["Channels", "ImageAugmentConfig", "ImageModalityConfig", "ImageStandardizeConfig", "ResizeMethod"]

ResizeMethod: TypeAlias = Literal["nearest", "linear", "cubic", "lanczos3", "lanczos5"]
ColourMode: TypeAlias = Literal["grayscale", "rgb", "rgba"]
Channels: TypeAlias = ColourMode | Annotated[int, Field(ge=1)]

COLOUR_CHANNELS: dict[str, int] = {"grayscale": 1, "rgb": 3, "rgba": 4}
Probability: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]


@config
class ImageAugmentConfig(Config):
    """Random changes of training images, drawn anew for every image and step. At least one has to be set."""

    horizontal_flip: Probability = 0.0
    """Probability that an image is mirrored left to right."""
    crop_padding: Annotated[int, Field(ge=0)] = 0
    """Pixels by which each side is extended by reflection before a crop of the original size is taken at random."""
    shift: Annotated[int, Field(ge=0)] = 0
    """Largest move up, down, left or right, in pixels; what comes in is black (transparent black in RGBA)."""
    brightness: Probability = 0.0
    """Largest change of brightness: a number from [-brightness, brightness] is added to intensities in [0, 1]."""
    contrast: Probability = 0.0
    """Largest change of contrast: deviations from the image's mean are multiplied by a number from
    [1 - contrast, 1 + contrast]."""

    def __post_init__(self) -> None:
        if not any((self.horizontal_flip, self.crop_padding, self.shift, self.brightness, self.contrast)):
            raise ValueError(
                "this augmentation changes nothing; set one of horizontal_flip, crop_padding, shift, brightness, contrast, "
                "or leave 'augment' out"
            )


@config
class ImageStandardizeConfig(Config):
    """Standardisation per channel: ``(x - mean) / std`` for intensities in [0, 1]."""

    mean: tuple[Annotated[float, Field(allow_inf_nan=False)], ...]
    """Mean of each channel."""
    std: tuple[Annotated[float, Field(gt=0.0, allow_inf_nan=False)], ...]
    """Standard deviation of each channel."""


@config
class ImageModalityConfig(Config):
    """What a model is given as ``x``: float32 images ``(height, width, channels)``.

    Stored images are uint8 in 0..255 or floats in [0, 1]. They are converted in this order: colour, size, augmentation
    (training only), dequantisation or binarisation, scale, standardisation.

        >>> ImageModalityConfig(height=28, width=28, binarize=0.5).shape
        (28, 28, 1)
    """

    height: Annotated[int, Field(ge=1)]
    """Rows of the model's images."""
    width: Annotated[int, Field(ge=1)]
    """Columns of the model's images."""
    channels: Channels = "grayscale"
    """A colour mode, to which stored grey, RGB and RGBA images are converted; or a number of channels, which the stored images
    must then have, for data whose channels are not colours."""
    resize: ResizeMethod = "linear"
    """Interpolation used when a stored image has another size; antialiased when it shrinks."""
    augment: ImageAugmentConfig | None = None
    """Random changes while training; none unless given."""
    dequantize_levels: Annotated[int, Field(ge=2)] | None = None
    """Number of levels L of the stored intensities (256 for 8-bit images, 17 for the digits): level v becomes (v + u) / L with
    u uniform on [0, 1), as models with a density need. Drawn anew at every step, in evaluation too. At ``scale: unit`` bits
    per dimension then are ``-log2 p(x) / (height * width * channels) + log2 L``."""
    binarize: Annotated[float, Field(gt=0.0, le=1.0)] | Literal["stochastic"] | None = None
    """A threshold t: 1 where the intensity is at least t, else 0. ``stochastic``: 1 with the intensity as its probability,
    drawn anew at every step, in evaluation too."""
    scale: Literal["unit", "symmetric"] = "unit"
    """``unit``: intensities in [0, 1]. ``symmetric``: in [-1, 1]."""
    standardize: ImageStandardizeConfig | None = None
    """Mean and standard deviation to standardise by; none unless given."""
    flatten: bool = False
    """Images as vectors of ``height * width * channels`` elements, for models of vectors."""

    def __post_init__(self) -> None:
        if self.binarize is not None and self.dequantize_levels is not None:
            raise ValueError("binarize and dequantize_levels exclude each other: leave one of them out")
        if self.standardize is not None:
            self._check_standardize(self.standardize)
        if self.augment is not None:
            self._check_augment(self.augment)

    def _check_standardize(self, standardize: ImageStandardizeConfig) -> None:
        if self.scale != "unit":
            raise ValueError("standardize takes intensities in [0, 1]: leave scale at 'unit', or leave standardize out")
        for field, values in (("mean", standardize.mean), ("std", standardize.std)):
            if len(values) != self.n_channels:
                raise ValueError(
                    f"standardize.{field} has {len(values)} values for {self.n_channels} channels; give one for each channel"
                )

    def _check_augment(self, augment: ImageAugmentConfig) -> None:
        smallest = min(self.height, self.width)
        for field, pixels in (("crop_padding", augment.crop_padding), ("shift", augment.shift)):
            if pixels >= smallest:
                raise ValueError(
                    f"augment.{field}={pixels} does not fit images of {self.height} x {self.width}; "
                    f"it has to be below {smallest}"
                )

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.channels if isinstance(self.channels, int) else COLOUR_CHANNELS[self.channels]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, before it is flattened: ``(height, width, channels)``."""
        return (self.height, self.width, self.n_channels)
