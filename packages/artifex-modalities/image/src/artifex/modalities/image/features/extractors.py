"""Extractors of features of images: components of the slot ``feature_extractor``, which metrics name.

Each is built from its config and maps restored images, floats in [0, 1] or bytes, ``(B, h, w, c)``, to features ``(B, F)``. It
follows :class:`artifex.core.metrics.FeatureExtractor`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.modalities.image.features.inception import STANDARD_DIGEST, load_inception
from artifex.modalities.image.features.perceptual import HEADS, SHIFT_TOLERANT, Backbone, load_perceptual
from artifex.modalities.image.features.random_convolutions import random_convolution_features, random_filters
from artifex.modalities.image.features.resizing import Convention, for_inception
from artifex.modalities.image.stored import check_unit_range
from artifex.modalities.image.transforms import convert_colour, to_unit

__all__ = [
    "InceptionFeatures",
    "InceptionFeaturesConfig",
    "InceptionProbabilities",
    "InceptionProbabilitiesConfig",
    "PerceptualFeatures",
    "PerceptualFeaturesConfig",
    "RandomConvolutions",
    "RandomConvolutionsConfig",
    "in_chunks",
    "unit_images",
]

CHUNK, LARGE_CHUNK = 64, 8
"""Images that a network is given at once, and one that hands out whole layers."""
INCEPTION_SIZE = 299
WEIGHTS_VARIABLE = "ARTIFEX_INCEPTION_WEIGHTS"


def unit_images(images: Any) -> Float[Array, "B h w c"]:
    """Bytes, or floats in [0, 1], ``(B, h, w, c)`` or ``(B, h, w)``, as float32 ``(B, h, w, c)`` in [0, 1].

    Raises:
        InvalidInputError: they are no images, or floats outside [0, 1].
    """
    array = images if isinstance(images, Array) else np.asarray(images)
    if array.ndim not in (3, 4) or (array.dtype != np.uint8 and not jnp.issubdtype(array.dtype, jnp.floating)):
        raise InvalidInputError(
            f"images are uint8, or floats in [0, 1], of shape (batch, height, width, channels); got {array.dtype} of shape "
            f"{array.shape}"
        )
    check_unit_range(np.asarray(array), "images")
    return to_unit(jnp.asarray(array[..., None] if array.ndim == 3 else array))


def in_chunks(apply: Callable[..., Array], *images: Array, size: int = CHUNK) -> np.ndarray:
    """``apply`` to at most ``size`` images at a time, filled up to a power of two, so that few programs are compiled."""
    parts = []
    for start in range(0, len(images[0]), size):
        chunk = [x[start : start + size] for x in images]
        n = len(chunk[0])
        filled = min(size, 1 << (n - 1).bit_length()) - n
        padded = [jnp.pad(x, ((0, filled), *((0, 0),) * (x.ndim - 1))) if filled else x for x in chunk]
        parts.append(np.asarray(apply(*padded))[:n])
    if not parts:
        raise InvalidInputError("there are no images to take features of: give at least one")
    return np.concatenate(parts)


@config
class RandomConvolutionsConfig(Config):
    """Random filters, which need no weights. Every field is part of what a figure means."""

    levels: Annotated[int, Field(ge=1, le=8)] = 3
    """Scales: each sees the one before at half its size."""
    filters: Annotated[int, Field(ge=1)] = 8
    """Filters of a level; ``4 levels filters`` features come out."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the filters."""


class RandomConvolutions:
    """Rectified random filters averaged over the quarters of an image, at several scales.

    >>> extractor = RandomConvolutions(RandomConvolutionsConfig())
    >>> extractor(np.zeros((5, 8, 8, 1), np.uint8)).shape, extractor.signature
    ((5, 96), 'random convolutions, levels=3, filters=8, seed=0')
    """

    def __init__(self, config: RandomConvolutionsConfig) -> None:
        self.config = config

    @property
    def signature(self) -> str:
        """Every choice that the features depend on."""
        c = self.config
        return f"random convolutions, levels={c.levels}, filters={c.filters}, seed={c.seed}"

    def __call__(self, examples: Num[Array | np.ndarray, "B h w *c"]) -> np.ndarray:
        """Features ``(B, 4 levels filters)``."""
        x, c = unit_images(examples), self.config
        kernels = random_filters(c.seed, c.levels, c.filters, x.shape[-1])
        return in_chunks(lambda part: _random_features(part, kernels), x)


_random_features = jax.jit(random_convolution_features)


@config
class InceptionFeaturesConfig(Config):
    """FID's Inception V3 and how images get its size."""

    weights: str = ""
    """File of its weights: ``pt_inception-2015-12-05-6726825d.pth``, which pytorch-fid publishes among its releases, or a state
    dict of that network as safetensors. Left out, the file that the environment variable `ARTIFEX_INCEPTION_WEIGHTS` names.
    Nothing is downloaded."""
    resize: Convention = "pytorch-fid"
    """``pytorch-fid`` (bilinear, not antialiased), ``clean-fid`` (Pillow's bicubic, antialiased) or ``tensorflow`` (the
    original)."""


