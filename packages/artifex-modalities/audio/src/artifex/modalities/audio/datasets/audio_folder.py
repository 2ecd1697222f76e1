"""A folder of sound files: WAV, FLAC, OGG, and whatever else libsndfile reads."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.splits import SPLITS, require_split, split_of
from artifex.modalities.audio.files import read_sound, sound_info
from artifex.modalities.audio.processing import loud_stretch, normalize_loudness, resample

__all__ = ["AudioFolder", "AudioFolderConfig", "AudioFolderSource"]

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".mp3")
SHARE = 0.05
"""Of the files, for validation and for testing each, where nobody has split them."""


@config
class AudioFolderConfig(Config):
    """Which folder, and the form that its sounds get."""

    folder: Path
    """The folder. Folders in it called ``train``, ``validation`` and ``test`` are those splits; below them, or without them,
    folders are classes."""
    sample_rate: Annotated[int, Field(ge=1)] = 16000
    """Samples a second; files with another number are resampled."""
    length: Annotated[int, Field(ge=1)] = 16000
    """Samples of an example. A longer file makes several, one after the other; what is shorter is padded, and has a mask."""
    channel: Literal["mean", "first"] = "mean"
    """What is taken of several channels."""
    loudness: Annotated[float, Field(le=0, allow_inf_nan=False)] | None = None
    """LUFS that each example of at least 0.4 seconds is brought to; as they are by default."""
    trim: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Decibels below a file's loudest frame, from which on silence at its beginning and end is cut off, as
    :func:`artifex.modalities.audio.trim_silence` does, before the file is resampled and made into examples; nothing is cut by
    default. Each file is then read once more, when a split is asked for."""


@dataclass(frozen=True, slots=True)
class AudioFolderSource(Sequence):
    """One split: files are read when they are asked for."""

    config: AudioFolderConfig
    parts: tuple[tuple[Path, int, int], ...]
    """File, first sample and number of samples, as the file has them, of each example."""
    labels: tuple[int, ...]
    """The class of each; empty where there are none."""

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """``x`` float32 ``(length,)`` in [-1, 1], ``mask``, and ``label``."""
        index = range(len(self))[index]
        x, mask = self._read(*self.parts[index])
        label = {"label": np.asarray(self.labels[index], np.int32)} if self.labels else {}
        return {"x": x, "mask": mask, **label}

    def _read(self, path: Path, start: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
        config = self.config
        x, rate = _signal(path, start, frames, config)
        x = resample(x, rate, config.sample_rate)[: config.length]
        if config.loudness is not None and len(x) >= 0.4 * config.sample_rate:
            x = normalize_loudness(x, config.sample_rate, config.loudness)
        there = np.arange(config.length) < len(x)
        return np.pad(np.clip(x, -1, 1), (0, config.length - len(x))).astype(np.float32), there


class AudioFolder:
    """Sounds read file by file, in the order of their names.

    Raises, when it is read:
        DataError: the folder is missing or holds no sound, a file cannot be read, or is silent and trimmed, or sounds lie
            beside folders of sounds.
    """

    def __init__(self, config: AudioFolderConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train`` first, then ``test``."""
        return tuple(split for split in SPLITS if split in self._files)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the folders that sounds lie in: label i is ``classes[i]``; empty where they lie in none."""
        return tuple(sorted({name for files in self._files.values() for _, name in files if name}))

    def source(self, split: str) -> AudioFolderSource:
        """The examples of one split. Raises :class:`InvalidInputError` for a split that does not exist."""
        require_split(split, self.splits, str(self.config.folder))
        parts, labels = [], []
        for path, name in self._files[split]:
            own = _parts(path, self.config)
            parts += own
            labels += [self.classes.index(name)] * len(own) if name else []
        return AudioFolderSource(self.config, tuple(parts), tuple(labels))

    @cached_property
    def _files(self) -> dict[str, list[tuple[Path, str]]]:
        """Files of each split, and their classes."""
        folder = self.config.folder.expanduser()
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}; set 'folder' to one of sound files")
        named: dict[str, Path] = {}
        for child in sorted(folder.iterdir()):
            split = split_of(child.name, numbered=True)
            if split is None or not child.is_dir() or not _sounds(child):
                continue
            if split in named:
                raise DataError(f"{named[split]} and {child} both claim the split {split!r}; keep one of them")
            named[split] = child
        if "train" in named:
            found = {split: _classified(child) for split, child in named.items()}
            inside = sum(map(len, found.values()))
            if inside < len(_sounds(folder)):
                stray = next(p for p in _sounds(folder) if not any(p.is_relative_to(child) for child in named.values()))
                raise DataError(
                    f"{stray} lies beside the splits {', '.join(split for split in SPLITS if split in named)}; move it into "
                    "one of them, or away"
                )
            return found
        files = _classified(folder)
        if not files:
            raise DataError(f"there is no sound below {folder}; files that are read end in {', '.join(SUFFIXES)}")
        return _split(files, folder)


def _sounds(folder: Path) -> list[Path]:
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def _classified(folder: Path) -> list[tuple[Path, str]]:
    """Files with the first folder below ``folder`` that they lie in."""
    files = _sounds(folder)
    named = [(file, file.relative_to(folder).parts[0] if file.parent != folder else "") for file in files]
    if len({bool(name) for _, name in named}) > 1:
        bare = next(file for file, name in named if not name)
        raise DataError(f"{bare} lies beside folders of sounds, which are read as classes; sort every file into one, or none")
    return named


def _split(files: list[tuple[Path, str]], folder: Path) -> dict[str, list[tuple[Path, str]]]:
    """By a hash of each file's name, so that the others stay where they are when some are added.

    Where that leaves none to train on, the one with the greatest hash is.
    """
    made: dict[str, list[tuple[Path, str]]] = {"train": [], "test": [], "validation": []}
    places = [_place(file.relative_to(folder)) for file, _ in files]
    trained_on = min(2 * SHARE, max(places))  # of few files, none may lie above
    for one, at in zip(files, places, strict=True):
        made["train" if at >= trained_on else "test" if at < SHARE else "validation"].append(one)
    return {split: own for split, own in made.items() if own}


def _place(name: Path) -> float:
    """A number in [0, 1) that depends on the name alone."""
    digest = hashlib.blake2b(name.as_posix().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _signal(path: Path, start: int, frames: int, config: AudioFolderConfig) -> tuple[np.ndarray, int]:
    """Of several channels, what the config takes."""
    channels, rate = read_sound(path, start, frames)
    return channels.mean(axis=0) if config.channel == "mean" else channels[0], rate


def _parts(path: Path, config: AudioFolderConfig) -> list[tuple[Path, int, int]]:
    """The examples that a file makes."""
    info = sound_info(path)
    if info.frames == 0:
        raise DataError(f"{path} holds no samples; take it away")
    first, stop = 0, info.frames
    if config.trim is not None:
        first, stop = loud_stretch(_signal(path, 0, info.frames, config)[0], below=config.trim)
        if first == stop:
            raise DataError(
                f"{path} is silent from beginning to end, and trim leaves nothing; take it away, or leave out 'trim'"
            )
    size = math.ceil(config.length * info.samplerate / config.sample_rate)
    return [(path, start, min(size, stop - start)) for start in range(first, stop, size)]
