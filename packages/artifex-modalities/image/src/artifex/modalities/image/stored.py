"""Which values stored images may have: uint8 all of them, floats those in [0, 1]."""

from __future__ import annotations

import numpy as np

from artifex.core.errors import InvalidInputError

__all__ = ["check_unit_range"]

ROUNDING = 1e-3
"""By how much a float may leave [0, 1]: what rounding of 16-bit floats and resampling do."""


def check_unit_range(x: np.ndarray, name: str, first_row: int = 0) -> None:
    """Refuse floats outside [0, 1], and what is not a number.

    Args:
        x: stored images ``(N, ...)``.
        name: what to call them in the message.
        first_row: number of the first of them, for the message.

    Raises:
        InvalidInputError: it names the first row that does not fit, its worst value and the fix.
    """
    if x.dtype == np.uint8 or not x.size:
        return
    low, high = float(x.min()), float(x.max())
    if low >= -ROUNDING and high <= 1.0 + ROUNDING:  # false for NaN too
        return
    row = next(i for i, image in enumerate(x) if not _fits(image))
    image = np.asarray(x[row], np.float64)
    worst = image.flat[np.argmax(np.where(np.isnan(image), np.inf, np.abs(image - 0.5)))]
    raise InvalidInputError(
        f"{name}[{first_row + row}] holds {worst:g}, but floating-point images lie in [0, 1]: {_fix(low, high)}"
    )


def _fits(image: np.ndarray) -> bool:
    return bool(image.min() >= -ROUNDING and image.max() <= 1.0 + ROUNDING)


def _fix(low: float, high: float) -> str:
    """What to do about images that lie between ``low`` and ``high``."""
    found = f"they go from {low:g} to {high:g}; "
    if not (np.isfinite(low) and np.isfinite(high)):
        return "remove or mend what is not finite"
    if low >= -ROUNDING and 1.5 < high <= 255.0 + ROUNDING:
        return found + "divide them by 255, or store them as uint8"
    if -1.0 - ROUNDING <= low < 0 and high <= 1.0 + ROUNDING:
        return found + "store (x + 1) / 2, and set the modality's scale to 'symmetric' if the model is to see [-1, 1]"
    return found + "rescale them"
