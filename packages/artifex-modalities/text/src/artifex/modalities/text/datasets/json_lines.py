"""Texts in JSON lines: one JSON object on each line of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from artifex.core.config import config
from artifex.core.errors import DataError, InvalidInputError
from artifex.modalities.text.datasets.corpus import TextDataset, TextDatasetConfig
from artifex.modalities.text.datasets.files import read_text, split_files
from artifex.modalities.text.tokenizers.base import as_utf8

__all__ = ["JsonLines", "JsonLinesConfig"]

SUFFIXES = (".jsonl", ".ndjson", ".json")


@config
class JsonLinesConfig(TextDatasetConfig):
    """Which files, and what the texts are called in them."""

    path: Path
    """A file; or a folder, with files such as ``train.jsonl`` and ``test.jsonl`` for splits."""
    field: str = "text"
    """The key of each line's text."""


class JsonLines(TextDataset[JsonLinesConfig]):
    """A text from each line, ``{"text": "..."}``; blank lines are passed over.

    Raises, when it is read:
        DataError: a line is no JSON, no object, or has no text under the key; the message names file and line.
    """

    def _read(self) -> dict[str, list[str]]:
        found = split_files(self.config.path, SUFFIXES)
        return {split: [text for file in files for text in _texts(file, self.config.field)] for split, files in found.items()}

    def _origin(self, text: str) -> str:
        files = [file for own in split_files(self.config.path, SUFFIXES).values() for file in own]
        lines = ((file, number) for file in files for number, own in _numbered(file, self.config.field) if text in own)
        return next((f"{file}, line {number}" for file, number in lines), "")


def _texts(file: Path, field: str) -> list[str]:
    texts = [text for _, text in _numbered(file, field)]
    if not texts:
        raise DataError(f"{file} holds no text; fill it, or take it away")
    return texts


def _numbered(file: Path, field: str) -> Iterator[tuple[int, str]]:
    """Texts with the numbers of their lines."""
    for number, line in enumerate(read_text(file, fix="JSON is in UTF-8: save it so").split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            held = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f'{where} is no JSON ({error}); each line has to be a whole object such as {{"{field}": "..."}}'
            ) from error
        if not isinstance(held, dict):
            raise DataError(f'{where} is a {type(held).__name__}; each line has to be an object such as {{"{field}": "..."}}')
        if field not in held:
            raise DataError(
                f"{where} has no key {field!r}, only {', '.join(map(repr, held)) or 'none'}; set 'field' to the text's"
            )
        if not isinstance(held[field], str):
            raise DataError(f"{where}: {field!r} is {held[field]!r}, which is no text; give it one, or take the line away")
        try:
            as_utf8(held[field])
        except InvalidInputError as error:
            raise DataError(f"{where}: {error}") from error
        yield number, held[field]
