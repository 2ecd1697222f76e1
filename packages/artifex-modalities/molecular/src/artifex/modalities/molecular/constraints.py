"""What a molecule violates, and at which atom: pure functions.

Valences are RDKit's own check, in which an aromatic bond counts as one and a half, never as a whole number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from artifex.modalities.molecular.valid import checked, sanitised

__all__ = ["Violation", "charge_violations", "lost_stereo", "valence_violations"]


class Violation(NamedTuple):
    """One thing that is not as it should be."""

    kind: str
    """``valence``, ``aromaticity``, ``charge`` or ``stereo``."""
    atoms: tuple[int, ...]
    """Where; empty where it is of the whole molecule."""
    what: str
    """What is wrong."""


def valence_violations(molecule: Any) -> list[Violation]:
    """Atoms with more bonds than they can have, and rings that no bonds of one and two electron pairs make.

    Args:
        molecule: RDKit's; it need not be sanitised.

    Raises:
        InvalidTypeError: this is no molecule of RDKit.

    >>> from rdkit import Chem
    >>> [(v.kind, v.atoms) for v in valence_violations(Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False))]
    [('valence', (0,))]
    >>> valence_violations(Chem.MolFromSmiles("c1ccccc1"))
    []
    """
    from rdkit import Chem, rdBase

    copy = Chem.Mol(checked(molecule))
    with rdBase.BlockLogs():
        problems = Chem.DetectChemistryProblems(copy)
    found = []
    for problem in problems:
        kind = "valence" if "Valence" in problem.GetType() else "aromaticity"
        if hasattr(problem, "GetAtomIndices"):
            atoms = tuple(int(i) for i in problem.GetAtomIndices())
        else:
            atoms = (int(problem.GetAtomIdx()),) if hasattr(problem, "GetAtomIdx") else ()
        found.append(Violation(kind, atoms, " ".join(problem.Message().split())))
    return found


def charge_violations(molecule: Any, *, charge: int = 0) -> list[Violation]:
    """A net charge other than the one that is wanted, at the atoms that carry one.

    Raises:
        InvalidTypeError: this is no molecule of RDKit.

    >>> from artifex.modalities.molecular import parse_smiles
    >>> [(v.atoms, v.what) for v in charge_violations(parse_smiles("CC(=O)[O-]"))]
    [((3,), 'the net charge is -1, wanted is 0')]
    """
    net = sum(atom.GetFormalCharge() for atom in checked(molecule).GetAtoms())
    if net == charge:
        return []
    atoms = tuple(atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetFormalCharge())
    return [Violation("charge", atoms, f"the net charge is {net}, wanted is {charge}")]


def lost_stereo(before: Any, after: Any) -> list[Violation]:
    """Stereo of ``before`` that ``after``, the same molecule otherwise, lacks or has the other way round.

    Two that are not the same but for stereo, or of which one is not valid, violate it as a whole.

    Raises:
        InvalidTypeError: one is no molecule of RDKit.

    >>> from artifex.modalities.molecular import parse_smiles
    >>> [v.atoms for v in lost_stereo(parse_smiles("C[C@H](N)O"), parse_smiles("CC(N)O"))]
    [(1,)]
    """
    before, after = sanitised(before), sanitised(after)
    if before is None or after is None:
        return [Violation("stereo", (), "one of the two is not valid")]
    match = after.GetSubstructMatch(before)
    if before.GetNumAtoms() != after.GetNumAtoms() or len(match) != before.GetNumAtoms():
        return [Violation("stereo", (), "the two are not the same molecule")]
    if after.GetSubstructMatch(before, useChirality=True):
        return []
    from rdkit import Chem

    own, other = (_centres(Chem, m) for m in (before, after))
    found = []
    for atoms, hand in own.items():
        there = other.get(tuple(sorted(match[i] for i in atoms)))
        if there != hand:
            found.append(Violation("stereo", atoms, f"{hand} became {there or 'undefined'}"))
    return found


def _centres(chemistry: Any, molecule: Any) -> dict[tuple[int, ...], str]:
    """Hands of atoms and of double bonds, by the atoms' numbers."""
    copy = chemistry.Mol(molecule)
    hands = {(i,): hand for i, hand in chemistry.FindMolChiralCenters(copy, useLegacyImplementation=False)}
    for bond in copy.GetBonds():
        stereo = bond.GetStereo()
        if stereo not in (chemistry.BondStereo.STEREONONE, chemistry.BondStereo.STEREOANY):
            ends = tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())))
            hands[ends] = stereo.name.removeprefix("STEREO")
    return hands
