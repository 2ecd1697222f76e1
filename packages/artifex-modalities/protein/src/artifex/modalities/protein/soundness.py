"""How sound one structure is by itself: clashes, and regions of the Ramachandran plane.

Shapes: ``L`` residues.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.residues import ATOMS

__all__ = ["COARSE_REGIONS", "OVERLAP", "RADII", "coarse_ramachandran_region", "heavy_atom_clashes"]

RADII = {"C": 1.70, "N": 1.55, "O": 1.52, "S": 1.80}
"""Van der Waals radii, Å (Bondi 1964, doi:10.1021/j100785a001)."""
OVERLAP = 0.4
"""By how much two spheres may overlap, Å (Word et al. 1999, doi:10.1006/jmbi.1998.2400)."""
DISULFIDE = 2.5
"""Two sulphurs closer than this, Å, are bound."""

COARSE_REGIONS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "alpha": ((-160.0, -30.0, -90.0, 45.0),),
    "beta": ((-180.0, -40.0, 45.0, 180.0), (-180.0, -40.0, -180.0, -120.0), (160.0, 180.0, 90.0, 180.0)),
    "left": ((30.0, 100.0, -20.0, 100.0),),
}
"""Boxes of phi and psi, degrees: (least phi, largest phi, least psi, largest psi). They are coarse: rectangles about the three
populated regions, not the contours of a validation programme."""

_RADIUS = np.array([RADII[name[0]] for name in ATOMS])
_SULPHUR = np.array([name == "SG" for name in ATOMS])
_BONDS_TO_C = np.array([{"C": 0, "CA": 1, "O": 1, "OXT": 1, "N": 2, "CB": 2}.get(name, 9) for name in ATOMS])
_BONDS_TO_N = np.array([{"N": 0, "CA": 1, "C": 2, "CB": 2}.get(name, 9) for name in ATOMS])
_BONDS_TO_N_IN_PRO = np.array([{"N": 0, "CA": 1, "CD": 1, "C": 2, "CB": 2, "CG": 2}.get(name, 9) for name in ATOMS])
PRO = 14


def coarse_ramachandran_region(phi: Float[np.ndarray, "L"], psi: Float[np.ndarray, "L"]) -> list[str]:
    """``alpha``, ``beta``, ``left``, or ``outlier``, of each pair of angles in radians.

    >>> coarse_ramachandran_region(np.deg2rad([-60.0, -120.0, 57.0, 60.0]), np.deg2rad([-45.0, 130.0, 47.0, -120.0]))
    ['alpha', 'beta', 'left', 'outlier']
    """
    phi, psi = np.rad2deg(np.asarray(phi, np.float64)), np.rad2deg(np.asarray(psi, np.float64))
    region = np.full(phi.shape, "outlier", dtype="<U7")
    for name, boxes in reversed(COARSE_REGIONS.items()):
        for left, right, low, high in boxes:
            region[(phi >= left) & (phi <= right) & (psi >= low) & (psi <= high)] = name
    return region.tolist()


def heavy_atom_clashes(protein: Protein) -> list[tuple[int, str, int, str, float]]:
    """Pairs of heavy atoms that overlap by 0.4 Å or more: residue, atom, residue, atom, distance in Å.

    Atoms of one residue, atoms that three or fewer bonds of the chain keep together, and disulfide bridges are no clashes.
    """
    rows, columns = np.nonzero(protein.atom_mask)
    x, radius = protein.positions[rows, columns], _RADIUS[columns]
    found: list[tuple[int, str, int, str, float]] = []
    for start in range(0, len(x), 2048):  # distances of at most so many atoms at once
        part = slice(start, start + 2048)
        apart = np.linalg.norm(x[part, None] - x[None], axis=-1)
        near = (apart <= radius[part, None] + radius[None] - OVERLAP) & (rows[part, None] < rows[None])
        near &= ~(_SULPHUR[columns[part], None] & _SULPHUR[columns][None] & (apart < DISULFIDE))
        for i, j in np.argwhere(near):
            a, b = i + start, j
            row, column, next_row, next_column = int(rows[a]), int(columns[a]), int(rows[b]), int(columns[b])
            if not _is_bonded(protein, row, column, next_row, next_column):
                found.append((row, ATOMS[column], next_row, ATOMS[next_column], float(apart[i, j])))
    return found


def _is_bonded(protein: Protein, row: int, column: int, next_row: int, next_column: int) -> bool:
    """Whether at most three bonds lie between an atom and one of the residue behind."""
    if next_row != row + 1 or not protein.linked[row]:
        return False
    to_n = _BONDS_TO_N_IN_PRO if protein.residue_type[next_row] == PRO else _BONDS_TO_N
    return bool(_BONDS_TO_C[column] + 1 + to_n[next_column] <= 3)
