"""Texts on their way to a model and back.

What works on strings is done on the host, once: data sets store tokens and a ``mask``. ``prepare`` only cuts and pads.
Shapes: ``B = batch, S = stored length, L = length``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Int

from artifex.core.checks import check_any_samples
from artifex.core.config import Config
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.modalities.text.config import TextModalityConfig
from artifex.modalities.text.layout import padded
from artifex.modalities.text.tokenizers.base import LearnsFromText, Tokenizer, make_tokenizer
from artifex.modalities.text.tokenizers.single_bytes import BytesTokenizerConfig

__all__ = ["TextModality", "whole_characters"]

ALONG = ("x", "mask", "segment")
"""Arrays of a batch that have an element for each token."""


class TextModality:
    """Texts as tokens ``(length,)``, with a ``mask`` that is true where there is one.

    Follows :class:`artifex.core.protocols.ModalityProtocol`, ``ChecksData``, ``HasHostForm`` and ``FitsData``.

    Args:
        config: which tokens, and how many; bytes and 128 by default.
        rngs: random streams, of which the modality keeps a fork: it serves whenever :meth:`prepare` is given none and draws the
            part of an example (``crop``), outside compiled functions.

    Raises:
        InvalidTypeError: ``config`` is no :class:`TextModalityConfig`, or ``rngs`` no ``nnx.Rngs``.

    Example:
        >>> modality = TextModality(TextModalityConfig(length=8))
        >>> tokens = modality.preprocess_text(["Hi", "ça va"])
        >>> tokens.tolist()
        [[72, 105, 256, 0, 0, 0, 0, 0], [195, 167, 97, 32, 118, 97, 256, 0]]
        >>> modality.to_host(tokens)
        ['Hi', 'ça va']
    """

    def __init__(self, config: TextModalityConfig | None = None, *, rngs: nnx.Rngs | None = None) -> None:
        config = TextModalityConfig() if config is None else config
        if not isinstance(config, TextModalityConfig):
            raise InvalidTypeError(f"TextModality takes a TextModalityConfig, got {type(config).__name__}: {config!r}")
        if rngs is not None and not isinstance(rngs, nnx.Rngs):
            raise InvalidTypeError(f"TextModality takes rngs=nnx.Rngs(seed), got {type(rngs).__name__}: {rngs!r}")
        self.config = config
        self.rngs = None if rngs is None else rngs.fork()
        self._tokenizer: Tokenizer | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """Texts to tokens and back. Raises ``InvalidInputError`` where it has not learnt yet what it needs."""
        if self._tokenizer is None:
            self._tokenizer = make_tokenizer(self.config.tokenizer or BytesTokenizerConfig())
        return self._tokenizer

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one prepared example: ``(length,)``."""
        return (self.config.length,)

    def fitted(self, dataset: Any, split: str) -> Self:
        """This modality with the tokeniser of a data set of texts, which may have learnt it from ``split``.

        Raises:
            DataError: both name a tokeniser, and not the same.
        """
        theirs = dataset.tokenizer_config(split) if isinstance(dataset, _HasTokenizer) else None
        mine = self.config.tokenizer
        if theirs is None or mine == theirs:
            return self
        if mine is None or (
            isinstance(mine, LearnsFromText) and type(mine) is type(theirs) and mine == dataset.config.tokenizer
        ):
            return type(self)(self.config.replace(tokenizer=theirs), rngs=self.rngs)
        raise DataError(
            f"the data set's tokens are those of {theirs!r}, the modality's of {mine!r}; leave the modality's tokenizer out"
        )

    def preprocess_text(self, texts: str | Sequence[str]) -> Int[np.ndarray, "B L"]:
        """Texts as tokens, each with its end; longer ones are cut, shorter ones padded with zeros."""
        return self.batch_of(texts)["x"]

    def batch_of(self, texts: str | Sequence[str]) -> dict[str, np.ndarray]:
        """Texts as ``x`` and ``mask``, both ``(B, L)``.

        Raises:
            InvalidInputError: a text cannot be told by the tokeniser; the message has its number.
        """
        if not isinstance(texts, Iterable):
            raise InvalidTypeError(f"texts are a text or a list of texts, got {type(texts).__name__}: {texts!r}")
        rows = []
        for i, text in enumerate([texts] if isinstance(texts, str) else texts):
            try:
                tokens = self.tokenizer.encode(text)
            except (InvalidInputError, InvalidTypeError) as error:
                raise type(error)(f"text {i}: {error}") from error
            rows.append(tokens + ([] if self.tokenizer.end is None else [self.tokenizer.end]))
        return padded([row[: self.config.length] for row in rows], self.config.length)

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored tokens to model input; jitted with the step.

        Args:
            batch: ``x`` of whole numbers ``(B, S)``, and perhaps ``mask`` and ``segment`` of that shape; other keys are handed
                on as they are.
            rngs: streams; ``sample`` (or ``default``) draws the parts of longer examples where the config says so. The
                modality's own by default.
            train: whether such parts are drawn.

        Returns:
            The batch with ``x`` int32 ``(B, L)``, 0 where there is no token, and ``mask``.

        Raises:
            InvalidInputError: ``x`` is missing, or a shape or dtype does not fit; or there is no stream to draw from.
        """
        self._check_form(batch)
        rows = {key: jnp.asarray(batch[key]) for key in ALONG if key in batch}
        rows.setdefault("mask", jnp.ones(rows["x"].shape, bool))
        length, stored = self.config.length, rows["x"].shape[1]
        if stored > length and train and self.config.crop == "random":
            spare = jnp.maximum(jnp.sum(rows["mask"], axis=1) - length, 0)
            start = jax.random.randint(_key(self.rngs if rngs is None else rngs), spare.shape, 0, spare + 1)
            rows = {
                k: jax.vmap(lambda row, at: jax.lax.dynamic_slice(row, (at,), (length,)))(v, start) for k, v in rows.items()
            }
        rows = {key: jnp.pad(row[:, :length], ((0, 0), (0, max(0, length - stored)))) for key, row in rows.items()}
        rows["x"] = jnp.where(rows["mask"], rows["x"], 0).astype(jnp.int32)
        return {**batch, **rows}

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these are tokens of the vocabulary; on the host, before the first step.

        Args:
            arrays: ``x`` and perhaps ``mask``, ``(N, S)``; other keys are not looked at.
            first_row: row of the data set that the first of them is, for messages.

        Raises:
            InvalidInputError: ``x`` is missing, its shape or dtype does not fit, or a token is not in the vocabulary.

        >>> TextModality().check({"x": np.array([[1, 300]])}, first_row=7)
        Traceback (most recent call last):
        artifex.core.errors.InvalidInputError: x[7, 1] is 300, but the vocabulary has 257 tokens, from 0; give the modality the
        ...
        """
        self._check_form(arrays)
        x = np.asarray(arrays["x"])
        wrong = (x < 0) | (x >= self.tokenizer.vocab_size)
        if "mask" in arrays:
            wrong &= np.asarray(arrays["mask"])
        if wrong.any():
            row, place = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"x[{first_row + row}, {place}] is {x[row, place]}, but the vocabulary has {self.tokenizer.vocab_size} "
                "tokens, from 0; give the modality the tokenizer that made the data"
            )

    def to_host(self, x: Int[np.ndarray, "B L"], mask: Bool[np.ndarray, "B L"] | None = None) -> list[str | None]:
        """Tokens as texts, each up to its end; None for what is no well-formed text.

        Tokens may begin or end in the middle of a character, where a window or the length cut it: that character is left out.
        """
        return [_text(self.tokenizer, row) for row in self._rows(x, mask)]

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write samples ``(N, L)`` one below the other as ``stem.txt``, in UTF-8; returns its path.

        What is no text is shown as U+FFFD, the replacement character.
        """
        check_any_samples(samples, stem)
        shown = [_shown(self.tokenizer, row) for row in self._rows(samples, None)]
        text = "".join(f"=== {i + 1} of {len(shown)} ===\n{sample}\n\n" for i, sample in enumerate(shown))
        stem = Path(stem)
        stem.parent.mkdir(parents=True, exist_ok=True)
        path, hidden = stem.with_name(f"{stem.name}.txt"), stem.with_name(f".{stem.name}.{os.getpid()}.part")
        try:
            hidden.write_text(text, encoding="utf-8")
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)
        return path

    def _rows(self, x: Any, mask: Any) -> list[list[int]]:
        """The tokens of each example, up to the end and perhaps with it."""
        x = np.asarray(x)
        if x.ndim != 2 or not np.issubdtype(x.dtype, np.integer):
            raise InvalidInputError(f"tokens are whole numbers of shape (batch, length); got {x.dtype} of shape {x.shape}")
        rows = [row if mask is None else row[np.asarray(mask[i], bool)] for i, row in enumerate(x)]
        return [_up_to(row.tolist(), self.tokenizer.end) for row in rows]

    def _check_form(self, batch: Mapping[str, Any]) -> None:
        if "x" not in batch:
            raise InvalidInputError(f"a batch of texts has the key 'x'; got the keys {sorted(batch)}")
        shape, dtype = jnp.shape(batch["x"]), jnp.result_type(batch["x"])
        if len(shape) != 2 or not jnp.issubdtype(dtype, jnp.integer):
            raise InvalidInputError(
                f"texts are tokens, whole numbers of shape (batch, length); got {dtype} of shape {shape}: "
                "preprocess_text makes tokens of texts"
            )
        for key in ALONG[1:]:
            if key in batch and jnp.shape(batch[key]) != shape:
                raise InvalidInputError(f"{key} has shape {jnp.shape(batch[key])}, x {shape}; they have to be the same")


@runtime_checkable
class _HasTokenizer(Protocol):
    """A data set of texts."""

    config: Any

    def tokenizer_config(self, split: str) -> Config:
        """What its tokens are, with what was learnt from ``split``."""
        ...


def whole_characters(data: bytes, *, ended: bool) -> bytes:
    r"""Bytes of UTF-8 without the character that was cut at their beginning and, unless the text ``ended``, at their end.

    >>> whole_characters(b"\xa7a \xc3", ended=False)
    b'a '
    """
    start = next((i for i, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0 if len(data) > 3 else len(data))
    data = data[start:]
    for back in range(1, 0 if ended else min(3, len(data)) + 1):
        lead = data[-back]
        if lead & 0xC0 != 0x80:
            needed = 1 if not 0xC2 <= lead <= 0xF4 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return data[:-back] if needed > back else data
    return data


def _up_to(tokens: list[int], end: int | None) -> list[int]:
    return tokens[: tokens.index(end) + 1] if end is not None and end in tokens else tokens


def _text(tokenizer: Tokenizer, tokens: list[int]) -> str | None:
    try:
        data = tokenizer.decode_bytes(tokens)
        return whole_characters(data, ended=tokenizer.end in tokens[-1:]).decode("utf-8")
    except (InvalidInputError, UnicodeDecodeError):
        return None


def _shown(tokenizer: Tokenizer, tokens: list[int]) -> str:
    """The text, or as much of it as there is."""
    try:
        data = tokenizer.decode_bytes(tokens)
    except InvalidInputError:  # a model may have more tokens than its tokeniser
        data = b"".join(_piece(tokenizer, token) for token in tokens)
    return whole_characters(data, ended=tokenizer.end in tokens[-1:]).decode("utf-8", errors="replace")


def _piece(tokenizer: Tokenizer, token: int) -> bytes:
    try:
        return tokenizer.decode_bytes([token])
    except InvalidInputError:
        return b"\xff"  # no byte of UTF-8


def _key(rngs: nnx.Rngs | None) -> Array:
    if rngs is None or not ("sample" in rngs or "default" in rngs):
        raise InvalidInputError("crop 'random' draws numbers: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)")
    return rngs.sample()
