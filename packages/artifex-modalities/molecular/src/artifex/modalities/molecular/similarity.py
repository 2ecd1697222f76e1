r"""How sets of molecules compare: the definitions of MOSES.

D. Polykovskiy et al. 2020, "Molecular Sets (MOSES): a benchmarking platform for molecular generation models", arXiv:1811.12823.
Fingerprints are Morgan's of radius 2 in 1024 bits; ``T`` is Tanimoto's similarity, of bits that both have over those that
either has. Of samples and references those count that are valid, in the form of
:func:`~artifex.modalities.molecular.valid.valid_form`; ``None`` and the others are left out.

Shapes: ``M`` and ``R`` molecules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from artifex.core.errors import InvalidInputError
from artifex.modalities.molecular.smiles import canonical_smiles
from artifex.modalities.molecular.valid import required, valid_forms

__all__ = [
    "fingerprints",
    "internal_diversity",
    "nearest_similarity",
    "novelty",
    "scaffold_similarity",
    "scaffolds",
    "uniqueness",
]

RADIUS, BITS = 2, 1024
AT_ONCE = 512
"""Rows of similarities that are held at once."""


def fingerprints(molecules: Sequence[Any]) -> UInt8[np.ndarray, "M 1024"]:
    """Morgan fingerprints, 0 or 1.

    Raises:
        InvalidTypeError: one is no molecule of RDKit.
        InvalidInputError: one is not valid.
    """
    return _fingerprints([required(molecule) for molecule in molecules])


def _fingerprints(forms: Sequence[Any]) -> np.ndarray:
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    made = [generator.GetFingerprintAsNumPy(form) for form in forms]
    return np.stack(made) if made else np.zeros((0, BITS), np.uint8)


def _tanimoto(x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "M R"]:
    """Of two without any bit it is 1, as MOSES has it."""
    x, y = x.astype(np.float32), y.astype(np.float32)
    both = (x @ y.T).astype(np.float64)  # whole numbers below 1024: exact
    either = x.sum(axis=1, dtype=np.float64)[:, None] + y.sum(axis=1, dtype=np.float64)[None] - both
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def nearest_similarity(samples: Sequence[Any], references: Sequence[Any]) -> float:
    """SNN: the mean over samples of ``max_r T(m, r)``. NaN where either is empty.

    Args:
        samples: molecules, ``None`` where there is none.
        references: likewise.
    """
    own, others = (_fingerprints(valid_forms(part)) for part in (samples, references))
    if not len(own) or not len(others):
        return float("nan")
    parts = (own[i : i + AT_ONCE] for i in range(0, len(own), AT_ONCE))
    return float(np.concatenate([_tanimoto(part, others).max(axis=1) for part in parts]).mean())


def internal_diversity(samples: Sequence[Any], *, power: float = 1.0) -> float:
    """IntDiv: ``1 - mean_a (mean_b T(a, b)^p)^(1/p)``, each with itself among the pairs; NaN without molecules.

    So MOSES' code has it; its paper takes the root of the mean over all pairs. At ``power`` 1 they are the same.
    """
    own = _fingerprints(valid_forms(samples))
    if not len(own):
        return float("nan")
    parts = (own[i : i + AT_ONCE] for i in range(0, len(own), AT_ONCE))
    means = np.concatenate([np.mean(_tanimoto(part, own) ** power, axis=1) for part in parts])
    return float(1 - np.mean(means ** (1 / power)))


def scaffolds(molecules: Sequence[Any], *, least_rings: int = 2) -> Counter[str]:
    """How often each Bemis-Murcko scaffold with at least so many rings occurs (doi:10.1021/jm9602928)."""
    from rdkit import Chem, rdBase
    from rdkit.Chem.Scaffolds import MurckoScaffold

    found: Counter[str] = Counter()
    for molecule in valid_forms(molecules):
        with rdBase.BlockLogs():
            scaffold = MurckoScaffold.GetScaffoldForMol(molecule)
        text = Chem.MolToSmiles(scaffold)
        if text and scaffold.GetRingInfo().NumRings() >= least_rings:
            found[text] += 1
    return found


def scaffold_similarity(samples: Sequence[Any], references: Sequence[Any]) -> float:
    """Scaff: the cosine between the two counts of scaffolds. NaN where either has none."""
    own, others = scaffolds(samples), scaffolds(references)
    if not own or not others:
        return float("nan")
    product = sum(count * others[text] for text, count in own.items())
    norms = (np.sqrt(sum(count**2 for count in part.values())) for part in (own, others))
    return float(product / np.prod(list(norms)))


def uniqueness(samples: Sequence[Any], *, first: int | None = None) -> float:
    """The share of different molecules among the first so many that are valid (MOSES: ``unique@1000``). NaN without any.

    Args:
        samples: molecules, ``None`` where there is none.
        first: of how many; of all by default.

    Raises:
        InvalidInputError: ``first`` is not positive, or fewer than that are valid.
    """
    valid = valid_forms(samples)
    if first is not None:
        if first < 1 or len(valid) < first:
            raise InvalidInputError(
                f"uniqueness of the first {first} is asked for, {len(valid)} molecules are valid; draw more"
            )
        valid = valid[:first]
    return len({canonical_smiles(m) for m in valid}) / len(valid) if valid else float("nan")


def novelty(samples: Sequence[Any], training: Sequence[Any]) -> float:
    """The share of different valid samples that are not in the training set, both in canonical form. NaN without any."""
    own, known = ({canonical_smiles(form) for form in valid_forms(part)} for part in (samples, training))
    return len(own - known) / len(own) if own else float("nan")
