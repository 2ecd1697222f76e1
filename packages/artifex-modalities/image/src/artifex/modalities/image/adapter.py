"""A model of images as people meet it: it takes images as they are stored, and gives images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Num, UInt8

from artifex.core import protocols
from artifex.core.errors import InvalidTypeError
from artifex.modalities.image.modality import ImageModality

__all__ = ["ImageModel", "ImageModelAdapter"]


class ImageModelAdapter:
    """Carries a model from stored images to images and back; follows :class:`artifex.core.protocols.ModelAdapter`.

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

    def __init__(self, modality: ImageModality) -> None:
        if not isinstance(modality, ImageModality):
            raise InvalidTypeError(f"ImageModelAdapter takes an ImageModality, got {type(modality).__name__}: {modality!r}")
        self.modality = modality

    def adapt_model(self, model: protocols.GenerativeModelProtocol) -> ImageModel:
        """``model`` among images; it is the same model, not a copy."""
        return ImageModel(model, self)

    def preprocess(self, data: Num[Array | np.ndarray, "B h w *c"] | Mapping[str, Any]) -> dict[str, Array]:
        """Stored images, or a stored batch with its other keys, as a model's batch. Nothing is augmented.

        Raises:
            InvalidInputError: shape or dtype do not fit; or the modality makes random draws and has no streams of its own.
        """
        return self.modality.prepare(data if isinstance(data, Mapping) else {"x": data}, train=False)

    def postprocess(self, outputs: Num[Array, "... features"]) -> UInt8[np.ndarray, "... height width channels"]:
        """Images in model space as 8-bit images on the host: intensities clipped to [0, 1], times 255, rounded.

        Raises:
            InvalidInputError: the last axes are not those of an image of the modality.
        """
        return np.asarray(jnp.rint(255 * self.modality.restore(outputs))).astype(np.uint8)


class ImageModel:
    """A model among images: what takes an ``x`` takes stored images, and what gives one gives 8-bit images.

    It has those of the methods :meth:`reconstruct`, :meth:`interpolate`, :meth:`encode`, :meth:`decode` and :meth:`log_prob`
    that the model has; what else they are given is handed on.

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

    def __init__(self, model: protocols.GenerativeModelProtocol, adapter: ImageModelAdapter) -> None:
        if not isinstance(model, protocols.GenerativeModelProtocol):
            raise InvalidTypeError(
                f"adapt_model takes a model with __call__ and generate, got {type(model).__name__}: {model!r}"
            )
        self.model: Any = model
        self.adapter = adapter
        capabilities = {
            "decode": (protocols.Decodes, self._decode),
            "encode": (protocols.Encodes, self._encode),
            "interpolate": (protocols.Interpolates, self._interpolate),
            "log_prob": (protocols.HasLogProb, self._log_prob),
            "reconstruct": (protocols.Reconstructs, self._reconstruct),
        }
        for name, (protocol, method) in capabilities.items():
            if isinstance(model, protocol):
                setattr(self, name, method)

    def __call__(self, images: Any, *, rngs: nnx.Rngs | None = None, **given: Any) -> dict[str, Array]:
        """The model's own outputs for stored images."""
        return self.model(self._x(images), rngs=rngs, **given)

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None, **given: Any) -> np.ndarray:
        """``n_samples`` new images."""
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _x(self, images: Any) -> Array:
        return self.adapter.preprocess({"x": images})["x"]

    def _decode(self, z: Any, **given: Any) -> np.ndarray:
        return self.adapter.postprocess(self.model.decode(z, **given))

    def _encode(self, images: Any, **given: Any) -> Any:
        return self.model.encode(self._x(images), **given)

    def _interpolate(self, images0: Any, images1: Any, n_steps: int, **given: Any) -> np.ndarray:
        ends = self._x(images0), self._x(images1)
        return self.adapter.postprocess(self.model.interpolate(*ends, n_steps, **given))

    def _log_prob(self, images: Any, **given: Any) -> Array:
        return self.model.log_prob(self._x(images), **given)

    def _reconstruct(self, images: Any, **given: Any) -> np.ndarray:
        return self.adapter.postprocess(self.model.reconstruct(self._x(images), **given))
