r"""Degrees and masks of autoregressive networks.

Germain et al. 2015, "MADE: Masked Autoencoder for Distribution Estimation" (arXiv:1502.03509). Every unit has a degree: element
``x_d`` its place in the ordering, 0 first; a hidden unit of degree ``m`` may see elements of places up to ``m``; the outputs of
the element at place ``s`` may see hidden units of degrees below ``s``. A condition has degree -1: everything may see it.

    hidden <- below    M_ij = 1  where  degree(i) <= degree(j)
    output <- hidden   M_ij = 1  where  degree(i) <  place(j)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from artifex.core.errors import InvalidInputError

__all__ = ["checked_order", "hidden_degrees", "hidden_mask", "output_mask"]

Degrees = tuple[int, ...]


def checked_order(order: Sequence[int], n: int) -> Degrees:
    """``order`` as a tuple: the place of each of ``n`` elements, every place once.

    Raises:
        InvalidInputError: it is something else.
    """
    if sorted(order) != list(range(n)):
        raise InvalidInputError(f"order is {tuple(order)}; expected each of the places 0 to {n - 1} once, one for each element")
    return tuple(int(place) for place in order)


def hidden_degrees(width: int, n: int, *, conditional: bool) -> Degrees:
    """Degrees of ``width`` hidden units above ``n`` elements: in turn where there are enough units, else spread out evenly.

    Args:
        width: number of units.
        n: number of elements, ``D``.
        conditional: there is a condition, which is all that units of degree -1 see.

    Example:
        >>> hidden_degrees(5, 4, conditional=False)
        (0, 1, 2, 0, 1)
        >>> hidden_degrees(2, 5, conditional=False)
        (0, 3)
    """
    lowest = -1 if conditional else 0
    kinds = max(n - 1 - lowest, 1)
    if width >= kinds:
        return tuple(lowest + i % kinds for i in range(width))
    return tuple(int(degree) for degree in np.round(np.linspace(lowest, n - 2, width)))


def hidden_mask(below: Degrees, above: Degrees) -> np.ndarray:
    """``(below, above)``: which hidden unit sees which unit of the layer below."""
    return np.array(below)[:, None] <= np.array(above)[None]


def output_mask(below: Degrees, places: Degrees) -> np.ndarray:
    """``(below, D)``: which element's outputs see which unit of the layer below."""
    return np.array(below)[:, None] < np.array(places)[None]
