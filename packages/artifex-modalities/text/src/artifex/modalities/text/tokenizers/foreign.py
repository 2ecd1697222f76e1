"""Tokenisers that other libraries made and read: ``tokenizer.json`` and SentencePiece models. Each needs its extra."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.modalities.text.tokenizers.base import Tokenizer, as_utf8

__all__ = ["SentencePieceConfig", "SentencePieceTokenizer", "TokenizerJsonConfig", "TokenizerJsonTokenizer"]

ENDS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "[SEP]")
"""What published vocabularies call the end of a text."""


@config
class TokenizerJsonConfig(Config):
    """Which file. Needs the extra ``tokenizers``."""

    file: Path
    """A ``tokenizer.json`` of the library ``tokenizers``."""
    end: str | None = None
    """What it calls the end of a text; left out, the first it has of ``<|endoftext|>``, ``</s>``, ``<|end_of_text|>``,
    ``<eos>`` and ``[SEP]``."""


class TokenizerJsonTokenizer(Tokenizer):
    """A tokeniser of the library ``tokenizers``. What it normalises (case, white space) does not come back.

    Raises:
        DataError: the library is not installed, the file cannot be read, or the end that the config names is no token.
    """

    def __init__(self, config: TokenizerJsonConfig) -> None:
        self.config = config
        self._tokenizer = _loaded(config.file, "tokenizers", lambda library, file: library.Tokenizer.from_file(file))
        self.vocab_size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        names = ENDS if config.end is None else (config.end,)
        self.end = next((t for t in map(self._tokenizer.token_to_id, names) if t is not None), None)
        if config.end is not None and self.end is None:
            raise DataError(
                f"{config.file} has no token {config.end!r}; set 'end' to what it calls the end of a text, or leave it out"
            )

    def encode(self, text: str) -> list[int]:
        as_utf8(text)
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        _check(self, tokens)
        kept = [int(token) for token in tokens if token != self.end]
        return self._tokenizer.decode(kept, skip_special_tokens=False).encode("utf-8")


@config
class SentencePieceConfig(Config):
    """Which model. Needs the extra ``sentencepiece``."""

    file: Path
    """A SentencePiece ``.model``."""


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model (Kudo and Richardson 2018, arXiv:1808.06226). What it normalises does not come back.

    Raises:
        DataError: the library is not installed, or the file cannot be read.
    """

    def __init__(self, config: SentencePieceConfig) -> None:
        self.config = config
        self._model = _loaded(
            config.file, "sentencepiece", lambda library, file: library.SentencePieceProcessor(model_file=file)
        )
        self.vocab_size = self._model.vocab_size()
        self.end = None if self._model.eos_id() < 0 else self._model.eos_id()

    def encode(self, text: str) -> list[int]:
        as_utf8(text)
        return list(self._model.encode(text))

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        _check(self, tokens)
        return self._model.decode([int(token) for token in tokens if token != self.end]).encode("utf-8")


def _check(tokenizer: Tokenizer, tokens: Sequence[int]) -> None:
    for token in tokens:
        if not 0 <= token < tokenizer.vocab_size:
            raise tokenizer._refuse(token)


def _loaded(file: Path, library: str, load: Any) -> Any:
    path = file.expanduser()
    try:
        # The library is an extra: a plain import statement would ask type checkers for it.
        module: Any = importlib.import_module(library)
    except ImportError as error:
        raise DataError(
            f"{path.name} needs the library {library!r}: pip install 'artifex-modalities-text[{library}]'"
        ) from error
    if not path.is_file():
        raise DataError(f"there is no file {path}; set 'file' to the tokeniser's")
    try:
        return load(module, str(path))
    except Exception as error:  # the libraries raise whatever their parsers raise
        raise DataError(f"{path} cannot be read through {library!r}: {error}") from error
