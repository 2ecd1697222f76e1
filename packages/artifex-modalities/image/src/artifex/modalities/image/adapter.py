"""A model of images as people meet it: it takes images as they are stored, and gives images."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.modalities.image.modality import ImageModality

__all__ = ["ImageModel", "ImageModelAdapter"]


class ImageModel(AdaptedModel):
    """A model among images: what takes an ``x`` takes stored images, and what gives one gives 8-bit images.

    >>> from flax import nnx
    >>> from artifex.modalities.image import ImageModalityConfig
    >>> class Grey(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.full((n_samples, 4, 4, 1), 0.2)
    >>> model = ImageModelAdapter(ImageModality(ImageModalityConfig(height=4, width=4))).adapt_model(Grey())
    >>> model.generate(3).shape, int(model.generate()[0, 0, 0, 0]), hasattr(model, "encode")
    ((3, 4, 4, 1), 51, False)
    """


class ImageModelAdapter(ModalityAdapter[ImageModality]):
    """Carries a model from stored images, ``(B, height, width)`` or with channels, to images. Nothing is augmented.

    Args:
        modality: the form of the images that the models are given.

    >>> from artifex.modalities.image import ImageModalityConfig
    >>> digits = ImageModality(ImageModalityConfig(height=8, width=8, scale="symmetric"))
    >>> adapter = ImageModelAdapter(digits)
    >>> stored = np.full((2, 8, 8), 200, np.uint8)
    >>> adapter.preprocess(stored)["x"].shape
    (2, 8, 8, 1)
    >>> int(adapter.postprocess(adapter.preprocess(stored)["x"])[0, 0, 0, 0])
    200
    """

    takes = ImageModality
    adapted = ImageModel

    def postprocess(self, outputs: Any) -> UInt8[np.ndarray, "..."]:  # type: ignore[override]  # images have one size
        """Images in model space as 8-bit images on the host: intensities clipped to [0, 1], times 255, rounded.

        Raises:
            InvalidInputError: the last axes are not those of an image of the modality.
        """
        return np.asarray(jnp.rint(255 * self.modality.restore(outputs))).astype(np.uint8)
