"""Configs of the protein modality: the form a structure takes on its way to a model."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from artifex.core.config import Config, config
from artifex.modalities.protein.tokens import TOKENS

__all__ = ["AtomSet", "ProteinModalityConfig", "Representation", "check_atoms"]

Representation: TypeAlias = Literal["coordinates", "frames", "dihedrals", "sequence", "secondary"]
"""Of a structure atoms, frames of residues, or angles; or letters: of amino acids, or of helix, strand and neither."""
AtomSet: TypeAlias = Literal["alpha", "backbone", "all"]
"""CA alone; N, CA, C and O; or the 37 heavy atoms of the twenty amino acids."""
N_ATOMS: dict[str, int] = {"alpha": 1, "backbone": 4, "all": 37}
Count = Annotated[int, Field(ge=1)]


@config
class ProteinModalityConfig(Config):
    """What a model is given as ``x``: ``max_seq_length`` residues, padded.

    In this order: a crop, centring, a rotation (training only), scale; then frames are made. Dihedrals and letters lie nowhere:
    of these they have a crop alone, and a config that sets another is refused.

        >>> ProteinModalityConfig(max_seq_length=64).shape
        (64, 4, 3)
        >>> letters = ProteinModalityConfig(max_seq_length=64, representation="sequence")
        >>> letters.shape, len(letters.tokens)
        ((64,), 22)
    """

    representation: Representation = "coordinates"
    """Positions in Å; `(L, 9)`, CA and two columns of a rotation; `(L, 6)`, the sine and cosine of phi, psi and omega; or int32
    tokens `(L,)`: 0 the end, then the twenty amino acids and X, or a, b, c of helix, strand and neither."""
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
        check_atoms(self.representation, self.atoms)
        if self.representation not in ("coordinates", "frames"):
            of_positions = {"center": (self.center, True), "rotate": (self.rotate, False), "scale": (self.scale, 1.0)}
            for name, (value, default) in of_positions.items():
                if value != default:
                    raise ValueError(
                        f"{name}={value} is of positions, and representation={self.representation!r} has none; leave it out"
                    )

    @property
    def tokens(self) -> tuple[str, ...]:
        """The vocabulary of letters, its end first; empty where `x` holds no tokens."""
        return TOKENS[self.representation] if self.representation in ("sequence", "secondary") else ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        length = self.crop or self.max_seq_length
        if self.representation != "coordinates":
            return (length, *{"frames": (9,), "dihedrals": (6,)}.get(self.representation, ()))
        return (length, 3) if self.atoms == "alpha" else (length, N_ATOMS[self.atoms], 3)


def check_atoms(representation: Representation, atoms: AtomSet) -> None:
    """Refuse atoms that a representation is not made of.

    Raises:
        ValueError: frames, dihedrals or letters are wanted, and ``atoms`` is set.
    """
    if representation != "coordinates" and atoms != "backbone":
        raise ValueError(
            f"atoms={atoms!r} is of coordinates, and representation={representation!r} has no choice of atoms; leave it out"
        )
