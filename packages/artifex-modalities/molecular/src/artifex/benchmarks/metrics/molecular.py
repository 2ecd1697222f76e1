"""Documented longer path of the molecular metrics: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.molecular.properties import qed as qed, synthetic_accessibility as synthetic_accessibility
    from artifex.modalities.molecular.similarity import (
        internal_diversity as internal_diversity,
        nearest_similarity as nearest_similarity,
        novelty as novelty,
        scaffold_similarity as scaffold_similarity,
        uniqueness as uniqueness,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "internal_diversity": "artifex.modalities.molecular.similarity",
        "nearest_similarity": "artifex.modalities.molecular.similarity",
        "novelty": "artifex.modalities.molecular.similarity",
        "qed": "artifex.modalities.molecular.properties",
        "scaffold_similarity": "artifex.modalities.molecular.similarity",
        "synthetic_accessibility": "artifex.modalities.molecular.properties",
        "uniqueness": "artifex.modalities.molecular.similarity",
    },
)
