"""A text file, or a folder of them."""

from __future__ import annotations

from pathlib import Path

from artifex.core.config import config
from artifex.modalities.text.datasets.corpus import TextDataset, TextDatasetConfig
from artifex.modalities.text.datasets.files import read_text, split_files

__all__ = ["TextFiles", "TextFilesConfig"]


@config
class TextFilesConfig(TextDatasetConfig):
    """Which files."""

    path: Path
    """A file; or a folder, whose files are taken wherever they lie below it. Files or folders there that are called ``train``,
    ``validation`` and ``test`` are those splits."""
    suffixes: tuple[str, ...] = (".txt", ".md", ".rst")
    """Endings of the files that are taken from a folder, in small letters."""
    encoding: str = "utf-8"
    """What the files are in."""

    def __post_init__(self) -> None:
        TextDatasetConfig.__post_init__(self)
        if wrong := [suffix for suffix in self.suffixes if not suffix.startswith(".") or suffix != suffix.lower()]:
            raise ValueError(f"suffixes are such as '.txt', in small letters; got {wrong[0]!r}")


class TextFiles(TextDataset[TextFilesConfig]):
    """Each file is a text. One file alone is cut into splits; of several, each goes to one.

    Raises, when it is read:
        DataError: a file is missing, empty, or not in its encoding; the message names file, line and byte.
    """

    def _read(self) -> dict[str, list[str]]:
        found = split_files(self.config.path, self.config.suffixes)
        return {split: [read_text(file, self.config.encoding) for file in files] for split, files in found.items()}

    def _origin(self, text: str) -> str:
        files = [file for own in split_files(self.config.path, self.config.suffixes).values() for file in own]
        return next((str(file) for file in files if text in read_text(file, self.config.encoding)), "")
