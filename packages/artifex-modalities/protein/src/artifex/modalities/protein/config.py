"""Configs of the protein modality: the form a structure takes on its way to a model."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from artifex.core.config import Config, config

__all__ = ["AtomSet", "ProteinModalityConfig"]

AtomSet: TypeAlias = Literal["alpha", "backbone", "all"]
"""CA alone; N, CA, C and O; or the 37 heavy atoms of the twenty amino acids."""
N_ATOMS: dict[str, int] = {"alpha": 1, "backbone": 4, "all": 37}
Count = Annotated[int, Field(ge=1)]


@config
class ProteinModalityConfig(Config):
    """What a model is given as ``x``: float32 positions of ``max_seq_length`` residues, padded.

    In this order: a crop, centring, a rotation (training only), scale.

        >>> ProteinModalityConfig(max_seq_length=64).shape
        (64, 4, 3)
    """

    max_seq_length: Count = 256
    """Residues of the longest example."""
    atoms: AtomSet = "backbone"
    """Which atoms the data hold: `(L, 3)` alpha carbons, `(L, 4, 3)` backbones, or `(L, 37, 3)` all atoms."""
    crop: Count | None = None
    """Residues of a stretch that is cut from longer examples: a random one in training, the first otherwise."""
    center: bool = True
    """Put the mean of the alpha carbons at the origin."""
    rotate: bool = False
    """Turn each training example at random."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """Å that one unit of the model's space is; 10 for nm."""

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop > self.max_seq_length:
            raise ValueError(
                f"crop={self.crop} is longer than max_seq_length={self.max_seq_length}; make it shorter, or leave it out"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        length = self.crop or self.max_seq_length
        return (length, 3) if self.atoms == "alpha" else (length, N_ATOMS[self.atoms], 3)
