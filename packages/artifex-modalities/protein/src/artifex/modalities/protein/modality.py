"""Proteins on their way to a model and back: ``prepare`` inside the compiled step, ``to_host`` and ``save_samples`` after it.

Shapes: ``B`` examples, ``L`` residues or tokens, ``A`` atoms of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from artifex.core.checks import check_any_samples
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.geometry import masked_mean, uniform_rotations
from artifex.core.geometry.rotations import HIGHEST
from artifex.modalities.protein.arrays import has_frame
from artifex.modalities.protein.config import N_ATOMS, ProteinModalityConfig
from artifex.modalities.protein.datasets.folds import ProteinFoldsConfig
from artifex.modalities.protein.datasets.protein_dataset import ProteinDatasetConfig
from artifex.modalities.protein.encoding import LEAST, decoded_dihedrals, decoded_frames, encoded_dihedrals, encoded_frames
from artifex.modalities.protein.ideal import linked_residues
from artifex.modalities.protein.internal import backbone_from_dihedrals, backbone_from_frames
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.tokens import TOKENS, decoded_letters
from artifex.modalities.protein.writing import write_letters, write_proteins

__all__ = ["ProteinModality"]

ALONG_CHAIN = ("mask", "residue_index", "chain", "residue_type", "atom_mask")
"""Keys of a batch with a second axis of residues."""
SHORTEST, LONGEST = 2.0, 6.0
"""Median distances of successive alpha carbons, Å, outside of which data are in another unit."""


@dataclass(frozen=True, slots=True)
class ProteinModality:
    """Proteins as arrays, padded along the chain: structures, or sequences of letters.

    Follows :class:`artifex.core.protocols.ModalityProtocol`, :class:`~artifex.core.protocols.FitsData`,
    :class:`~artifex.core.protocols.ChecksData`, :class:`~artifex.core.protocols.Restores` and
    :class:`~artifex.core.protocols.HasHostForm`.

    Args:
        config: the form of the structures; backbones of up to 256 residues by default.
        rngs: random streams, of which the modality keeps a fork, for calls of :meth:`prepare` that are given none, outside
            compiled functions.

    Example:
        >>> modality = ProteinModality(ProteinModalityConfig(max_seq_length=3))
        >>> x = np.arange(36.0).reshape(1, 3, 4, 3)
        >>> prepared = modality.prepare({"x": x}, train=False)["x"]
        >>> prepared.shape, prepared[0, :, 1].mean(axis=0).tolist()
        ((1, 3, 4, 3), [0.0, 0.0, 0.0])
    """

    config: ProteinModalityConfig = field(default_factory=ProteinModalityConfig)
    rngs: nnx.Rngs | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.config is None:
            object.__setattr__(self, "config", ProteinModalityConfig())
        if not isinstance(self.config, ProteinModalityConfig):
            raise InvalidTypeError(f"ProteinModality takes a ProteinModalityConfig, got {type(self.config).__name__}")
        if self.rngs is not None:
            if not isinstance(self.rngs, nnx.Rngs):
                raise InvalidTypeError(f"ProteinModality takes rngs=nnx.Rngs(seed), got {type(self.rngs).__name__}")
            object.__setattr__(self, "rngs", self.rngs.fork())

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one prepared example: ``(L, 3)``, ``(L, 4, 3)``, ``(L, 37, 3)``, ``(L, 9)``, ``(L, 6)`` or ``(L,)``."""
        return self.config.shape

    def fitted(self, dataset: Any, split: str) -> Self:
        """This modality, which learns nothing, but has to have the letters of the data: numbers do not tell of what they are.

        Raises:
            DataError: of ``sequence`` and ``secondary``, the data set has the one and the modality the other.
        """
        del split
        config, own = getattr(dataset, "config", None), self.config.representation
        theirs = config.representation if isinstance(config, ProteinDatasetConfig | ProteinFoldsConfig) else own
        if theirs != own and theirs in TOKENS and own in TOKENS:
            raise DataError(f"the data set has representation={theirs!r}, the modality {own!r}; give both the same")
        return self

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored proteins to model input; jitted with the step.

        Args:
            batch: ``x`` in Å, ``(B, L, 3)`` or ``(B, L, A, 3)``, of which frames and dihedrals are made here, or whole numbers
                ``(B, L)``; ``mask`` ``(B, L)``, true where there is a residue, and at the end of a row of tokens; and for all
                atoms ``atom_mask`` ``(B, L, A)``. Residues whose ``residue_index`` or ``chain`` say so are not linked, and have
                no dihedral between them. What else there is along the chain is cropped with it.
            rngs: stream ``sample`` for crops and rotations.
            train: whether crops and rotations are drawn.

        Returns:
            The batch, with ``x`` float32, or int32 tokens, and 0 in padded places.

        Raises:
            InvalidInputError: ``x`` does not fit; or a random draw has no stream.
        """
        rngs = self.rngs if rngs is None else rngs
        x = self._checked(batch)
        made = {**batch, "x": x, "mask": self._mask(batch, x)}
        if self.config.crop is not None and self.config.crop < x.shape[1]:
            made = self._cropped(made, rngs, train)
        if self.config.tokens:
            return {**made, "x": jnp.where(made["mask"], made["x"], 0)}
        there = self._there(made)
        points = jnp.where(there[..., None], made["x"].reshape(*there.shape, 3), 0)
        if self.config.representation == "dihedrals":
            return {**made, "x": encoded_dihedrals(points, _linked(made))}
        points = self._placed(points, made["mask"], rngs, train)
        if self.config.representation == "frames":
            return {**made, "x": jnp.where(made["mask"][..., None], encoded_frames(points), 0)}
        return {**made, "x": jnp.where(there[..., None], points, 0).reshape(made["x"].shape)}

    def _placed(self, x: Array, mask: Array, rngs: nnx.Rngs | None, train: bool) -> Float[Array, "B L A 3"]:
        """Centred, turned in training, and scaled."""
        if self.config.center:
            alpha = x[:, :, 0 if self.config.atoms == "alpha" else 1]
            x = x - masked_mean(alpha, mask[..., None], axis=1)[:, None, None]
        if train and self.config.rotate:
            rotations = uniform_rotations(_key(rngs), x.shape[:1])
            x = jnp.einsum("bij,blaj->blai", rotations, x, precision=HIGHEST)
        return x / self.config.scale

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these are structures in Å, or tokens; on the host, before the first step.

        Args:
            arrays: ``x`` and ``mask`` of stored examples.
            first_row: row of the data set that the first of them is, for messages.

        Raises:
            InvalidInputError: the shape does not fit, a position is not finite, or neighbours are as far apart as in nm; the
                atoms of a residue lie on a line, and make no frame; a number is of no token, or stands behind the end.
        """
        x = np.asarray(self._checked(arrays))
        mask = np.asarray(self._mask(arrays, x))
        if self.config.tokens:
            self._check_tokens(np.asarray(arrays["x"]), mask, first_row)  # as they are: in int32 a larger number is another
            return
        there = np.asarray(self._there({**arrays, "x": x, "mask": mask}))
        x = x.reshape(*there.shape, 3)
        bad = np.argwhere(there & ~np.isfinite(x).all(axis=-1))
        if len(bad):
            row, residue, atom = bad[0]
            raise InvalidInputError(
                f"x[{first_row + row}] has no finite position for atom {atom} of residue {residue}; mask it, or leave it out"
            )
        alpha = x[:, :, 0 if self.config.atoms == "alpha" else 1]
        steps = np.linalg.norm(np.diff(alpha, axis=1), axis=-1)[mask[:, 1:] & mask[:, :-1]]
        if steps.size and not SHORTEST <= np.median(steps) <= LONGEST:
            raise InvalidInputError(
                f"successive alpha carbons lie {np.median(steps):.3g} apart from row {first_row} on; in proteins it is 3.8 Å: "
                "give positions in Å (those in nm times 10)"
            )
        if self.config.representation != "coordinates":
            _check_corners(x, mask, first_row)

    def _check_tokens(self, x: np.ndarray, mask: np.ndarray, first_row: int) -> None:
        tokens = self.config.tokens
        bad = np.argwhere(mask & ((x < 0) | (x >= len(tokens))))
        if len(bad):
            row, place = bad[0]
            raise InvalidInputError(
                f"x[{first_row + row}] holds {x[row, place]} at place {place}, and {self.config.representation} has "
                f"{len(tokens)} tokens, from 0: {', '.join(tokens)}; give the data set the same representation"
            )
        ended = np.cumsum((x == 0) & mask, axis=1) - ((x == 0) & mask) > 0
        bad = np.argwhere(mask & ended)
        if len(bad):
            row, place = bad[0]
            raise InvalidInputError(
                f"x[{first_row + row}] goes on behind its end, 0, at place {place}; mask what is behind the end"
            )

    def restore(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Model space back to Å; where the structure lies, and how it was turned, is not undone. Angles and tokens stay."""
        if self.config.tokens:
            return jnp.asarray(x)
        x = jnp.asarray(x, jnp.float32)
        if self.config.representation == "frames":
            return jnp.concatenate([x[..., :3] * self.config.scale, x[..., 3:]], axis=-1)
        return x * self.config.scale

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> list[Protein | str | None]:
        """Samples as proteins in Å, or as texts of one letter a residue.

        Frames and dihedrals become backbones of ideal residues (:func:`~artifex.modalities.protein.backbone_from_frames`,
        :func:`~artifex.modalities.protein.backbone_from_dihedrals`). A chain of which psi and omega are missing between two
        residues is broken there: its pieces follow each other as if both were 180 degrees, for nothing says how they lie.

        Args:
            x: ``(B, *shape)`` in model space.
            mask: ``(B, L)``. By default a residue is where a position differs from 0; where the first column of a frame's
                rotation, or one of three angles' sine and cosine, is longer than 1/2; where a token is no end and no end is
                before it. Of all atoms, one at 0 is missing.

        Returns:
            ``None`` where a number is not finite or of no token, a frame is no rotation, or there is no residue.

        Raises:
            InvalidInputError: ``x`` has another shape, or tokens are not whole numbers.
        """
        x = np.asarray(x)
        rest = self.shape[1:]
        if x.ndim != 2 + len(rest) or x.shape[2:] != rest or (self.config.tokens and not np.issubdtype(x.dtype, np.integer)):
            kind = "whole numbers" if self.config.tokens else "numbers"
            raise InvalidInputError(
                f"x is {x.dtype} of shape {x.shape}; representation={self.config.representation!r} means {kind} of "
                f"(batch, residues{''.join(f', {n}' for n in rest)})"
            )
        mask = None if mask is None else np.asarray(mask, bool)
        match self.config.representation:
            case "coordinates":
                return self._of_coordinates(x.astype(np.float64) * self.config.scale, mask)
            case "frames":
                return _of_frames(np.asarray(self.restore(jnp.asarray(x))), mask)
            case "dihedrals":
                return _of_dihedrals(x.astype(np.float32), mask)
            case language:
                rows = x if mask is None else [row[kept] for row, kept in zip(x, mask, strict=True)]
                return [decoded_letters(row, language) for row in rows]

    def _of_coordinates(self, x: np.ndarray, mask: np.ndarray | None) -> list[Protein | str | None]:
        points = x.reshape(*x.shape[:2], -1, 3)
        placed = np.any(points != 0, axis=-1)  # (B, L, A); NaN differs from 0
        residues = placed.any(axis=-1) if mask is None else mask
        proteins: list[Protein | str | None] = []
        for row, kept in zip(range(len(x)), residues, strict=True):
            if not kept.any() or not np.isfinite(points[row][kept]).all():
                proteins.append(None)
                continue
            atoms = placed[row][kept] if self.config.atoms == "all" else None
            proteins.append(Protein.from_positions(x[row][kept], residue_index=np.flatnonzero(kept), atom_mask=atoms))
        return proteins

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write samples ``(N, *shape)`` from model space as the models of one PDB file ``stem.pdb``, which viewers open.

        Sequences go to ``stem.fasta``; secondary structure goes to ``stem.txt``, a line each. Samples that are no protein are
        left out, and are empty lines of the latter; where none is, a PDB or FASTA file says so in a remark.
        """
        check_any_samples(samples, stem)
        stem, hosts = Path(stem), self.to_host(samples)
        if self.config.representation in ("sequence", "secondary"):
            return write_letters([host if isinstance(host, str) else None for host in hosts], stem, self.config.representation)
        path = stem.with_name(f"{stem.name}.pdb")
        proteins = [host for host in hosts if isinstance(host, Protein)]
        if not proteins:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"REMARK   3 NONE OF {len(samples)} SAMPLES HAS FINITE POSITIONS\nEND\n")
            return path
        return write_proteins(proteins, path)

    def _checked(self, batch: Mapping[str, Any]) -> Array:
        """``x`` as float32, or int32 tokens, if its shape is that of the config."""
        if "x" not in batch:
            raise InvalidInputError(f"a batch of proteins has the key 'x'; got the keys {sorted(batch)}")
        x, config = jnp.asarray(batch["x"]), self.config
        rest = () if config.tokens else (3,) if config.atoms == "alpha" else (N_ATOMS[config.atoms], 3)
        fits = x.ndim == 2 + len(rest) and x.shape[2:] == rest and x.shape[1] <= config.max_seq_length
        if not fits or (config.tokens and not jnp.issubdtype(x.dtype, jnp.integer)):
            what = f"atoms={config.atoms!r}"
            if config.representation != "coordinates":
                what = f"representation={config.representation!r}"
            wanted = ", ".join(["batch", f"at most {config.max_seq_length}", *map(str, rest)])
            kind = "whole numbers " if config.tokens else ""
            fix = "; give the data set the same representation" if config.representation != "coordinates" else ""
            raise InvalidInputError(f"x has shape {x.shape} of {x.dtype}; {what} means {kind}({wanted}){fix}")
        return x.astype(jnp.int32 if config.tokens else jnp.float32)

    def _mask(self, batch: Mapping[str, Any], x: Any) -> Bool[Array, "B L"]:
        """That of the batch; without one all, or of tokens all up to an end."""
        if "mask" in batch:
            return jnp.asarray(batch["mask"]).astype(bool)
        if not self.config.tokens:
            return jnp.ones(x.shape[:2], bool)
        is_end = jnp.asarray(x) == 0
        return jnp.cumsum(is_end, axis=1) - is_end == 0

    def _there(self, batch: Mapping[str, Any]) -> Bool[Array, "B L A"]:
        """True where there is an atom."""
        mask = jnp.asarray(batch["mask"])[..., None]
        if self.config.atoms == "all" and "atom_mask" in batch:
            return mask & jnp.asarray(batch["atom_mask"]).astype(bool)
        return jnp.broadcast_to(mask, (*mask.shape[:2], N_ATOMS[self.config.atoms]))

    def _cropped(self, batch: dict[str, Any], rngs: nnx.Rngs | None, train: bool) -> dict[str, Any]:
        """One stretch of each example; within its residues, where it has as many."""
        length = self.config.crop or self.config.max_seq_length
        sizes = jnp.sum(batch["mask"], axis=1)
        most = jnp.maximum(sizes - length, 0)
        if train:
            drawn = jax.random.uniform(_key(rngs), most.shape)
            starts = jnp.minimum((drawn * (most + 1)).astype(jnp.int32), most)
        else:
            starts = jnp.zeros_like(most)
        cut = jax.vmap(lambda a, start: jax.lax.dynamic_slice_in_dim(a, start, length))
        return {key: cut(jnp.asarray(value), starts) if key in ("x", *ALONG_CHAIN) else value for key, value in batch.items()}


