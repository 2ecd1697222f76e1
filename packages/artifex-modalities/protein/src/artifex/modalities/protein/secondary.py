"""Helices and strands of a chain, from its alpha carbons.

P-SEA (Labesse et al. 1997, "P-SEA: a new efficient assignment of secondary structure from CA trace of proteins",
doi:10.1093/bioinformatics/13.3.291). With ``d_k`` the distance from residue i to i + k, ``tau`` the angle of i - 1, i, i + 1
and ``alpha`` the dihedral of i - 1 ... i + 2:

    helix    d3 in 5.3(5) and d4 in 6.4(6) Å,                or tau in 89(12)° and alpha in 50(20)°;   5 in a row
    strand   d2 in 6.7(6), d3 in 9.9(9), d4 in 12.4(1.1) Å,  or tau in 124(14)° and alpha in -170(45)°; 5 in a row, or 3
             that have five residues 4.2 to 5.2 Å away

Each is prolonged by one residue at either end where d3, or tau, alone is in the range.

Shapes: ``L`` residues.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["secondary_structure"]

SHORT_STRAND, LONG_STRAND, HELIX = 3, 5, 5
CONTACTS, CONTACT_RANGE = 5, (4.2, 5.2)


def secondary_structure(alpha: Float[np.ndarray, "L 3"], linked: Bool[np.ndarray, "L"] | None = None) -> str:
    """One letter a residue: ``a`` helix, ``b`` strand, ``c`` neither.

    Args:
        alpha: positions of the alpha carbons, Å.
        linked: true where the next residue is bound to this one; by default all are but the last.

    >>> turn = np.deg2rad(100) * np.arange(12)
    >>> secondary_structure(np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(12)], axis=1))
    'caaaaaaaaaac'
    """
    alpha = np.asarray(alpha, np.float64)
    bound = np.append(np.ones(max(0, len(alpha) - 1), bool), False) if linked is None else np.asarray(linked, bool)
    ends = [*(np.flatnonzero(~bound[:-1]) + 1), len(alpha)]
    helix, strand, prolongs = (np.zeros(len(alpha), bool) for _ in range(3))
    first = 0
    for end in ends:
        part = slice(first, end)
        helix[part], strand[part], prolongs[part] = _candidates(alpha[part])
        first = end
    apart = np.linalg.norm(alpha[:, None] - alpha[None], axis=-1)
    touches = ((apart >= CONTACT_RANGE[0]) & (apart <= CONTACT_RANGE[1])).sum(axis=1)
    letters = np.where(helix, "a", "c")
    for begin, end in _runs(strand):
        if end - begin >= LONG_STRAND or (end - begin >= SHORT_STRAND and touches[begin:end].sum() >= CONTACTS):
            begin -= begin > 0 and bound[begin - 1] and prolongs[begin - 1]
            end += end < len(alpha) and bound[end - 1] and prolongs[end]
            letters[begin:end] = "b"
    return "".join(letters)


def _candidates(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one piece of chain: helices with their ends, residues that strands may hold, and those that may prolong one."""
    n = len(x)
    d2, d3, d4 = (_distances(x, k) for k in (2, 3, 4))
    tau, alpha = _angles(x), _dihedrals(x)
    is_helix = (_within(d3, 5.3, 0.5) & _within(d4, 6.4, 0.6)) | (_within(tau, 89, 12) & _within(alpha, 50, 20))
    is_strand = (_within(d2, 6.7, 0.6) & _within(d3, 9.9, 0.9) & _within(d4, 12.4, 1.1)) | (
        _within(tau, 124, 14) & (np.abs(np.mod(alpha + 170 + 180, 360) - 180) <= 45)
    )
    helix = np.zeros(n, bool)
    prolongs = _within(d3, 5.3, 0.5) | _within(tau, 89, 12)
    for begin, end in _runs(is_helix):
        if end - begin >= HELIX:
            begin -= begin > 0 and prolongs[begin - 1]
            end += end < n and prolongs[end]
            helix[begin:end] = True
    return helix, is_strand, _within(d3, 9.9, 0.9)


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Where each stretch of true begins, and where it has ended."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _within(value: np.ndarray, middle: float, most: float) -> np.ndarray:
    return np.abs(value - middle) <= most  # NaN is nowhere


def _distances(x: np.ndarray, k: int) -> np.ndarray:
    """From residue i - 1 to i - 1 + k, as the angles are centred at i; NaN at the ends."""
    found = np.full(len(x), np.nan)
    if len(x) > k:
        found[1 : len(x) - k + 1] = np.linalg.norm(x[k:] - x[:-k], axis=1)
    return found


def _angles(x: np.ndarray) -> np.ndarray:
    """At i between i - 1 and i + 1, degrees."""
    found = np.full(len(x), np.nan)
    if len(x) > 2:
        u, v = x[:-2] - x[1:-1], x[2:] - x[1:-1]
        found[1:-1] = np.rad2deg(np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), np.sum(u * v, axis=1)))
    return found


def _dihedrals(x: np.ndarray) -> np.ndarray:
    """About the bond from i to i + 1, degrees."""
    found = np.full(len(x), np.nan)
    if len(x) > 3:
        b = np.diff(x, axis=0)
        one, other = np.cross(b[:-2], b[1:-1]), np.cross(b[1:-1], b[2:])
        along = b[1:-1] / np.maximum(np.linalg.norm(b[1:-1], axis=1, keepdims=True), 1e-12)
        found[1:-2] = np.rad2deg(np.arctan2(np.sum(np.cross(one, other) * along, axis=1), np.sum(one * other, axis=1)))
    return found
