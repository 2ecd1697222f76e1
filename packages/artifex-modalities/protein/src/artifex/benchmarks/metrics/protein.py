"""Documented longer path of the protein metrics: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.protein.similarity import (
        chirality_agreement as chirality_agreement,
        gdt_ts as gdt_ts,
        lddt as lddt,
        rmsd as rmsd,
        tm_score as tm_score,
    )
    from artifex.modalities.protein.soundness import (
        coarse_ramachandran_region as coarse_ramachandran_region,
        heavy_atom_clashes as heavy_atom_clashes,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "chirality_agreement": "artifex.modalities.protein.similarity",
        "coarse_ramachandran_region": "artifex.modalities.protein.soundness",
        "gdt_ts": "artifex.modalities.protein.similarity",
        "heavy_atom_clashes": "artifex.modalities.protein.soundness",
        "lddt": "artifex.modalities.protein.similarity",
        "rmsd": "artifex.modalities.protein.similarity",
        "tm_score": "artifex.modalities.protein.similarity",
    },
)
