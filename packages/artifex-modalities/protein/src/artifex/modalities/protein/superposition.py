"""Laying one set of points on another, on the host and in float64, many sets at once.

:func:`artifex.core.geometry.kabsch` does the same inside compiled programs; figures that are compared to six digits want
float64.

Shapes: ``S`` superpositions, ``N`` points.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float

__all__ = ["search_superpositions", "superimpose"]

SHORTEST_FRAGMENT = 4
STARTS = 64
"""Fragments of each length that a search begins from, at most."""
MOST_SUBSETS = 300
"""Where there are no more sets of three or more residues than this (8 residues), a search begins from each of them, too; where
there are no more triples (13 residues), from each of these."""
ROUNDS = 20


def superimpose(
    moving: Float[np.ndarray, "N 3"], fixed: Float[np.ndarray, "N 3"], weights: Float[np.ndarray, "... N"] | None = None
) -> Float[np.ndarray, "... N 3"]:
    """``moving``, turned and shifted so that ``sum_n w_n |R moving_n + t - fixed_n|^2`` is least; never reflected.

    W. Kabsch 1976, "A solution for the best rotation to relate two sets of vectors", doi:10.1107/S0567739476001873.

    Args:
        moving: what is laid.
        fixed: where.
        weights: of each pair of points; several rows of them make several superpositions. Equal by default.

    >>> fixed = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    >>> turned = fixed[:, [1, 2, 0]] + 5.0
    >>> bool(np.allclose(superimpose(turned, fixed), fixed))
    True
    """
    moving, fixed = np.asarray(moving, np.float64), np.asarray(fixed, np.float64)
    w = np.ones(len(moving)) if weights is None else np.asarray(weights, np.float64)
    w = w / np.maximum(w.sum(axis=-1, keepdims=True), 1e-300)
    centre, target = w @ moving, w @ fixed  # (..., 3)
    products = np.einsum("ni,nj->nij", fixed, moving).reshape(len(moving), 9)
    covariance = (w @ products).reshape(*w.shape[:-1], 3, 3) - target[..., :, None] * centre[..., None, :]
    u, _, vt = np.linalg.svd(covariance)
    sign = np.linalg.det(u) * np.linalg.det(vt)
    u[..., :, 2] *= np.sign(sign)[..., None]
    rotation = u @ vt
    return (
        np.einsum("...ij,nj->...ni", rotation, moving)
        - (np.einsum("...ij,...j->...i", rotation, centre) - target)[..., None, :]
    )


def search_superpositions(
    moving: Float[np.ndarray, "N 3"], fixed: Float[np.ndarray, "N 3"], cutoff: float
) -> Float[np.ndarray, "S N"]:
    """Distances between pairs of points in superpositions that lay as many as possible within ``cutoff``.

    The search of Zhang & Skolnick 2004 (doi:10.1002/prot.20264): superpositions begin from fragments of the chain of N, N/2,
    N/4, ... residues, in chains of up to 13 residues from any three besides, and of up to 8 from any three or more; then, again
    and again, from the pairs that lie within the cutoff. All are superpositions of least squares; among those of up to 8
    residues the best is found, of longer chains good ones.

    Args:
        moving: alpha carbons, say.
        fixed: those of the other structure, in the same order.
        cutoff: in Å.
    """
    n = len(moving)
    centre = fixed.mean(axis=0)
    moving, fixed = moving - moving.mean(axis=0), fixed - centre  # products of far points would lose digits
    chosen = _fragments(n)
    distances = _distances(moving, fixed, chosen)
    found, reach = [distances], cutoff - 1.0
    for _ in range(ROUNDS):
        closer = _near(distances, max(reach, 0.5))
        if np.array_equal(closer, chosen):
            break
        chosen = np.unique(closer, axis=0)
        distances = _distances(moving, fixed, chosen)
        found.append(distances)
        reach = cutoff + 1.0
    return np.concatenate(found)


def _fragments(n: int) -> np.ndarray:
    """Rows that are true in one fragment each."""
    rows, length, places = [], n, np.arange(n)
    while True:
        starts = np.unique(np.linspace(0, n - length, min(STARTS, n - length + 1)).round().astype(int))
        rows.append((places >= starts[:, None]) & (places < starts[:, None] + length))
        if length <= min(SHORTEST_FRAGMENT, n):
            break
        length = max(length // 2, min(SHORTEST_FRAGMENT, n))
    if n >= 3 and 2**n - 1 - n - comb(n, 2) <= MOST_SUBSETS:
        subsets = (np.arange(2**n)[:, None] >> places) % 2 == 1
        rows.append(subsets[subsets.sum(axis=1) >= 3])
    elif n >= 3 and comb(n, 3) <= MOST_SUBSETS:
        triples = np.array(list(combinations(range(n), 3)))
        rows.append(np.any(places == triples[..., None], axis=1))
    return np.unique(np.concatenate(rows), axis=0)


def _distances(moving: np.ndarray, fixed: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.linalg.norm(superimpose(moving, fixed, chosen.astype(np.float64)) - fixed, axis=-1)


def _near(distances: np.ndarray, cutoff: float) -> np.ndarray:
    """Pairs within the cutoff; where they are fewer than three, within one that is half an Å wider, and so on."""
    nth = np.sort(distances, axis=1)[:, min(2, distances.shape[1] - 1)]
    wider = cutoff + 0.5 * np.maximum(np.ceil((nth - cutoff) / 0.5), 0)
    return distances <= wider[:, None]
