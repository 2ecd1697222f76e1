"""Three-dimensional conformers of a molecule, and why there are none.

S. Wang et al. 2020, "Improving conformer generation for small rings and macrocycles based on distance geometry and experimental
torsional-angle preferences" (ETKDGv3), doi:10.1021/acs.jcim.0c00025; relaxed with MMFF94 (Halgren 1996) where it has the types.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.molecular.valid import checked, required

__all__ = ["Conformer", "Graph", "conformer", "graph", "molecule_from_graph"]


class Conformer(NamedTuple):
    """A molecule with hydrogens in space, or why there is none."""

    molecule: Any | None
    """With one conformer; ``None`` where none was found."""
    reason: str
    """Empty where there is one."""
    relaxed: bool
    """Whether MMFF94 has types for all atoms and found a minimum."""

    @property
    def positions(self) -> Float[np.ndarray, "N 3"]:
        """In Å."""
        if self.molecule is None:
            raise InvalidInputError(f"there is no conformer: {self.reason}")
        return self.molecule.GetConformer().GetPositions()


def conformer(molecule: Any, *, seed: int, attempts: int = 20, relax: bool = True) -> Conformer:
    """One conformer, all hydrogens added.

    Args:
        molecule: sanitised.
        seed: of the distances that are drawn; the same seed gives the same conformer.
        attempts: how often ETKDG begins anew before it gives up.
        relax: go down MMFF94's gradient.

    Raises:
        InvalidTypeError: this is no molecule of RDKit.

    >>> from artifex.modalities.molecular import parse_smiles
    >>> found = conformer(parse_smiles("CCO"), seed=1)
    >>> found.positions.shape, found.reason
    ((9, 3), '')
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import AllChem

    chemistry: Any = AllChem  # its stubs lack what it imports with a star
    whole, parameters = Chem.AddHs(checked(molecule)), chemistry.ETKDGv3()
    parameters.randomSeed, parameters.maxIterations, parameters.trackFailures = seed, attempts, True
    with rdBase.BlockLogs():
        if chemistry.EmbedMolecule(whole, parameters) < 0:
            return Conformer(None, _why(chemistry, parameters, attempts), False)
        relaxed = relax and chemistry.MMFFHasAllMoleculeParams(whole) and chemistry.MMFFOptimizeMolecule(whole) == 0
    return Conformer(whole, "", bool(relaxed))


def _why(chemistry: Any, parameters: Any, attempts: int) -> str:
    counts = list(parameters.GetFailureCounts())
    names = {value: name for name, value in chemistry.EmbedFailureCauses.names.items()}
    causes = [f"{names[i].lower().replace('_', ' ')} {n} times" for i, n in enumerate(counts) if n and i in names]
    return f"ETKDG found no conformer in {attempts} attempts" + (f": {', '.join(causes)}" if causes else "")


class Graph(NamedTuple):
    """A molecule's heavy atoms and their bonds as arrays."""

    numbers: np.ndarray
    """Atomic numbers ``(N,)``."""
    charges: np.ndarray
    """Formal charges ``(N,)``."""
    hydrogens: np.ndarray
    """Hydrogens of each atom ``(N,)``."""
    bonds: np.ndarray
    """``(N, N)``: 0 for none, 1, 2, 3, and 4 for an aromatic bond, which is no whole number of electron pairs."""


def graph(molecule: Any) -> Graph:
    """The arrays of a molecule; stereo is not among them.

    Raises:
        InvalidTypeError: this is no molecule of RDKit.
        InvalidInputError: it is not valid.
    """
    molecule = required(molecule)
    atoms, n = list(molecule.GetAtoms()), molecule.GetNumAtoms()
    bonds = np.zeros((n, n), np.int32)
    for bond in molecule.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[i, j] = bonds[j, i] = 4 if bond.GetIsAromatic() else int(bond.GetBondTypeAsDouble())
    columns = (np.array([f(atom) for atom in atoms], np.int32) for f in (_number, _charge, _hydrogens))
    numbers, charges, hydrogens = columns
    return Graph(numbers, charges, hydrogens, bonds)


def _number(atom: Any) -> int:
    return atom.GetAtomicNum()


def _charge(atom: Any) -> int:
    return atom.GetFormalCharge()


def _hydrogens(atom: Any) -> int:
    return atom.GetTotalNumHs()


def molecule_from_graph(graph: Graph) -> Any | None:
    """The molecule of these arrays, sanitised; ``None`` where they make none."""
    from rdkit import Chem, rdBase

    kinds = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE, 4: Chem.BondType.AROMATIC}
    molecule = Chem.RWMol()
    for number, charge, hydrogens in zip(graph.numbers, graph.charges, graph.hydrogens, strict=True):
        atom = Chem.Atom(int(number))
        atom.SetFormalCharge(int(charge))
        atom.SetNoImplicit(True)
        atom.SetNumExplicitHs(int(hydrogens))
        molecule.AddAtom(atom)
    for i, j in np.argwhere(np.triu(graph.bonds)):
        molecule.AddBond(int(i), int(j), kinds[int(graph.bonds[i, j])])
        for index in (int(i), int(j)) if graph.bonds[i, j] == 4 else ():
            molecule.GetAtomWithIdx(index).SetIsAromatic(True)
            molecule.GetBondBetweenAtoms(int(i), int(j)).SetIsAromatic(True)
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(molecule)
        except (Chem.KekulizeException, Chem.AtomValenceException, ValueError):
            return None
    return molecule.GetMol()