@config
class InceptionProbabilitiesConfig(InceptionFeaturesConfig):
    """FID's Inception V3, for the probabilities of its classes."""


class InceptionFeatures:
    """The 2048 features that FID, KID, precision and recall compare.

    Args:
        config: where the weights are. Other weights than the standard ones are told by their checksum, and say so.

    Raises:
        InvalidInputError: no weights are named.
        DataError: they cannot be read, or are those of another network.
    """

    def __init__(self, config: InceptionFeaturesConfig) -> None:
        file = config.weights or os.environ.get(WEIGHTS_VARIABLE, "")
        if not file:
            raise InvalidInputError(
                f"{type(config).__name__} needs weights: the path of pt_inception-2015-12-05-6726825d.pth, from the "
                f"releases of pytorch-fid, as its field or in {WEIGHTS_VARIABLE}; image_frechet_distance needs none"
            )
        self.config = config
        network, weights = load_inception(file)
        self.is_standard = weights.sha256.startswith(STANDARD_DIGEST)
        self._weights = str(weights)
        self._graph, self._state = nnx.split(network)
        self._apply = jax.jit(self._features)

    @property
    def signature(self) -> str:
        """Network, weights and resizing."""
        which = "standard weights" if self.is_standard else "weights not the standard ones"
        return f"Inception V3 (2015-12-05), {which}: {self._weights}, resize={self.config.resize}"

    def __call__(self, examples: Num[Array | np.ndarray, "B h w *c"]) -> np.ndarray:
        """What the network makes of restored images."""
        return in_chunks(lambda x: self._apply(self._state, x), unit_images(examples))

    def _features(self, state: Any, x: Array) -> Array:
        return nnx.merge(self._graph, state).features(self._prepared(x))

    def _prepared(self, x: Array) -> Array:
        return for_inception(_coloured(x), INCEPTION_SIZE, self.config.resize)


class InceptionProbabilities(InceptionFeatures):
    """``p(y | x)`` of the network's 1008 classes, from logits without bias, as the Inception Score takes them."""

    def _features(self, state: Any, x: Array) -> Array:
        network = nnx.merge(self._graph, state)
        return jax.nn.softmax(network.logits(network.features(self._prepared(x))))


@config
class PerceptualFeaturesConfig(Config):
    """Network and weights of a perceptual distance."""

    backbone: Backbone = "alex"
    """``alex`` or ``vgg``."""
    weights: str = SHIFT_TOLERANT
    """``stlpips-pytorch``, an installed package with networks and heads of its own (ST-LPIPS); or the file of torchvision's
    AlexNet (``alexnet-owt-7be5be79.pth``) or VGG-16 (``vgg16-397923af.pth``)."""
    heads: str = HEADS
    """Beside a file: ``lpips``, an installed package; or a file of heads."""


class PerceptualFeatures:
    """Vectors whose squared distances are LPIPS: long ones, so that pairs stream and nothing is kept of them.

    Raises:
        InvalidInputError: a package is not installed.
        DataError: a file cannot be read, or is that of another network.
    """

    def __init__(self, config: PerceptualFeaturesConfig) -> None:
        self.config = config
        network, self._name = load_perceptual(config.backbone, config.weights, config.heads)
        self._graph, self._state = nnx.split(network)
        self._vectors = jax.jit(lambda state, x: nnx.merge(self._graph, state).vectors(_coloured(x)))
        self._distance = jax.jit(lambda state, x, y: nnx.merge(self._graph, state).distance(_coloured(x), _coloured(y)))

    @property
    def signature(self) -> str:
        """What is measured, with which weights."""
        return self._name

    def __call__(self, examples: Num[Array | np.ndarray, "B h w *c"]) -> np.ndarray:
        """Vectors of restored images, which have to be of one size."""
        return in_chunks(lambda x: self._vectors(self._state, x), _large_enough(unit_images(examples)), size=LARGE_CHUNK)

    def distance(self, samples: Any, references: Any) -> np.ndarray:
        """Distance of each pair ``(B,)``, without the vectors.

        Raises:
            InvalidInputError: the two are not of one shape.
        """
        x, y = _large_enough(unit_images(samples)), _large_enough(unit_images(references))
        if x.shape != y.shape:
            raise InvalidInputError(f"pairs of images of one shape are needed, got {x.shape} and {y.shape}")
        return in_chunks(lambda *pair: self._distance(self._state, *pair), x, y, size=LARGE_CHUNK)


def _coloured(x: Array) -> Array:
    if x.shape[-1] not in (1, 3, 4):
        raise InvalidInputError(f"this network sees grey, RGB or RGBA images; got {x.shape[-1]} channels")
    return convert_colour(x, 3)


def _large_enough(x: Array) -> Array:
    if min(x.shape[1:3]) < 32:
        raise InvalidInputError(
            f"a perceptual distance needs images of 32 x 32 pixels or more, got {x.shape[1]} x {x.shape[2]}"
        )
    return x
