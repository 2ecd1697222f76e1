"""A model of tokens as people meet it: it takes texts, and gives texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from artifex.core.adapters import AdaptedModel, ModalityAdapter, has_argument
from artifex.core.errors import InvalidInputError
from artifex.modalities.text.modality import TextModality

__all__ = ["TextModel", "TextModelAdapter"]

Texts = str | Sequence[str]


class TextModel(AdaptedModel):
    """A model among texts: what takes an ``x`` takes texts, and what gives one gives texts.

    >>> import jax.numpy as jnp
    >>> class Laughing(nnx.Module):
    ...     def __call__(self, x, *, rngs=None):
    ...         return {}
    ...     def generate(self, n_samples=1, *, rngs=None):
    ...         return jnp.tile(jnp.array([104, 97]), (n_samples, 2))
    >>> TextModelAdapter(TextModality()).adapt_model(Laughing()).generate(2)
    ['haha', 'haha']
    """

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
        if end is not None and has_argument(self.model.generate, "stop_tokens"):
            given = {"stop_tokens": (end,), "fill_token": end, **given}
        if prompt is not None:
            given |= self._prompt(prompt)
        return self.adapter.postprocess(self.model.generate(n_samples, rngs=rngs, **given))

    def _prompt(self, prompt: Texts) -> dict[str, Any]:
        if not has_argument(self.model.generate, "prompt"):
            raise InvalidInputError(f"{type(self.model).__name__}.generate takes no prompt; leave it out")
        encode = self.adapter.modality.tokenizer.encode
        rows = [encode(text) for text in ([prompt] if isinstance(prompt, str) else prompt)]
        longest = max(map(len, rows), default=0)
        tokens = np.array([row + [0] * (longest - len(row)) for row in rows], np.int32)
        lengths = {} if all(len(row) == longest for row in rows) else {"prompt_lengths": np.array([len(row) for row in rows])}
        return {"prompt": tokens, **lengths}

    def _given(self, batch: Mapping[str, Any], method: Callable[..., Any]) -> tuple[Array, dict[str, Array]]:
        """``x``, and the mask where the method takes it: what stands after the end of a text any model can learn."""
        return batch["x"], {"mask": batch["mask"]} if has_argument(method, "mask") else {}

    def _interpolate(self, data0: Texts, data1: Texts, n_steps: int, **given: Any) -> list[list[str | None]]:
        x0, mask = self._given(self.adapter.preprocess(data0), self.model.interpolate)
        x1 = self.adapter.preprocess(data1)["x"]
        return [self.adapter.postprocess(steps) for steps in self.model.interpolate(x0, x1, n_steps, **mask, **given)]


class TextModelAdapter(ModalityAdapter[TextModality]):
    """Carries a model from texts to texts.

    Args:
        modality: the tokens that the models are given.

    >>> from artifex.modalities.text import TextModalityConfig
    >>> adapter = TextModelAdapter(TextModality(TextModalityConfig(length=16)))
    >>> adapter.postprocess(adapter.preprocess(["good morning", "ça va ?"])["x"])
    ['good morning', 'ça va ?']
    """

    takes = TextModality
    adapted = TextModel

    def stored(self, data: Any) -> Mapping[str, Any]:
        """Texts as a stored batch of tokens.

        Raises:
            InvalidInputError: a text cannot be told by the tokeniser.
        """
        return data if isinstance(data, Mapping) else self.modality.batch_of(data)

    def postprocess(self, outputs: Int[Array, "B L"]) -> list[str | None]:  # type: ignore[override]  # texts end by themselves
        """Tokens as texts; None for what is no well-formed text."""
        return self.modality.to_host(np.asarray(outputs))
