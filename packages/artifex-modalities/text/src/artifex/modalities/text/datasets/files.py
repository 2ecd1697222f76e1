"""Which files there are, of which splits, and what is wrong with one that cannot be read."""

from __future__ import annotations

from pathlib import Path

from artifex.core.errors import DataError
from artifex.core.splits import split_of

__all__ = ["read_text", "split_files"]


def split_files(path: Path, suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    """The files below a folder by split: ``train.txt`` or ``train/...`` beside others of their kind, else all under ``""``.

    Raises:
        DataError: there is nothing at ``path``, no such file below it, two files or folders of one split, or files beside
            splits.
    """
    path = path.expanduser()
    if path.is_file():
        return {"": [path]}
    if not path.is_dir():
        raise DataError(f"there is neither a file nor a folder {path}; set 'path' to one")
    named: dict[str, Path] = {}
    for child in sorted(path.iterdir()):
        split = split_of(child.name, numbered=True) if child.is_dir() else split_of(child.stem)
        if split is None or not _below(child, suffixes):
            continue
        if split in named:
            raise DataError(f"{named[split]} and {child} both claim the split {split!r}; keep one of them")
        named[split] = child
    files = _below(path, suffixes)
    if not files:
        raise DataError(f"there is no file below {path} that ends in {' or '.join(suffixes)}; set 'path' to where they are")
    if "train" not in named:
        return {"": files}
    found = {split: _below(child, suffixes) for split, child in named.items()}
    if beside := sorted(set(files) - {file for own in found.values() for file in own}):
        raise DataError(f"{beside[0]} lies beside the splits {', '.join(found)} of {path}; move it into one of them, or away")
    return found


def _below(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() in suffixes else []
    files = (file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(path).parts))


def read_text(file: Path, encoding: str = "utf-8", *, fix: str = "set 'encoding' to what the file is in, or mend it") -> str:
    """All of a file's text; a byte-order mark at its beginning is no part of it. ``fix`` is for one in another encoding.

    Raises:
        DataError: it cannot be read, is empty, or is not in this encoding; the message has the line and the byte.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise DataError(f"there is no encoding {encoding!r}; Python's names for them are utf-8, latin-1, cp1252 ...") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}, line {line}: byte {error.start} is {data[error.start]:#04x}, which is no {encoding}; {fix}"
        ) from error
    if not text:
        raise DataError(f"{file} is empty; fill it, or take it away")
    return text
