r"""Whether generated atoms make molecules: bonds told from distances, and atoms that have as many as they should.

The table of bond lengths and margins is that of Hoogeboom et al. 2022 (arXiv:2203.17003, appendix E): typical lengths of
single, double and triple bonds in pm; two atoms are bound by the highest order whose length, with its margin, they come
within. An atom is stable if the orders of its bonds add up to its valence, a molecule if all of its atoms are; a molecule is
valid if RDKit takes these bonds (:func:`to_rdkit`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from artifex.core.errors import DataError, InvalidInputError

__all__ = [
    "ATOMIC_NUMBERS",
    "QM9_ELEMENTS",
    "bond_orders",
    "stability",
    "stable_atoms",
    "stable_molecules",
    "to_rdkit",
    "valid_molecules",
]

QM9_ELEMENTS = ("H", "C", "N", "O", "F")
"""The elements of QM9, in the order of their columns."""
ATOMIC_NUMBERS = np.array([1, 6, 7, 8, 9])
VALENCES = np.array([1, 4, 3, 2, 1])
MARGINS = (10, 5, 3)
"""By how many pm a single, a double, a triple bond may be longer."""

SINGLE = {
    "HH": 74, "HC": 109, "HN": 101, "HO": 96, "HF": 92, "CC": 154, "CN": 147, "CO": 143, "CF": 135, "NN": 145, "NO": 140,
    "NF": 136, "OO": 148, "OF": 142, "FF": 142,
}  # fmt: skip
DOUBLE = {"CC": 134, "CN": 129, "CO": 120, "NN": 125, "NO": 121, "OO": 121}
TRIPLE = {"CC": 120, "CN": 116, "CO": 113, "NN": 110}


@cache
def _limits() -> np.ndarray:
    """Longest bond of each order between two elements, Å, ``(3, 5, 5)``; 0 where there is none."""
    table = np.zeros((3, 5, 5))
    for order, lengths in enumerate((SINGLE, DOUBLE, TRIPLE)):
        for pair, length in lengths.items():
            i, j = (QM9_ELEMENTS.index(letter) for letter in pair)
            table[order, i, j] = table[order, j, i] = (length + MARGINS[order]) / 100
    return table


def bond_orders(
    positions: Float[np.ndarray, "B N 3"], elements: Int[np.ndarray, "B N"], mask: Bool[np.ndarray, "B N"] | None = None
) -> Int[np.ndarray, "B N N"]:
    """0 where two atoms are not bound, else 1, 2 or 3.

    Args:
        positions: in Å.
        elements: index into :data:`QM9_ELEMENTS`.
        mask: true where there is an atom.

    Raises:
        InvalidInputError: an element is none of them, or shapes do not go together.

    >>> bond_orders(np.array([[[0.0, 0, 0], [1.1, 0, 0]]]), np.array([[1, 0]])).tolist()
    [[[0, 1], [1, 0]]]
    """
    positions, elements = np.asarray(positions, np.float64), np.asarray(elements)
    there = np.ones(elements.shape, bool) if mask is None else np.asarray(mask, bool)
    if positions.shape != (*elements.shape, 3) or there.shape != elements.shape or elements.ndim != 2:
        raise InvalidInputError(
            f"positions have shape {positions.shape}, elements {elements.shape} and the mask {there.shape}; they are "
            "(B, N, 3), (B, N) and (B, N)"
        )
    if elements.dtype.kind not in "iu":
        raise InvalidInputError(f"elements are {elements.dtype}; give whole numbers, the places in {', '.join(QM9_ELEMENTS)}")
    if np.any(there & ((elements < 0) | (elements >= len(QM9_ELEMENTS)))):
        raise InvalidInputError(f"elements are numbers 0 to {len(QM9_ELEMENTS) - 1}, for {', '.join(QM9_ELEMENTS)}")
    elements, positions = np.where(there, elements, 0), np.where(there[..., None], positions, 0)
    distances = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    limits = _limits()[:, elements[:, :, None], elements[:, None]]  # (3, B, N, N)
    single, double, triple = distances[None] < limits
    orders = np.where(single, np.where(double, np.where(triple, 3, 2), 1), 0)
    pairs = there[:, :, None] & there[:, None] & ~np.eye(elements.shape[1], dtype=bool)
    return np.where(pairs, orders, 0)


def stability(
    x: Float[np.ndarray, "B N C"], mask: Bool[np.ndarray, "B N"] | None = None
) -> tuple[Bool[np.ndarray, "B N"], Bool[np.ndarray, "B N"]]:
    """Which atoms are stable, and which places hold an atom.

    Args:
        x: packed molecules, ``C`` 8 or more: positions in Å, then one of five elements one hot.
        mask: true where there is an atom; where one of the five is set by default.

    Raises:
        InvalidInputError: the columns are not those of QM9, or the types of an atom are not one hot.
    """
    there, elements, orders = _bonds(x, mask)
    return there & (orders.sum(axis=-1) == VALENCES[elements]), there


def _bonds(x: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which places hold an atom, which element it is, and the orders of bonds."""
    x = np.asarray(x)
    if x.ndim != 3 or x.shape[-1] < 3 + len(QM9_ELEMENTS):
        raise InvalidInputError(
            f"x has shape {x.shape}; molecules are (B, N, 8): positions, then one of {', '.join(QM9_ELEMENTS)} one hot"
        )
    types = np.asarray(x[..., 3 : 3 + len(QM9_ELEMENTS)], np.float64)
    there = np.any(types > 0, axis=-1) if mask is None else np.asarray(mask, bool)
    if there.shape != x.shape[:2]:
        raise InvalidInputError(f"the mask has shape {there.shape} and x {x.shape}; a mask says of each row if it is an atom")
    bad = there & ~((np.count_nonzero(types, axis=-1) == 1) & (np.count_nonzero(types == 1, axis=-1) == 1))
    if bad.any():
        molecule, row = np.argwhere(bad)[0]
        raise InvalidInputError(
            f"{np.sum(bad)} rows are no atom of one element, the first row {row} of molecule {molecule}, whose types are "
            f"{types[molecule, row].tolist()}; an atom has a 1 for one of {', '.join(QM9_ELEMENTS)} and 0 for the others: mask "
            "rows that are none, and make one hot what is not"
        )
    elements = np.argmax(types, axis=-1)
    return there, elements, bond_orders(x[..., :3], elements, there)


