"""What all data sets of texts share: splits, the tokeniser, and how texts become rows of tokens."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Generic, Literal, TypeVar

import numpy as np
from pydantic import Field

from artifex.core.config import Config, Registered, config
from artifex.core.errors import ArtifexError, DataError, InvalidInputError
from artifex.core.splits import ordered, require_split
from artifex.modalities.text import layout
from artifex.modalities.text.tokenizers.base import LearnsFromText, make_tokenizer
from artifex.modalities.text.tokenizers.single_bytes import BytesTokenizerConfig

__all__ = ["TextDataset", "TextDatasetConfig", "split_texts"]

SHARE = 0.05
"""Of the texts, for validation and for testing each, where nobody has split them."""


@config
class TextDatasetConfig(Config):
    """How texts become rows of tokens; which texts is said by what inherits from it."""

    tokenizer: Annotated[Config, Registered("tokenizer")] = BytesTokenizerConfig()
    """What the tokens are. One that learns does so from the split ``train``."""
    length: Annotated[int, Field(ge=1)] = 128
    """Tokens of a row."""
    layout: Literal["windows", "documents", "packed"] = "windows"
    """``windows``: rows cut from all texts, one after the other. ``documents``: a row for each text, padded; what is too long
    goes on in the next. ``packed``: several texts in a row, told apart by ``segment``."""
    overlap: Annotated[int, Field(ge=1)] = 1
    """Windows that each token of the split ``train`` is in: 2 makes them begin at every half window."""

    def __post_init__(self) -> None:
        if self.overlap > self.length:
            raise ValueError(f"overlap is {self.overlap}; windows of {self.length} tokens can be no more than so many")
        if self.overlap > 1 and self.layout != "windows":
            raise ValueError(f"overlap is of windows, and layout is {self.layout!r}; leave it out")


C = TypeVar("C", bound=TextDatasetConfig)


class TextDataset(ABC, Generic[C]):
    """Texts as rows of tokens: ``x`` int32 ``(N, length)``, ``mask``, and ``segment`` where they are packed."""

    def __init__(self, config: C) -> None:
        self.config = config
        self._splits: Mapping[str, Sequence[str]] | None = None
        self._tokenizer: Config | None = None

    @abstractmethod
    def _read(self) -> Mapping[str, Sequence[str]]:
        """The texts of each split; those under ``""`` nobody has split."""

    def _origin(self, text: str) -> str:
        """Where a text comes from, for messages: a file and perhaps its line; empty where that cannot be told."""
        del text
        return ""

    @property
    def splits(self) -> tuple[str, ...]:
        """``train`` first, then ``test``."""
        return ordered(self._texts())

    def texts(self, split: str) -> Sequence[str]:
        """The texts of one split. Raises :class:`InvalidInputError` for a split that does not exist."""
        require_split(split, self.splits, type(self).__name__)
        return self._texts()[split]

    def tokenizer_config(self, split: str = "train") -> Config:
        """The config of the tokeniser, with what it has learnt from the split ``train``.

        Raises:
            InvalidInputError: it has to learn, and ``split`` is another one.
        """
        own = self.config.tokenizer
        if not isinstance(own, LearnsFromText):
            return own
        if self._tokenizer is None:
            self._tokenizer = own.learnt(self.texts("train"))
        if self._tokenizer != own and split != "train":
            raise InvalidInputError(
                f"the tokeniser learns from the split 'train', and {split!r} is trained on; use one that has learnt"
            )
        return self._tokenizer

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The rows of one split.

        Raises:
            InvalidInputError: there is no such split.
            DataError: a text cannot be read or told by the tokeniser, or there are too few for a row.
        """
        texts, length = self.texts(split), self.config.length
        rows = self._encoded(texts, split, ended=len(texts) > 1 or self._is_split_by_text)
        if self.config.layout == "documents":
            return layout.documents(rows, length)
        if self.config.layout == "packed":
            return layout.packed(rows, length)
        tokens = np.array([token for row in rows for token in row], np.int32)
        if len(tokens) < length:
            raise DataError(
                f"the split {split!r} of {self._origin(texts[0]) or 'the texts'} has {len(tokens)} tokens: too few for a "
                f"window of {length}; make length smaller, or give more text"
            )
        return layout.windows(tokens, length, length // self.config.overlap if split == "train" else length)

    def _encoded(self, texts: Iterable[str], split: str, *, ended: bool) -> list[list[int]]:
        tokenizer = make_tokenizer(self.tokenizer_config())
        end = [tokenizer.end] if ended and tokenizer.end is not None else []
        rows = []
        for i, text in enumerate(texts):
            try:
                rows.append(tokenizer.encode(text) + end)
            except ArtifexError as error:
                origin = self._origin(text)
                where = f"text {i} of the split {split!r}" + (f" ({origin})" if origin else "")
                raise DataError(f"{where}: {error}") from error
        return rows

    @property
    def _is_split_by_text(self) -> bool:
        return sum(map(len, self._texts().values())) > len(self._texts())

    def _texts(self) -> Mapping[str, Sequence[str]]:
        if self._splits is None:
            found = self._read()
            self._splits = split_texts(found[""]) if "" in found else found
        return self._splits


def split_texts(texts: Sequence[str]) -> dict[str, list[str]]:
    """Texts that nobody has split: nine tenths to train on, a twentieth each to evaluate and to test on.

    One text is cut: its end is for testing, what comes before for validation. Of several, each goes where a hash of it says, so
    that equal ones go together, and the others stay where they are when some are added. Where that leaves none to train on, the
    one with the greatest hash is.

    >>> {split: len(texts[0]) for split, texts in split_texts(["a" * 100]).items()}
    {'train': 90, 'validation': 5, 'test': 5}
    """
    if len(texts) == 1:
        (text,) = texts
        first, second = (int(share * len(text)) for share in (1 - 2 * SHARE, 1 - SHARE))
        return {"train": [text[:first]], "validation": [text[first:second]], "test": [text[second:]]}
    made: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    places = [_place(text) for text in texts]
    trained_on = min(2 * SHARE, max(places, default=0.0))  # of few texts, none may lie above
    for text, at in zip(texts, places, strict=True):
        made["train" if at >= trained_on else "test" if at < SHARE else "validation"].append(text)
    return {split: own for split, own in made.items() if own}


def _place(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