def _linked(batch: Mapping[str, Any]) -> Bool[Array, "B L"]:
    """Where the next residue is bound."""
    index, chain = (None if batch.get(key) is None else jnp.asarray(batch[key]) for key in ("residue_index", "chain"))
    return linked_residues(batch["mask"], index, chain)


def _check_corners(x: np.ndarray, mask: np.ndarray, first_row: int) -> None:
    """Raise where N, CA and C make no plane."""
    flat = np.argwhere(mask & ~has_frame(x))
    if len(flat):
        row, residue = flat[0]
        raise InvalidInputError(
            f"N, CA and C of residue {residue} of x[{first_row + row}] lie on a line or in one place, and make neither a frame "
            "nor dihedrals; mask it, or leave it out"
        )


def _of_frames(x: np.ndarray, mask: np.ndarray | None) -> list[Protein | str | None]:
    """``x`` ``(B, L, 9)`` in Å."""
    residues = ~(np.linalg.norm(x[..., 3:6], axis=-1) <= LEAST) if mask is None else mask  # NaN is no residue that is missing
    frames = decoded_frames(jnp.asarray(np.where(residues[..., None], x, 0)))
    turned = np.linalg.det(np.asarray(frames.rotation)) > LEAST  # 1, or 0 where the two columns lie on a line
    usable = np.isfinite(x).all(axis=-1) & turned
    points = np.asarray(backbone_from_frames(frames, linked_residues(jnp.asarray(residues))))
    return _proteins(points, residues, usable, np.broadcast_to(np.arange(x.shape[1]), x.shape[:2]))


