"""A file with one JSON object a line: paths of the files that belong together, or short texts and lists as they are."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.splits import ordered, require_split, split_of
from artifex.modalities.multimodal.datasets.files import READERS, Cell, read_file, stacked

__all__ = ["FieldPartConfig", "JsonLinesPairs", "JsonLinesPairsConfig"]


@config
class FieldPartConfig(Config):
    """Where one part stands in a line."""

    stored: Annotated[str, Field(min_length=1)]
    """Key of its arrays: `x` for one of the parts."""
    field: Annotated[str, Field(min_length=1)]
    """Its name in the JSON objects. A text that ends as files do is a path, beside the file of lines unless absolute; any other
    text is taken as it is, in UTF-8 bytes; a list of numbers as a vector. Left out or null where an example lacks it. What
    names a file that is there is always a path."""


@config
class JsonLinesPairsConfig(Config):
    """Files `train.jsonl`, `test.jsonl` and so on in a folder."""

    folder: str
    """Of the files of lines."""
    parts: Annotated[tuple[FieldPartConfig, ...], Field(min_length=2)]
    """The parts."""
    label: str = ""
    """Field of a whole number that says the class; none unless given."""


class JsonLinesPairs:
    """Examples by line.

    Raises:
        DataError: there is no such folder, or no file of lines in it.
    """

    def __init__(self, config: JsonLinesPairsConfig) -> None:
        self.config = config
        self.root = Path(config.folder).expanduser()
        if not self.root.is_dir():
            raise DataError(f"there is no folder {self.root}; set 'folder' to that of the files of lines")
        if not self.splits:
            raise DataError(f"{self.root} has no file of lines, such as train.jsonl")

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the files without ``.jsonl``: ``train`` first, then ``test``. ``Training`` and ``val`` are theirs."""
        return ordered(self._files)

    @cached_property
    def _files(self) -> dict[str, Path]:
        """The file of each split."""
        made: dict[str, Path] = {}
        for path in sorted(self.root.iterdir()):
            if path.suffix.lower() != ".jsonl" or path.name.startswith("."):
                continue
            split = split_of(path.stem) or path.stem
            if split in made:
                raise DataError(
                    f"{made[split].name} and {path.name} in {self.root} both claim the split {split!r}; keep one of them"
                )
            made[split] = path
        return made

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """Every part of one split, and ``label`` where the config names its field.

        Raises:
            InvalidInputError: there is no such split.
            DataError: a line is no JSON object, or a part is not what it should be; it names file and line.
        """
        require_split(split, self.splits, self.root)
        file = self._files[split]
        lines = [(n, line) for n, line in enumerate(_text(file).split("\n"), 1) if line.strip()]
        examples = [(f"{file}, line {n}", _object(f"{file}, line {n}", line)) for n, line in lines]
        if not examples:
            raise DataError(f"{file} has no line")
        made: dict[str, np.ndarray] = {}
        for part in self.config.parts:
            if not any(part.field in example for _, example in examples):
                raise DataError(f"no line of {file} has the field {part.field!r}; the first has {', '.join(examples[0][1])}")
            made |= stacked(part.stored, [self._cell(where, example.get(part.field)) for where, example in examples])
        if self.config.label:
            made["label"] = np.array([_label(where, example, self.config.label) for where, example in examples], np.int32)
        return made

    def _cell(self, where: str, value: Any) -> Cell | None:
        if value is None:
            return None
        if isinstance(value, str):
            path = Path(value)
            if path.suffix.lower() not in READERS and not _is_file(self.root / value):
                return Cell(np.frombuffer(value.encode(), np.uint8), where)
            try:
                return read_file(path if path.is_absolute() else self.root / path)
            except DataError as error:
                raise DataError(f"{where}: {error}") from error
        array = np.asarray(value, np.float32) if isinstance(value, list) and _are_numbers(value) else None
        if array is None:
            raise DataError(f"{where}: {json.dumps(value)[:60]} is no path, text or list of numbers")
        return Cell(array, where)


def _is_file(path: Path) -> bool:
    """Texts that no file can be called, too long ones say, are none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text in UTF-8: {error}; save it as such") from error


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _object(where: str, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line, parse_constant=_refused)
    except ValueError as error:
        raise DataError(f"{where} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{where} is a {type(found).__name__}, and no object {{...}}")
    return found


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number; leave the part out where it is unknown")


def _label(where: str, example: dict[str, Any], name: str) -> int:
    value = example.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**31:
        raise DataError(f"{where}: {name!r} is {value!r}, and no whole number of 32 bits")
    return value
