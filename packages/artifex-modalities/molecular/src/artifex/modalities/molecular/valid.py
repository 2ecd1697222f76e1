"""What counts as a molecule, and the form in which molecules are compared.

A molecule in space has all its hydrogens as atoms, and its bonds are told from distances: it has to be sanitised (valences,
rings, aromatic bonds) before anything is computed of it, and its hydrogens taken off, so that it equals the molecule of its
SMILES. Its hand is not read from its positions: a model that knows no left and right makes either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from artifex.core.errors import InvalidInputError, InvalidTypeError

__all__ = ["checked", "required", "sanitised", "valid_form", "valid_forms", "without_hydrogens"]


def checked(molecule: Any) -> Any:
    """The molecule that is given.

    Raises:
        InvalidTypeError: it is none of RDKit's.
    """
    from rdkit import Chem

    if not isinstance(molecule, Chem.Mol):
        raise InvalidTypeError(
            f"a molecule of RDKit is expected, got {molecule!r:.60}; parse_smiles makes one of a SMILES, None where it is none"
        )
    return molecule


def sanitised(molecule: Any) -> Any | None:
    """A sanitised copy; ``None`` where there is no atom, a valence is too large, or aromatic bonds make no ring.

    Raises:
        InvalidTypeError: it is no molecule of RDKit.
    """
    from rdkit import Chem, rdBase

    copy = Chem.Mol(checked(molecule))
    with rdBase.BlockLogs():
        failed = Chem.SanitizeMol(copy, catchErrors=True)
    return None if failed or not copy.GetNumAtoms() else copy


def without_hydrogens(molecule: Any) -> Any:
    """A sanitised molecule without the hydrogens that a SMILES does not write."""
    from rdkit import Chem, rdBase

    if molecule.GetNumHeavyAtoms() == molecule.GetNumAtoms():
        return molecule
    with rdBase.BlockLogs():
        return Chem.RemoveHs(molecule)


def valid_form(molecule: Any) -> Any | None:
    """A sanitised copy without hydrogens; ``None`` where the molecule is not valid, see :func:`sanitised`.

    >>> from rdkit import Chem
    >>> valid_form(Chem.AddHs(Chem.MolFromSmiles("CCO"))).GetNumAtoms()
    3
    >>> valid_form(Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False)) is None
    True
    """
    copy = sanitised(molecule)
    return None if copy is None else without_hydrogens(copy)


def valid_forms(molecules: Iterable[Any | None]) -> list[Any]:
    """Those that are valid, in their order; ``None`` is left out, as are the others."""
    forms = (valid_form(molecule) for molecule in molecules if molecule is not None)
    return [form for form in forms if form is not None]


def required(molecule: Any) -> Any:
    """:func:`valid_form`, where there has to be one.

    Raises:
        InvalidTypeError: this is no molecule of RDKit.
        InvalidInputError: it is not valid.
    """
    form = valid_form(molecule)
    if form is None:
        n = molecule.GetNumAtoms()
        if not n:
            raise InvalidInputError("a molecule has no atoms; leave it out")
        raise InvalidInputError(
            f"a molecule of {n} atoms is not valid; constraints.valence_violations says where; leave it out"
        )
    return form
