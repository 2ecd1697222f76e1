"""A model of tokens as people meet it: it takes texts, and gives texts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from artifex.core import protocols
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.text.modality import TextModality

__all__ = ["TextModel", "TextModelAdapter"]

Texts = str | Sequence[str]


class TextModelAdapter:
    """Carries a model from texts to texts; follows :class:`artifex.core.protocols.ModelAdapter`.

    Args:
        modality: the tokens that the models are given.

    >>> from artifex.modalities.text import TextModalityConfig
    >>> adapter = TextModelAdapter(TextModality(TextModalityConfig(length=16)))
    >>> adapter.postprocess(adapter.preprocess(["good morning", "ça va ?"])["x"])
    ['good morning', 'ça va ?']
    """

    def __init__(self, modality: TextModality) -> None:
        if not isinstance(modality, TextModality):
            raise InvalidTypeError(f"TextModelAdapter takes a TextModality, got {type(modality).__name__}: {modality!r}")
        self.modality = modality

    def adapt_model(self, model: protocols.GenerativeModelProtocol) -> TextModel:
        """``model`` among texts; it is the same model, not a copy."""
        return TextModel(model, self)

    def preprocess(self, data: Texts | Mapping[str, Any]) -> dict[str, Array]:
        """Texts, or a stored batch of tokens with its other keys, as a model's batch.

        Raises:
            InvalidInputError: a text cannot be told by the tokeniser, or shape or dtype do not fit.
        """
        return self.modality.prepare(data if isinstance(data, Mapping) else self.modality.batch_of(data), train=False)

    def postprocess(self, outputs: Int[Array, "B L"]) -> list[str | None]:
        """Tokens as texts; None for what is no well-formed text."""
        return self.modality.to_host(np.asarray(outputs))


class TextModel:
    """A model among texts: what takes an ``x`` takes texts, and what gives one gives texts.

    It has those of the methods :meth:`reconstruct`, :meth:`interpolate`, :meth:`encode`, :meth:`decode` and :meth:`log_prob`
    that the model has; what else they are given is handed on. A model that takes a ``mask`` is given it.

    >>> import jax.numpy as jnp
    >>> class Laughing(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.tile(jnp.array([104, 97]), (n_samples, 2))
    >>> TextModelAdapter(TextModality()).adapt_model(Laughing()).generate(2)
    ['haha', 'haha']
    """

    def __init__(self, model: protocols.GenerativeModelProtocol, adapter: TextModelAdapter) -> None:
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

    def __call__(self, texts: Texts, *, rngs: nnx.Rngs | None = None, **given: Any) -> dict[str, Array]:
        """The model's own outputs for texts."""
        return self._with_x(self.model, texts, rngs=rngs, **given)

    def generate(
        self, n_samples: int = 1, *, prompt: Texts | None = None, rngs: nnx.Rngs | None = None, **given: Any
    ) -> list[str | None]:
        """New texts.

        Args:
            n_samples: how many.
            prompt: what they begin with: one for all, or one each. For models that take a prompt of tokens.
            rngs: stream ``sample``; the model's own by default.
            given: what else the model's ``generate`` takes.

        Raises:
            InvalidInputError: there is a prompt, and the model takes none.
        """
        end = self.adapter.modality.tokenizer.end
        if end is not None and _takes(self.model.generate, "stop_tokens"):
            given = {"stop_tokens": (end,), "fill_token": end, **given}
        if prompt is not None:
            given |= self._prompt(prompt)
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _prompt(self, prompt: Texts) -> dict[str, Any]:
        if not _takes(self.model.generate, "prompt"):
            raise InvalidInputError(f"{type(self.model).__name__}.generate takes no prompt; leave it out")
        encode = self.adapter.modality.tokenizer.encode
        rows = [encode(text) for text in ([prompt] if isinstance(prompt, str) else prompt)]
        longest = max(map(len, rows), default=0)
        tokens = np.array([row + [0] * (longest - len(row)) for row in rows], np.int32)
        lengths = {} if all(len(row) == longest for row in rows) else {"prompt_lengths": np.array([len(row) for row in rows])}
        return {"prompt": tokens, **lengths}

    def _with_x(self, method: Callable[..., Any], texts: Texts, *others: Any, **given: Any) -> Any:
        batch = self.adapter.preprocess(texts)
        if _takes(method, "mask"):
            given = {"mask": batch["mask"], **given}
        return method(batch["x"], *others, **given)

    def _decode(self, z: Any, **given: Any) -> list[str | None]:
        return self.adapter.postprocess(self.model.decode(z, **given))

    def _encode(self, texts: Texts, **given: Any) -> Any:
        return self._with_x(self.model.encode, texts, **given)

    def _interpolate(self, texts0: Texts, texts1: Texts, n_steps: int, **given: Any) -> list[list[str | None]]:
        x1 = self.adapter.preprocess(texts1)["x"]
        between = np.asarray(self._with_x(self.model.interpolate, texts0, x1, n_steps, **given))
        return [self.adapter.postprocess(steps) for steps in between]

    def _log_prob(self, texts: Texts, **given: Any) -> Float[Array, "B"]:
        return self._with_x(self.model.log_prob, texts, **given)

    def _reconstruct(self, texts: Texts, **given: Any) -> list[str | None]:
        return self.adapter.postprocess(self._with_x(self.model.reconstruct, texts, **given))


def _takes(method: Callable[..., Any], name: str) -> bool:
    """Whether a method has an argument of that name."""
    return name in inspect.signature(method).parameters