def stable_atoms(samples: Float[np.ndarray, "B N C"]) -> float:
    """The share of atoms that have as many bonds as they should."""
    stable, there = stability(samples)
    return float(stable.sum() / max(1, there.sum()))


def stable_molecules(samples: Float[np.ndarray, "B N C"]) -> float:
    """The share of molecules all of whose atoms are stable."""
    stable, there = stability(samples)
    return float(np.mean(np.all(stable | ~there, axis=-1) & np.any(there, axis=-1)))


def to_rdkit(x: Float[np.ndarray, "B N C"], mask: Bool[np.ndarray, "B N"] | None = None) -> list[Any]:
    """``rdkit.Chem.Mol`` of each molecule, with the bonds of the table and its atoms' positions; None where RDKit takes none.

    What is refused is an atom with more bonds than it can have, or rings that cannot be kekulised: ``SanitizeMol`` fails, as
    arXiv:2203.17003, section 5, has validity.

    Args:
        x: packed molecules as in :func:`stability`.
        mask: true where there is an atom; where one of the five is set by default.

    Raises:
        DataError: RDKit is not installed.
        InvalidInputError: the columns are not those of QM9, or the types of an atom are not one hot.
    """
    try:
        from rdkit import Chem, rdBase  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise DataError(
            "whether molecules are valid is up to RDKit, which is not installed: pip install 'artifex-geometric[molecules]'"
        ) from error
    there, elements, orders = _bonds(x, mask)
    with rdBase.BlockLogs():
        return [
            _sanitized(Chem, np.asarray(x)[row, atoms, :3], elements[row, atoms], orders[row][np.ix_(atoms, atoms)])
            for row, atoms in enumerate(np.flatnonzero(each) for each in there)
        ]


def _sanitized(chem: Any, positions: np.ndarray, elements: np.ndarray, orders: np.ndarray) -> Any:
    kinds = (None, chem.BondType.SINGLE, chem.BondType.DOUBLE, chem.BondType.TRIPLE)
    molecule, conformer = chem.RWMol(), chem.Conformer(len(elements))
    conformer.SetPositions(np.ascontiguousarray(positions, np.float64))
    for element in elements:
        molecule.AddAtom(chem.Atom(QM9_ELEMENTS[element]))
    for i, j in zip(*np.nonzero(np.triu(orders)), strict=True):
        molecule.AddBond(int(i), int(j), kinds[orders[i, j]])
    try:
        chem.SanitizeMol(molecule)
    except ValueError:
        return None
    molecule.AddConformer(conformer)
    return molecule.GetMol() if len(elements) else None


def valid_molecules(samples: Float[np.ndarray, "B N C"]) -> float:
    """The share of molecules whose bonds RDKit takes (:func:`to_rdkit`)."""
    return float(np.mean([molecule is not None for molecule in to_rdkit(samples)]))
