"""Images from the Hugging Face hub, or from a data set saved with ``save_to_disk``. Needs the extra ``huggingface``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.splits import ordered, require_split
from artifex.modalities.image.datasets.decoding import (
    MENDING,
    ColourMode,
    Damaged,
    DamagedPictureError,
    Fit,
    decode,
    whole_or_next,
)
from artifex.modalities.image.datasets.labels import as_labels

__all__ = ["HuggingFace", "HuggingFaceConfig", "HuggingFaceSource"]


@config
class HuggingFaceConfig(Config):
    """Which data set to read, which of its columns, and the size its pictures get."""

    path: str
    """Name on the hub (``ylecun/mnist``), or a local folder written by ``save_to_disk``."""
    height: Annotated[int, Field(ge=1)]
    """Rows of every image."""
    width: Annotated[int, Field(ge=1)]
    """Columns of every image."""
    channels: ColourMode = "rgb"
    """Colour mode that every picture is converted to."""
    fit: Fit = "crop"
    """``crop`` keeps proportions and cuts what is too long, centred; ``stretch`` distorts instead."""
    subset: str | None = None
    """Which configuration of the data set, where it has several. Not for a local folder."""
    revision: str | None = None
    """Branch, tag or commit on the hub; the newest unless given. Not for a local folder."""
    damaged: Damaged = "refuse"
    """What happens at a row whose picture cannot be decoded. ``refuse``: an error names it. ``replace``: a warning names it,
    and the next whole row takes its place."""
    image_column: str = "image"
    """Column of pictures."""
    label_column: str | None = "label"
    """Column of labels, whole numbers from 0; null for none."""


@dataclass(frozen=True, slots=True)
class HuggingFaceSource(Sequence):
    """One split, memory-mapped: rows are decoded when they are asked for."""

    config: HuggingFaceConfig
    rows: Any
    """A ``datasets.Dataset``."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """``x`` uint8 ``(height, width, c)`` and ``label`` int32; :class:`DataError` names a row without an image."""
        return whole_or_next(self._read, range(len(self))[index], len(self), self.config.damaged)

    def _read(self, index: int) -> dict[str, np.ndarray]:
        config = self.config
        try:
            row = self.rows[index]
            picture = row[config.image_column]
            if not isinstance(picture, Image.Image):
                picture = Image.fromarray(np.asarray(picture, np.uint8))
            x = decode(picture, config.height, config.width, config.channels, config.fit)
        except MemoryError:
            raise
        except DataError as error:
            raise DataError(f"{config.path}: row {index} cannot be read as an image: {error}") from error
        except Exception as error:  # on broken data, the decoders raise whatever they come across
            mending = "" if config.damaged == "replace" else f"; {MENDING}"
            raise DamagedPictureError(f"{config.path}: row {index} cannot be read as an image: {error}{mending}") from error
        return {"x": x} if config.label_column is None else {"x": x, "label": np.asarray(row[config.label_column], np.int32)}


class HuggingFace:
    """A data set of the ``datasets`` library. What the hub sends is kept in that library's own cache."""

    def __init__(self, config: HuggingFaceConfig) -> None:
        self.config = config
        self._loaded: Any = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits it was published with. Raises :class:`DataError` when it cannot be had."""
        return ordered(self._splits())

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: label i is ``classes[i]``. Empty where the data set does not name them."""
        loaded = self._splits()
        features = getattr(loaded[ordered(loaded)[0]], "features", None) or {}
        return tuple(getattr(features.get(self.config.label_column), "names", None) or ())

    def source(self, split: str) -> HuggingFaceSource:
        """The rows of one split.

        Raises:
            InvalidInputError: no such split.
            DataError: the library is not installed, the data set cannot be had, a column is missing, or a label is no whole
                number from 0.
        """
        loaded = self._splits()
        require_split(split, ordered(loaded), self.config.path)
        rows = loaded[split]
        for column in (self.config.image_column, self.config.label_column):
            if column is not None and column not in rows.column_names:
                raise DataError(
                    f"{self.config.path} has no column {column!r}; it has {', '.join(rows.column_names)}: set image_column and "
                    "label_column (null for no labels)"
                )
        if (column := self.config.label_column) is not None:
            as_labels(
                rows[column][:], f"{self.config.path}: column {column!r}", "name another label_column, or null for no labels"
            )
        return HuggingFaceSource(self.config, rows)

    def _splits(self) -> dict[str, Any]:
        if self._loaded is None:
            self._loaded = _load(self.config)
        return self._loaded


def _load(config: HuggingFaceConfig) -> dict[str, Any]:
    try:
        # The library is an extra: a plain import statement would ask type checkers for it.
        datasets: Any = importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(
            "the data set 'huggingface' needs the library 'datasets': pip install 'artifex-modalities-image[huggingface]'"
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
    return {"train": loaded} if isinstance(loaded, datasets.Dataset) else dict(loaded)
