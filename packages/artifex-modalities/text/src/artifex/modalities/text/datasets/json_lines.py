"""Texts in JSON lines: one JSON object on each line of a file."""

from __future__ import annotations

import json
from pathlib import Path

from artifex.core.config import config
from artifex.core.errors import DataError
from artifex.modalities.text.datasets.corpus import TextDataset, TextDatasetConfig
from artifex.modalities.text.datasets.files import read_text, split_files

__all__ = ["JsonLines", "JsonLinesConfig"]


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
        found = split_files(self.config.path, (".jsonl", ".ndjson", ".json"))
        return {split: [text for file in files for text in _texts(file, self.config.field)] for split, files in found.items()}


def _texts(file: Path, field: str) -> list[str]:
    texts = []
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            held = json.loads(line)
        except ValueError as error:
            raise DataError(
                f'{where} is no JSON ({error}); each line has to be an object such as {{"{field}": "..."}}'
            ) from error
        if not isinstance(held, dict):
            raise DataError(f'{where} is a {type(held).__name__}; each line has to be an object such as {{"{field}": "..."}}')
        if field not in held:
            raise DataError(
                f"{where} has no key {field!r}, only {', '.join(map(repr, held)) or 'none'}; set 'field' to the text's"
            )
        if not isinstance(held[field], str):
            raise DataError(f"{where}: {field!r} is {held[field]!r}, which is no text")
        texts.append(held[field])
    if not texts:
        raise DataError(f"{file} holds no text; fill it, or take it away")
    return texts
