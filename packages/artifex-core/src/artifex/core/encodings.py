"""What to say of a text file that is not in the encoding that its reader was told."""

from __future__ import annotations

from pathlib import Path

__all__ = ["undecodable"]

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Suffixes of files whose bytes are not those of their text."""


def undecodable(path: Path, encoding: str) -> str:
    r"""Where a file is not in its encoding, and what it may be in: the end of a sentence that begins with its name.

    Of a packed file it does not say where.

    Args:
        path: the file.
        encoding: that it cannot be read in, by a name that Python knows.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "table.csv"
        ...     _ = path.write_bytes("name,town\nAna,Málaga".encode("latin-1"))
        ...     undecodable(path, "utf-8")
        ', line 2: byte 0xe1 is no utf-8; set encoding to what it is in (latin-1, cp1252 ...), or save it as UTF-8'
    """
    data = b"" if path.suffix.lower() in PACKED else path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f" is no {encoding}, but looks like UTF-16; set encoding to 'utf-16', or save it as UTF-8"
    where = ""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        where = f", line {line}: byte {data[error.start]:#04x}"
    return f"{where} is no {encoding}; set encoding to what it is in (latin-1, cp1252 ...), or save it as UTF-8"
