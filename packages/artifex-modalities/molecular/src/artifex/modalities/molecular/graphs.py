"""Molecules as graphs: heavy atoms with their elements and charges, and the orders of the bonds between them.

J. Jo et al. 2022, "Score-based generative modeling of graphs via the system of stochastic differential equations" (GDSS),
arXiv:2202.02514: features of the nodes and a weighted adjacency, whose weights are the orders of kekulised bonds; here both in
one array, with a column for the charge, which GDSS leaves out. Hydrogens follow from valence. What a graph does not hold is
refused, so that a molecule comes back as it was: isotopes, unpaired electrons, bonds that are not of one, two or three pairs of
electrons, hydrogens other than valence asks for. Only stereo is left out without a word.

A sample is real, and is read as the graph nearest to it in square distance, part by part. Of an atom's columns ``v``, the one
hot ``e_i`` is nearer than the 0 of a padded place where ``|v - e_i|² - |v|² = 1 - 2 v_i < 0``: an atom is where a column is
above 1/2, and its element is the largest. Of a symmetric matrix of whole orders, each is the one nearest to the mean of the two
numbers given.

Shapes: ``B`` molecules, ``n`` atoms, ``N`` places, ``A`` elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.modalities.molecular.valid import required, without_hydrogens

__all__ = ["SYMBOLS", "ZINC", "encoded_graph", "graph_fault", "molecule_from_orders", "molecule_of_graph"]

ZINC = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
"""The elements of ZINC250k, in the order of a model's columns."""
SYMBOLS = (
    *("H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl"),
    *("Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se"),
    *("Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb"),
    *("Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er"),
    *("Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At"),
    *("Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No"),
    *("Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"),
)
"""Of all elements, by atomic number from 1."""
LIMITS = (0.5, 1.5, 2.5)
"""A mean above so many of them is of a bond of that order."""
LEAST_CHARGE = -128
"""RDKit counts no further; upwards no atom loses more electrons than it has."""


def encoded_graph(molecule: Any, elements: Sequence[str], most: int) -> Int[np.ndarray, "n 2+n"]:
    """Of each heavy atom its number in ``elements``, its formal charge, and the orders of its bonds; without padding.

    Args:
        molecule: of RDKit; it may have hydrogens as atoms.
        elements: symbols, in the order of a model's columns.
        most: atoms that a graph has at most.

    Raises:
        InvalidTypeError: this is no molecule of RDKit.
        InvalidInputError: it is not valid, has too many atoms or other elements, or what a graph does not hold.

    >>> from artifex.modalities.molecular import parse_smiles
    >>> encoded_graph(parse_smiles("C=[NH2+]"), ("C", "N"), 9).tolist()
    [[0, 0, 0, 2], [1, 1, 2, 0]]
    """
    from rdkit import Chem

    flat = Chem.Mol(required(molecule))
    Chem.RemoveStereochemistry(flat)
    flat = without_hydrogens(flat)  # those too that only told the sides of a double bond
    if (n := flat.GetNumAtoms()) > most:
        raise InvalidInputError(f"a molecule has {n} heavy atoms, max_atoms is {most}; raise it, or leave the molecule out")
    Chem.Kekulize(flat, clearAromaticFlags=True)
    if lost := next(_lost(flat), None):
        raise InvalidInputError(f"{lost}, which a graph does not hold; leave the molecule out")
    symbols = [atom.GetSymbol() for atom in flat.GetAtoms()]
    if other := sorted(set(symbols) - set(elements)):
        raise InvalidInputError(
            f"a molecule has {other[0]}, 'elements' are {', '.join(elements)}; name it there, or leave the molecule out"
        )
    found = np.zeros((n, 2 + n), np.int8)
    found[:, 0] = [list(elements).index(symbol) for symbol in symbols]
    found[:, 1] = [atom.GetFormalCharge() for atom in flat.GetAtoms()]
    for bond in flat.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        found[i, 2 + j] = found[j, 2 + i] = _kinds().index(bond.GetBondType())
    _check_hydrogens(flat, molecule_from_orders(symbols, found[:, 1], found[:, 2:]))
    return found


def _lost(flat: Any) -> Iterator[str]:
    """What a graph has no place for, in words."""
    for atom in flat.GetAtoms():
        name = f"atom {atom.GetIdx()} ({atom.GetSymbol()})"
        if not atom.GetAtomicNum():
            yield f"{name} is of no element"
        if atom.GetIsotope():
            yield f"{name} is the isotope {atom.GetIsotope()}"
        if unpaired := atom.GetNumRadicalElectrons():
            yield f"{name} has {unpaired} unpaired electron{'s' if unpaired > 1 else ''}"
    for bond in flat.GetBonds():
        if bond.GetBondType() not in _kinds()[1:]:
            kind = str(bond.GetBondType()).lower()
            yield f"between the atoms {bond.GetBeginAtomIdx()} and {bond.GetEndAtomIdx()} is a bond of the kind {kind!r}"


