"""Text as bytes, cut into windows.

Any file; or, without one, the reference of the Python language as it ships with Python itself, for ``help("for")`` and its
like: about 700 kB of English prose with tables and examples (``pydoc_data.topics``). It differs a little from one version of
Python to the next.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError, InvalidInputError

__all__ = ["Characters", "CharactersConfig"]

SHARES = {"train": (0.0, 0.9), "test": (0.95, 1.0), "validation": (0.9, 0.95)}
"""Where each split begins and ends in the text."""


@config
class CharactersConfig(Config):
    """Which text, and how long its windows are.

    Example:
        >>> CharactersConfig(length=64).stride
        64
    """

    length: Annotated[int, Field(ge=1)] = 128
    """Bytes of a window."""
    file: Path | None = None
    """A text; by default the reference of the Python language, from Python itself."""
    overlap: Annotated[int, Field(ge=1)] = 1
    """Windows that each byte of the training split is in: 2 makes them begin at every half window."""

    def __post_init__(self) -> None:
        if self.overlap > self.length:
            raise ValueError(f"overlap is {self.overlap}; windows of {self.length} bytes can be no more than so many")

    @property
    def stride(self) -> int:
        """Bytes from one window's beginning to the next one's, in the training split."""
        return self.length // self.overlap


class Characters:
    """``x``: int32 ``(N, length)``, bytes from 0 to 255.

    Nine tenths of the text are to train on, a twentieth each to evaluate and to test on.

    Example:
        >>> made = Characters(CharactersConfig(length=32))
        >>> made.arrays("train")["x"].shape[1]
        32
    """

    def __init__(self, config: CharactersConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return tuple(SHARES)

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The windows of one split.

        Raises:
            InvalidInputError: there is no such split.
            DataError: the text cannot be read, or is too short for one window.
        """
        if split not in SHARES:
            raise InvalidInputError(f"characters have no split {split!r}; their splits are {', '.join(SHARES)}")
        text = np.frombuffer(_text(self.config.file), np.uint8)
        start, end = (int(share * len(text)) for share in SHARES[split])
        part, length = text[start:end], self.config.length
        if len(part) < length:
            raise DataError(
                f"the text has {len(text)} bytes, of which {len(part)} are the split {split!r}: too few for a window of "
                f"{length}"
            )
        windows = np.lib.stride_tricks.sliding_window_view(part, length)
        return {"x": windows[:: self.config.stride if split == "train" else length].astype(np.int32)}


def _text(file: Path | None) -> bytes:
    if file is not None:
        try:
            return file.read_bytes()
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}") from error
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name].strip() for name in sorted(topics)).encode()
