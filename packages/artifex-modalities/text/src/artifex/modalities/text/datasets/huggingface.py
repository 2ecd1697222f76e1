"""Texts from the Hugging Face hub, or from a data set saved with ``save_to_disk``. Needs the extra ``huggingface``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from artifex.core.config import config
from artifex.core.errors import DataError
from artifex.modalities.text.datasets.corpus import TextDataset, TextDatasetConfig

__all__ = ["HuggingFaceText", "HuggingFaceTextConfig"]


@config
class HuggingFaceTextConfig(TextDatasetConfig):
    """Which data set, and which of its columns."""

    path: str
    """Name on the hub, or a local folder written by ``save_to_disk``."""
    subset: str | None = None
    """Which configuration of the data set, where it has several. Not for a local folder."""
    revision: str | None = None
    """Branch, tag or commit on the hub; the newest unless given. Not for a local folder."""
    text_column: str = "text"
    """Column of texts."""


class HuggingFaceText(TextDataset[HuggingFaceTextConfig]):
    """A data set of the ``datasets`` library, a text from each row. What the hub sends is kept in that library's own cache.

    Raises, when it is read:
        DataError: the library is not installed, the data set cannot be had, the column is missing, or a row holds no text.
    """

    def _read(self) -> dict[str, Sequence[str]]:
        loaded = _load(self.config)
        return {split: self._column(rows, split) for split, rows in loaded.items()}

    def _column(self, rows: Any, split: str) -> list[str]:
        column = self.config.text_column
        if column not in rows.column_names:
            raise DataError(
                f"{self.config.path} has no column {column!r}; it has {', '.join(rows.column_names)}: set text_column"
            )
        texts = list(rows[column])
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"{self.config.path}, row {row} of {split!r}: {column!r} is {text!r}, which is no text")
        return texts


def _load(config: HuggingFaceTextConfig) -> dict[str, Any]:
    """By split; ``""`` for a data set without any."""
    try:
        # The library is an extra: a plain import statement would ask type checkers for it.
        datasets: Any = importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(
            "the data set 'huggingface_text' needs the library 'datasets': pip install 'artifex-modalities-text[huggingface]'"
        ) from error
    folder = Path(config.path).expanduser()
    try:
        if any((folder / marker).is_file() for marker in ("dataset_dict.json", "state.json")):
            if config.subset is not None or config.revision is not None:
                raise DataError(f"{folder} is a saved data set, which has neither subsets nor revisions; leave both out")
            loaded = datasets.load_from_disk(str(folder))
        else:
            loaded = datasets.load_dataset(config.path, config.subset, revision=config.revision)
    except DataError:
        raise
    except Exception as error:  # the library raises whatever its reader, its network or its cache raises
        raise DataError(f"cannot load {config.path!r} through 'datasets': {type(error).__name__}: {error}") from error
    return {"": loaded} if isinstance(loaded, datasets.Dataset) else dict(loaded)