def _check_hydrogens(flat: Any, again: Any) -> None:
    for atom, other in zip(flat.GetAtoms(), again.GetAtoms(), strict=True):
        if atom.GetTotalNumHs() != other.GetTotalNumHs():
            raise InvalidInputError(
                f"atom {atom.GetIdx()} ({atom.GetSymbol()}) has {atom.GetTotalNumHs()} hydrogens where its valence asks for "
                f"{other.GetTotalNumHs()}, and a graph holds none; leave the molecule out"
            )


def molecule_from_orders(symbols: Sequence[str], charges: Int[np.ndarray, "n"], orders: Int[np.ndarray, "n n"]) -> Any:
    """An RDKit molecule with these atoms and bonds, hydrogens left to valence. It is not sanitised.

    Args:
        symbols: elements of the atoms.
        charges: their formal charges.
        orders: 0 to 3, of which the upper triangle is read.

    >>> from rdkit import Chem
    >>> Chem.MolToSmiles(molecule_from_orders(("C", "O"), np.array([0, 0]), np.array([[0, 2], [2, 0]])))
    'C=O'
    """
    from rdkit import Chem

    molecule = Chem.RWMol()
    for symbol, charge in zip(symbols, charges, strict=True):
        atom = Chem.Atom(symbol)
        atom.SetFormalCharge(int(charge))
        molecule.AddAtom(atom)
    for i, j in np.argwhere(np.triu(orders, 1)):
        molecule.AddBond(int(i), int(j), _kinds()[int(orders[i, j])])
    molecule.UpdatePropertyCache(strict=False)
    return molecule.GetMol()


def molecule_of_graph(
    row: Float[np.ndarray, "N A+1+N"], elements: Sequence[str], mask: Bool[np.ndarray, "N"] | None = None
) -> Any | None:
    """The molecule of the graph nearest to one row, not sanitised; ``None`` where there is none.

    That is so without atoms, where a number is not finite, or where an atom has lost more electrons than it has.

    Args:
        row: real numbers: elements, charge, orders of bonds, of which the diagonal is not read.
        elements: symbols of the first columns.
        mask: where there is an atom; by default, where an element's column is above 1/2.
    """
    row, n = np.asarray(row, np.float64), len(elements)
    there = np.any(row[:, :n] > 0.5, axis=1) if mask is None else np.asarray(mask, bool)
    features, weights = row[there, : n + 1], row[there, n + 1 :][:, there]
    known = np.isfinite(features).all() and np.isfinite(weights).all() and (mask is not None or np.isfinite(row[:, :n]).all())
    if not there.any() or not known:
        return None
    symbols = [elements[int(i)] for i in np.argmax(features[:, :n], axis=1)]
    charges = np.rint(features[:, n])
    if np.any((charges < LEAST_CHARGE) | (charges > [1 + SYMBOLS.index(symbol) for symbol in symbols])):
        return None
    return molecule_from_orders(symbols, charges, np.searchsorted(LIMITS, (weights + weights.T) / 2))


def graph_fault(
    x: Float[np.ndarray, "B N A+1+N"], n_elements: int, mask: Bool[np.ndarray, "B N"] | None = None
) -> tuple[int, str] | None:
    """The row of a first example that is no graph, and why; ``None`` where all are. What stands in padded places is not read.

    Args:
        x: stored examples.
        n_elements: how many columns are of elements.
        mask: where there is an atom; by default, where a column of an element is not 0.
    """
    kinds, charges, orders = x[..., :n_elements], x[..., n_elements], x[..., n_elements + 1 :]
    there = np.any(kinds != 0, axis=-1) if mask is None else mask
    pairs = there[:, :, None] & there[:, None, :]
    if len(empty := np.flatnonzero(~there.any(axis=1))):
        return int(empty[0]), "has no atom"
    whole = np.isin(charges, np.arange(LEAST_CHARGE, len(SYMBOLS) + 1))
    itself = np.eye(x.shape[1], dtype=bool)
    of_atoms = (
        (there & ~np.isfinite(x[..., : n_elements + 1]).all(axis=-1), "has a number that is not finite at atom {}"),
        (there & ~kinds.any(axis=-1), "has no element at atom {}"),
        (there & (np.count_nonzero(kinds, axis=-1) > 1), "has more than one element at atom {}"),
        (there & (kinds.sum(axis=-1) != 1), "has an element at atom {} that is not 1"),
        (there & ~whole, "has a charge at atom {} that is no whole number of electrons"),
        (pairs & ~np.isin(orders, (0, 1, 2, 3)), "has an order that is not 0, 1, 2 or 3 between the atoms {} and {}"),
        (pairs & itself & (orders != 0), "has a bond of atom {} with itself"),
        (pairs & (orders != orders.swapaxes(1, 2)), "has different orders from atom {} to {} and back"),
        (
            there[:, :, None] & ~there[:, None, :] & (orders != 0) & ~np.isnan(orders),
            "has a bond of atom {} to {}, where there is no atom",
        ),
    )
    for bad, what in of_atoms:
        if bad.any():
            row, *atoms = np.argwhere(bad)[0].tolist()
            return row, what.format(*atoms)
    return None


@cache
def _kinds() -> tuple[Any, ...]:
    """RDKit's names of bonds, by their order."""
    from rdkit import Chem

    return (Chem.BondType.ZERO, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
