r"""How alike two structures with the same residues are. Each function gives one number; on the host, in float64.

Shapes: ``N`` pairs of points: alpha carbons, or atoms.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.modalities.protein.superposition import search_superpositions, superimpose

__all__ = ["chirality_agreement", "gdt_ts", "lddt", "rmsd", "signed_volumes", "tm_score"]

GDT_CUTOFFS = (1.0, 2.0, 4.0, 8.0)
LDDT_CUTOFFS = (0.5, 1.0, 2.0, 4.0)
CLIMBERS, CLIMBS = 16, 20
"""How many of the best superpositions are improved, in how many steps."""
Points = Float[np.ndarray, "N 3"]


def rmsd(samples: Points, references: Points, *, superimposed: bool = True) -> float:
    """``sqrt(mean |x - y|^2)``, Å, after the best superposition, or as the two lie.

    Raises:
        InvalidInputError: the shapes differ or are no points', there is no point, or a coordinate is not finite.

    >>> x = np.array([[0.0, 0.0, 0.0], [3.8, 0.0, 0.0], [3.8, 3.8, 0.0]])
    >>> rmsd(x + 1.0, x), rmsd(x + 1.0, x, superimposed=False).__round__(4)
    (0.0, 1.7321)
    """
    x, y = _pair(samples, references)
    laid = superimpose(x - x.mean(axis=0), y - y.mean(axis=0)) + y.mean(axis=0) if superimposed else x
    found = float(np.sqrt(np.mean(np.sum(np.square(laid - y), axis=-1))))
    return 0.0 if superimposed and found < 1e-9 else found  # below the rounding of a superposition


def tm_score(samples: Points, references: Points, *, length: int | None = None, superimposed: bool = True) -> float:
    r"""The template modelling score, ``max 1/L sum_i 1 / (1 + (d_i / d_0)^2)``, ``d_0 = 1.24 (L - 15)^(1/3) - 1.8`` or 0.5.

    Y. Zhang & J. Skolnick 2004, "Scoring function for automated assessment of protein structure template quality",
    doi:10.1002/prot.20264. Row i is compared with row i. What is searched is the superposition; which residues correspond is
    given: of chains of different length or sequence, choose the pairs first, and give ``length``.

    Args:
        samples: alpha carbons.
        references: those they are compared with.
        length: ``L``, which normalises and sets ``d_0``; the number of reference residues by default.
        superimposed: look for the superposition with the largest score; otherwise as the two lie.

    Raises:
        InvalidInputError: as :func:`rmsd`; or ``length`` is not positive.
    """
    x, y = _pair(samples, references)
    length = len(y) if length is None else length
    if length < 1:
        raise InvalidInputError(f"length is {length}; a TM-score is normalised by a length of 1 or more residues")
    d0 = max(1.24 * np.cbrt(length - 15) - 1.8, 0.5)
    cutoff = float(np.clip(d0, 4.5, 8.0))
    distances = search_superpositions(x, y, cutoff) if superimposed else np.linalg.norm(x - y, axis=-1)[None]
    scores = np.sum(1 / (1 + np.square(distances / d0)), axis=-1)
    if superimposed:
        scores = np.append(scores, _climbed(x, y, distances[np.argsort(-scores)[:CLIMBERS]], d0))
    return float(np.max(scores) / length)


def _climbed(x: Points, y: Points, distances: np.ndarray, d0: float) -> np.ndarray:
    """Sums of the score at the tops that these superpositions lead to.

    With ``s(d^2) = 1 / (1 + d^2 / d_0^2)``, which is convex, superimposing with the weights ``-s'`` lowers no sum of ``s``.
    """
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    for _ in range(CLIMBS):
        weights = np.square(1 / (1 + np.square(distances / d0)))
        distances = np.linalg.norm(superimpose(x, y, weights) - y, axis=-1)
    return np.sum(1 / (1 + np.square(distances / d0)), axis=-1)


def gdt_ts(samples: Points, references: Points, *, superimposed: bool = True) -> float:
    """The global distance test's total score: the mean share of alpha carbons within 1, 2, 4 and 8 Å of their own, 0 to 1.

    A. Zemla 2003, "LGA: a method for finding 3D similarities in protein structures", doi:10.1093/nar/gkg571. For each of the
    four distances the superposition that brings most within it is looked for; or the two are taken as they lie. As in LGA,
    these are superpositions of least squares, of three residues or more. In chains of up to 8 residues the best of them is
    found, in random ones of 9 to 12 all but 0.01 of it on average; on noisy chains of 20 to 60 the search finds all but 0.03 of
    what thousands of them find. The figure is a lower bound: some other superposition may bring more within a distance, in
    random chains of up to 8 residues 0.03 more on average, and less than 0.2 in each.

    Raises:
        InvalidInputError: as :func:`rmsd`.
    """
    x, y = _pair(samples, references)
    shares = []
    for cutoff in GDT_CUTOFFS:
        distances = search_superpositions(x, y, cutoff) if superimposed else np.linalg.norm(x - y, axis=-1)[None]
        shares.append(np.max(np.mean(distances <= cutoff, axis=-1)))
    return float(np.mean(shares))


def lddt(
    samples: Points,
    references: Points,
    *,
    residues: Int[np.ndarray, "N"] | None = None,
    there: Bool[np.ndarray, "N"] | None = None,
    radius: float = 15.0,
) -> float:
    """The local distance difference test, 0 to 1: the share of the reference's distances that the sample keeps.

    V. Mariani et al. 2013, "lDDT: a local superposition-free score for comparing protein structures and models using distance
    difference tests", doi:10.1093/bioinformatics/btt473. Of all pairs of atoms of different residues that lie within ``radius``
    in the reference, the mean share of 0.5, 1, 2 and 4 Å within which the distance is kept. A mirror image keeps all: see
    :func:`chirality_agreement`.

    Args:
        samples: atoms.
        references: the same atoms in the same order.
        residues: number of each atom's residue; each is one of its own by default.
        there: which atoms the sample has, all by default. A distance to one that it lacks is not kept.
        radius: in Å.

    Returns:
        NaN where the reference has no such pair.

    Raises:
        InvalidInputError: as :func:`rmsd`.
    """
    x, y = _pair(samples, references)
    residues = np.arange(len(x)) if residues is None else np.asarray(residues)
    own, true = (np.linalg.norm(a[:, None] - a[None], axis=-1) for a in (x, y))
    counted = (true <= radius) & (residues[:, None] != residues[None])
    if not counted.any():
        return float("nan")
    if there is not None:
        own = np.where(np.asarray(there)[:, None] & np.asarray(there)[None], own, np.inf)
    off = np.abs(own - true)[counted]
    return float(np.mean([np.mean(off <= cutoff) for cutoff in LDDT_CUTOFFS]))


def signed_volumes(alpha: Points) -> Float[np.ndarray, "N-3"]:
    """``(b - a) . ((c - a) x (d - a)) / 6`` of each four successive points, Å³: positive in right-handed helices.

    >>> turn = np.deg2rad(100) * np.arange(5)
    >>> helix = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(5)], axis=1)
    >>> signed_volumes(helix).round(1).tolist(), signed_volumes(helix * [1, 1, -1]).round(1).tolist()
    ([7.2, 7.2], [-7.2, -7.2])
    """
    x = np.asarray(alpha, np.float64)
    a, b, c, d = (x[i : max(0, len(x) - 3) + i] for i in range(4))
    return np.sum((b - a) * np.cross(c - a, d - a), axis=-1) / 6


def chirality_agreement(samples: Points, references: Points) -> float:
    """The share of four successive alpha carbons that turn as the reference's do: 1 for a copy, 0 for its mirror image.

    Returns:
        NaN for chains of fewer than four residues.

    Raises:
        InvalidInputError: as :func:`rmsd`.
    """
    x, y = _pair(samples, references)
    if len(x) < 4:
        return float("nan")
    return float(np.mean(np.sign(signed_volumes(x)) == np.sign(signed_volumes(y))))


def _pair(samples: Points, references: Points) -> tuple[Points, Points]:
    x, y = np.asarray(samples, np.float64), np.asarray(references, np.float64)
    if x.shape != y.shape or x.ndim != 2 or x.shape[-1] != 3 or not len(x):
        raise InvalidInputError(
            f"two structures with the same atoms (N, 3), at least one, are compared; got {x.shape} and {y.shape}: choose the "
            "residues that both have"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidInputError("a coordinate is not finite; leave out what has no place")
    return x, y
