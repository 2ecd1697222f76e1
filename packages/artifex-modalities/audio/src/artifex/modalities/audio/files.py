"""Signals as sound files: what is read of them, and how samples are written to be listened to."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import DataError, InvalidInputError

__all__ = ["read_sound", "save_wav", "sound_info"]

LOUDEST = 4.0
"""Of floats that are taken for a sound: 12 decibels above a full one. Lossy codecs and loud mixes go a little beyond 1."""
UNKNOWN = (0x7FFFF000, 0xFFFFFFFF)
"""Bytes of samples that SoX and FFmpeg promise where they write to a pipe, and cannot know."""
LARGEST_PAGE = 27 + 255 + 255 * 255
"""Bytes of a page of an Ogg file at most."""


def save_wav(path: str | Path, x: Float[np.ndarray, "T"], sample_rate: int) -> Path:
    """Write one signal in [-1, 1] (clipped; what is not a number becomes 0) as 16-bit WAV. It appears whole or not at all.

    Returns:
        The path written.

    Raises:
        InvalidInputError: it is no signal, or the name does not end in ``.wav``.
    """
    import soundfile

    path, x = Path(path), np.asarray(x)
    if x.ndim != 1 or not np.issubdtype(x.dtype, np.floating):
        raise InvalidInputError(f"a WAV file needs one signal of floats, (samples,); got {x.dtype} of shape {x.shape}")
    if path.suffix.lower() != ".wav":
        raise InvalidInputError(f"signals are written as WAV; got the name {path.name!r}, which has to end in '.wav'")
    levels = np.rint(np.clip(np.nan_to_num(x, nan=0.0), -1, 1) * 32767).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        soundfile.write(hidden, levels, sample_rate, subtype="PCM_16", format="WAV")
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
    return path


def sound_info(path: Path) -> Any:
    """Frames, sample rate and channels of a sound file.

    Raises:
        DataError: it cannot be read, or was cut short.
    """
    import soundfile

    try:
        info = soundfile.info(str(path))
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as sound ({_reason(error)}); mend it, or take it away") from error
    if info.format == "OGG":
        _check_last_page(path)
    else:
        _check_whole(path, info.frames)
    return info


def read_sound(path: Path, start: int = 0, frames: int = -1) -> tuple[Float[np.ndarray, "C T"], int]:
    """Part of a sound file, float32 in [-1, 1], and its sample rate.

    Raises:
        DataError: it cannot be read, was cut short, or holds what is not finite or far from a sound's range.
    """
    import soundfile

    there = sound_info(path).frames
    wanted = max(there - start, 0) if frames < 0 else frames
    try:
        x, rate = soundfile.read(str(path), frames, start, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as sound ({_reason(error)}); mend it, or take it away") from error
    if len(x) < wanted:
        raise _cut(path, max(there, start + wanted), start + len(x))
    if not np.isfinite(x).all():
        first = start + int(np.argwhere(~np.isfinite(x).all(axis=1))[0, 0])
        raise DataError(f"{path}: sample {first} is not a finite number; mend the file, or take it away")
    if np.abs(x).max(initial=0.0) > LOUDEST:
        first = start + int(np.argmax(np.abs(x).max(axis=1) > LOUDEST))
        peak = x[first - start][np.abs(x[first - start]).argmax()]
        raise DataError(
            f"{path}: sample {first} is {peak:g}, and a sound lies between -1 and 1; divide what the file holds, by 32768 if "
            "it is of 16-bit numbers written as floats"
        )
    return x.T, rate


def _check_whole(path: Path, frames: int) -> None:
    """That a WAV or AIFF file holds what its header promises: libsndfile reads one as far as it goes, and says nothing."""
    with path.open("rb") as file:
        magic, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if magic not in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM") or form not in (b"WAVE", b"AIFF", b"AIFC"):
            return
        order = ">" if magic in (b"RIFX", b"FORM") else "<"
        size, width = path.stat().st_size, 1
        wide = counted = None
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack(f"{order}4sI", head)
            at = file.tell()
            if name == b"ds64":  # of RF64: 64-bit sizes of the whole and of the samples
                wide = struct.unpack("<Q", file.read(16)[8:])[0]
            elif name == b"fmt ":
                width = struct.unpack(f"{order}H", file.read(14)[12:])[0]  # bytes of a frame, of all but compressed samples
            elif name == b"fact":  # of those, their number
                counted = struct.unpack(f"{order}I", file.read(4))[0]
            elif name == b"COMM":
                promised = struct.unpack(">I", file.read(6)[2:])[0]
                if promised > frames:
                    raise _cut(path, promised, frames)
            elif name == b"data" and form == b"WAVE":
                length = wide if wide is not None and length == UNKNOWN[-1] else length
                if length not in UNKNOWN and length > size - at:
                    raise _cut(path, length // width if counted in (None, UNKNOWN[-1]) else counted, frames)
                return
            file.seek(at + length + length % 2)


def _check_last_page(path: Path) -> None:
    """That an Ogg file ends with a whole page (RFC 3533, section 6): of others libsndfile reads some frames or none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LARGEST_PAGE))
        tail = file.read()
    page = tail[max(tail.rfind(b"OggS\0"), 0) :]
    segments = page[26] if len(page) > 26 else 255  # its head has 27 bytes; then the length of each segment, then the segments
    length = 27 + segments + sum(page[27 : 27 + segments])
    if len(page) < length or (page[length:] and b"OggS\0".startswith(page[length:])):
        raise DataError(f"{path} was cut short: its last page is not whole; get it again, or take it away")


def _cut(path: Path, promised: int, found: int) -> DataError:
    return DataError(
        f"{path} was cut short: its header promises {promised} frames, and there are {found}; get it again, or take it away"
    )


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2].rstrip(".") or type(error).__name__
