"""What the adapters of all modalities have in common: a model that is called with data of a field, and answers with such data.

A modality's adapter says which modality it takes, how data of the field become a stored batch, and how a model's ``x`` becomes
such data again. That each of the model's methods is led through these two is written here, once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import protocols
from artifex.core.errors import InvalidInputError, InvalidTypeError

__all__ = ["AdaptedModel", "ModalityAdapter", "has_argument"]

M = TypeVar("M", bound=protocols.ModalityProtocol)


class AdaptedModel:
    """A model among data of a field: what takes an ``x`` takes such data, and what gives one gives such data.

    It has those of the methods ``reconstruct``, ``interpolate``, ``encode``, ``decode`` and ``log_prob`` that the model has;
    what else they are given is handed on. A model that takes a ``mask`` is given it.

    Args:
        model: with ``__call__`` and ``generate``; it is kept as :attr:`model`, and is not copied.
        adapter: leads data to the model and back.

    Raises:
        InvalidTypeError: this is no such model.
    """

    def __init__(self, model: protocols.GenerativeModelProtocol, adapter: ModalityAdapter[Any]) -> None:
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

    def __call__(self, data: Any, *, rngs: nnx.Rngs | None = None, **given: Any) -> dict[str, jax.Array]:
        """The model's own outputs for data of the field."""
        x, mask = self._given(self.adapter.preprocess(data), self.model.__call__)
        return self.model(x, **mask, rngs=rngs, **given)

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None, **given: Any) -> Any:
        """``n_samples`` new examples, as data of the field."""
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _decode(self, z: Any, **given: Any) -> Any:
        return self.adapter.postprocess(self.model.decode(z, **given))

    def _encode(self, data: Any, **given: Any) -> Any:
        x, mask = self._given(self.adapter.preprocess(data), self.model.encode)
        return self.model.encode(x, **mask, **given)

    def _interpolate(self, data0: Any, data1: Any, n_steps: int, **given: Any) -> Any:
        """Of each pair of examples the steps between them: an array with an axis of steps, or a list of lists."""
        ends = [self._given(self.adapter.preprocess(data), self.model.interpolate) for data in (data0, data1)]
        (x0, mask), (x1, other) = ends
        if mask and not np.array_equal(mask["mask"], other["mask"]):
            raise InvalidInputError("the ends of an interpolation differ in where they are masked; give two of equal length")
        paths = [self.adapter.postprocess(steps) for steps in self.model.interpolate(x0, x1, n_steps, **mask, **given)]
        return np.stack(paths) if isinstance(paths[0], np.ndarray) else paths

    def _log_prob(self, data: Any, **given: Any) -> jax.Array:
        x, mask = self._given(self.adapter.preprocess(data), self.model.log_prob)
        return self.model.log_prob(x, **mask, **given)

    def _reconstruct(self, data: Any, **given: Any) -> Any:
        batch = self.adapter.preprocess(data)
        x, mask = self._given(batch, self.model.reconstruct)
        where = {"mask": batch["mask"]} if "mask" in batch and has_argument(self.adapter.postprocess, "mask") else {}
        return self.adapter.postprocess(self.model.reconstruct(x, **mask, **given), **where)

    def _given(self, batch: Mapping[str, Any], method: Callable[..., Any]) -> tuple[jax.Array, dict[str, jax.Array]]:
        """``x``, and the mask, if there is one and the method takes it."""
        x = jnp.asarray(batch["x"])
        if "mask" not in batch:
            return x, {}
        if has_argument(method, "mask"):
            return x, {"mask": batch["mask"]}
        if not np.all(batch["mask"]):
            raise InvalidInputError(f"{type(self.model).__name__} takes no mask, and {self.adapter.incomplete}")
        return x, {}


def has_argument(method: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of that name."""
    return name in inspect.signature(method).parameters


class ModalityAdapter(Generic[M]):
    """Carries a model from data as people have them to data of the field.

    Follows :class:`artifex.core.protocols.ModelAdapter`. Abstract: a modality's adapter says how data become a stored batch
    (:meth:`stored`), and how a model's ``x`` becomes data of the field (:meth:`postprocess`).

    Args:
        modality: the form of the data that the models are given.

    Raises:
        InvalidTypeError: it is another modality.
    """

    takes: ClassVar[type[Any]]
    """The modality's class."""
    adapted: ClassVar[type[AdaptedModel]] = AdaptedModel
    """What :meth:`adapt_model` gives."""
    incomplete: ClassVar[str] = "these examples are padded; give some of full length"
    """What is wrong with masked data for a model that takes no mask, and the fix."""

    def __init__(self, modality: M) -> None:
        if not isinstance(modality, self.takes):
            wanted = self.takes.__name__
            article = "an" if wanted[0] in "AEIO" else "a"
            raise InvalidTypeError(
                f"{type(self).__name__} takes {article} {wanted}, got {type(modality).__name__}: {modality!r}"
            )
        self.modality: M = modality

    def adapt_model(self, model: protocols.GenerativeModelProtocol) -> Any:
        """``model`` among data of the field; it is the same model, not a copy."""
        return self.adapted(model, self)

    def preprocess(self, data: Any) -> dict[str, jax.Array]:
        """Data of the field, or a stored batch with its other keys, as a model's batch. Nothing is augmented.

        Raises:
            InvalidInputError: they do not fit the modality.
        """
        batch = self.stored(data)
        prepare: Any = self.modality.prepare  # a modality keeps streams of its own, where it draws
        return prepare(batch, train=False)

    def stored(self, data: Any) -> Mapping[str, Any]:
        """Data as the batch that a data set of the modality stores: of what is no mapping, ``x``."""
        return data if isinstance(data, Mapping) else {"x": data}

    def postprocess(self, outputs: Any, mask: Any = None) -> Any:
        """What a model gives in the place of ``x`` as data of the field; ``None`` in the place of what is none.

        Args:
            outputs: ``(B, ...)`` in model space.
            mask: true where there is something, for examples that are padded.
        """
        host: Any = self.modality
        return host.to_host(np.asarray(outputs), None if mask is None else np.asarray(mask))
