"""The five elements of small organic molecules, and bonds told from distances.

The table of bond lengths and margins is that of Hoogeboom et al. 2022, "Equivariant diffusion for molecule generation in 3D"
(EDM, arXiv:2203.17003, appendix E): typical lengths in pm; two atoms are bound by the highest order whose length, with its
margin, they come within. An atom is stable if the orders of its bonds add up to its valence, a molecule if all atoms are.

Shapes: ``N`` atoms.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from artifex.core.errors import InvalidInputError

__all__ = ["ELEMENTS", "bond_orders", "molecule_from_positions", "stable_atoms"]

ELEMENTS = ("H", "C", "N", "O", "F")
"""In the order of a model's columns."""
NUMBERS = (1, 6, 7, 8, 9)
VALENCES = np.array([1, 4, 3, 2, 1])
MARGINS = (10, 5, 3)
LENGTHS = (
    {
        "HH": 74, "HC": 109, "HN": 101, "HO": 96, "HF": 92, "CC": 154, "CN": 147, "CO": 143, "CF": 135, "NN": 145, "NO": 140,
        "NF": 136, "OO": 148, "OF": 142, "FF": 142,
    },
    {"CC": 134, "CN": 129, "CO": 120, "NN": 125, "NO": 121, "OO": 121},
    {"CC": 120, "CN": 116, "CO": 113, "NN": 110},
)  # fmt: skip
"""Single, double and triple bonds, pm."""


@cache
def _limits() -> np.ndarray:
    """Longest bond of each order between two elements, Å; 0 where there is none."""
    table = np.zeros((3, len(ELEMENTS), len(ELEMENTS)))
    for order, lengths in enumerate(LENGTHS):
        for pair, length in lengths.items():
            i, j = (ELEMENTS.index(letter) for letter in pair)
            table[order, i, j] = table[order, j, i] = (length + MARGINS[order]) / 100
    return table


def bond_orders(positions: Float[np.ndarray, "N 3"], elements: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N N"]:
    """0 where two atoms are not bound, else 1, 2 or 3.

    Args:
        positions: in Å.
        elements: numbers in :data:`ELEMENTS`.

    Raises:
        InvalidInputError: an element is none of them, or a position is not finite.

    >>> bond_orders(np.array([[0.0, 0, 0], [1.2, 0, 0]]), np.array([1, 1])).tolist()
    [[0, 3], [3, 0]]
    """
    positions, elements = np.asarray(positions, np.float64), np.asarray(elements)
    if np.any((elements < 0) | (elements >= len(ELEMENTS))):
        raise InvalidInputError(f"elements are numbers 0 to {len(ELEMENTS) - 1}, for {', '.join(ELEMENTS)}; got {elements}")
    if positions.shape != (len(elements), 3) or not np.isfinite(positions).all():
        raise InvalidInputError(f"{len(elements)} finite positions (N, 3) are needed, got shape {positions.shape}")
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    single, double, triple = apart[None] < _limits()[:, elements[:, None], elements[None]]
    orders = np.where(single, np.where(double, np.where(triple, 3, 2), 1), 0)
    return np.where(np.eye(len(elements), dtype=bool), 0, orders)


def stable_atoms(positions: Float[np.ndarray, "N 3"], elements: Int[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
    """Which atoms have as many bonds as their valence; arguments as of :func:`bond_orders`."""
    return bond_orders(positions, elements).sum(axis=1) == VALENCES[np.asarray(elements)]


def molecule_from_positions(positions: Float[np.ndarray, "N 3"], elements: Int[np.ndarray, "N"]) -> Any:
    """An RDKit molecule with these atoms, the bonds that :func:`bond_orders` tells, and a conformer. It is not sanitised.

    >>> water = molecule_from_positions(np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]), np.array([3, 0, 0]))
    >>> [bond.GetBondTypeAsDouble() for bond in water.GetBonds()]
    [1.0, 1.0]
    """
    from rdkit import Chem

    orders = bond_orders(positions, elements)
    molecule, kinds = Chem.RWMol(), (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
    for element in elements:
        atom = Chem.Atom(NUMBERS[int(element)])
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
    for i, j in np.argwhere(np.triu(orders)):
        molecule.AddBond(int(i), int(j), kinds[orders[i, j] - 1])
    conformer = Chem.Conformer(len(orders))
    for i, position in enumerate(np.asarray(positions, np.float64)):
        conformer.SetAtomPosition(i, position.tolist())
    molecule.AddConformer(conformer)
    return molecule.GetMol()