def _of_dihedrals(x: np.ndarray, mask: np.ndarray | None) -> list[Protein | str | None]:
    """``x`` ``(B, L, 6)``."""
    shown = np.linalg.norm(x.reshape(*x.shape[:2], 3, 2), axis=-1)
    residues = ~(shown <= LEAST).all(axis=-1) if mask is None else mask
    phi, psi, omega, _, has_next = decoded_dihedrals(jnp.asarray(np.where(residues[..., None], x, 0)))
    breaks = np.asarray(residues & ~np.asarray(has_next))
    places = np.arange(x.shape[1]) + np.cumsum(breaks, axis=1) - breaks  # one further behind each break
    points = np.asarray(backbone_from_dihedrals(phi, psi, omega))
    return _proteins(points, residues, np.asarray(np.isfinite(x).all(axis=-1)), places)


def _proteins(points: np.ndarray, residues: np.ndarray, usable: np.ndarray, places: np.ndarray) -> list[Protein | str | None]:
    """Of each row those of its residues that are there; ``None`` where there is none, or one is not usable."""
    usable = usable & np.isfinite(points).all(axis=(-1, -2))
    return [
        Protein.from_positions(row[kept], residue_index=place[kept]) if kept.any() and good[kept].all() else None
        for row, kept, good, place in zip(points, residues, usable, places, strict=True)
    ]


def _key(rngs: nnx.Rngs | None) -> Array:
    if rngs is None or not ("sample" in rngs or "default" in rngs):
        raise InvalidInputError("this config draws random numbers: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)")
    return rngs.sample()
