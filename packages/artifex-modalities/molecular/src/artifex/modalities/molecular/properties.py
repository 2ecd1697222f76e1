"""Figures of one molecule: drug-likeness and synthetic accessibility, as RDKit computes them.

Hydrogens that are atoms, and whether it is sanitised, change nothing: a molecule in space has the figures of its SMILES.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from artifex.core.errors import DataError
from artifex.modalities.molecular.valid import required

__all__ = ["qed", "synthetic_accessibility"]


def qed(molecule: Any) -> float:
    """Quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al. 2012, doi:10.1038/nchem.1243).

    Raises:
        InvalidTypeError: this is no molecule of RDKit.
        InvalidInputError: it is not valid.

    >>> from artifex.modalities.molecular import parse_smiles
    >>> round(qed(parse_smiles("CC(=O)Oc1ccccc1C(=O)O")), 3)
    0.55
    """
    from rdkit.Chem.QED import qed as of_rdkit

    return float(of_rdkit(required(molecule)))


def synthetic_accessibility(molecule: Any) -> float:
    """From 1, easy, to 10, hard (Ertl & Schuffenhauer 2009, doi:10.1186/1758-2946-1-8).

    Raises:
        InvalidTypeError: this is no molecule of RDKit.
        InvalidInputError: it is not valid.
        DataError: this RDKit comes without its contributed SA score.
    """
    return float(_scorer().calculateScore(required(molecule)))


@cache
def _scorer() -> Any:
    from rdkit import RDConfig

    file = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("artifex_sascorer", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise DataError(f"RDKit's SA score is not at {file}; install RDKit from its wheel, which has it")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
