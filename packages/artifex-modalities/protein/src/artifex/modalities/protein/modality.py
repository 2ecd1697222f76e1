"""Proteins on their way to a model and back: ``prepare`` inside the compiled step, ``to_host`` and ``save_samples`` after it.

Shapes: ``B`` examples, ``L`` residues, ``A`` atoms of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from artifex.core.checks import check_any_samples
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.geometry import masked_mean, so3_exp
from artifex.modalities.protein.config import ProteinModalityConfig
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.writing import write_proteins

__all__ = ["ProteinModality"]

ALONG_CHAIN = ("mask", "residue_index", "chain", "residue_type", "atom_mask")
"""Keys of a batch with a second axis of residues."""
SHORTEST, LONGEST = 2.0, 6.0
"""Median distances of successive alpha carbons, Å, outside of which data are in another unit."""


@dataclass(frozen=True, slots=True)
class ProteinModality:
    """Structures of proteins as arrays, padded along the chain.

    Follows :class:`artifex.core.protocols.ModalityProtocol`, :class:`~artifex.core.protocols.ChecksData`,
    :class:`~artifex.core.protocols.Restores` and :class:`~artifex.core.protocols.HasHostForm`.

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
        """Of one prepared example: ``(L, 3)``, ``(L, 4, 3)`` or ``(L, 37, 3)``."""
        return self.config.shape

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored structures to model input; jitted with the step.

        Args:
            batch: ``x`` in Å, ``(B, L, 3)`` or ``(B, L, A, 3)``; ``mask`` ``(B, L)``, true where there is a residue, and for
                all atoms ``atom_mask`` ``(B, L, A)``. What else there is along the chain is cropped with it.
            rngs: stream ``sample`` for crops and rotations.
            train: whether crops and rotations are drawn.

        Returns:
            The batch, with ``x`` float32 and 0 in padded places.

        Raises:
            InvalidInputError: ``x`` does not fit; or a random draw has no stream.
        """
        rngs = self.rngs if rngs is None else rngs
        x = self._checked(batch)
        mask = jnp.asarray(batch["mask"]).astype(bool) if "mask" in batch else jnp.ones(x.shape[:2], bool)
        made = {**batch, "x": x, "mask": mask}
        if self.config.crop is not None and self.config.crop < x.shape[1]:
            made = self._cropped(made, rngs, train)
        x, mask = made["x"], made["mask"]
        there = self._there(made)
        x = jnp.where(there[..., None], x.reshape(*there.shape, 3), 0)
        if self.config.center:
            alpha = x[:, :, 0 if self.config.atoms == "alpha" else 1]
            x = x - masked_mean(alpha, mask[..., None], axis=1)[:, None, None]
        if train and self.config.rotate:
            x = jnp.einsum("bij,blaj->blai", _random_rotations(_key(rngs), x.shape[0]), x)
        x = jnp.where(there[..., None], x / self.config.scale, 0)
        return {**made, "x": x.reshape(made["x"].shape)}

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these are structures in Å; on the host, before the first step.

        Args:
            arrays: ``x`` and ``mask`` of stored examples.
            first_row: row of the data set that the first of them is, for messages.

        Raises:
            InvalidInputError: the shape does not fit, a position is not finite, or neighbours are as far apart as in nm.
        """
        x = np.asarray(self._checked(arrays))
        mask = np.asarray(arrays.get("mask", np.ones(x.shape[:2], bool)), bool)
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

    def restore(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Model space back to Å; where the structure lies, and how it was turned, is not undone."""
        return jnp.asarray(x, jnp.float32) * self.config.scale

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> list[Protein | None]:
        """Samples as proteins in Å; ``None`` where a position is not finite or there is no residue.

        Args:
            x: ``(B, L, 3)``, ``(B, L, 4, 3)`` or ``(B, L, 37, 3)`` in model space.
            mask: ``(B, L)``; by default a residue is where a position differs from 0. Of all atoms, one at 0 is missing.
        """
        x = np.asarray(x, np.float64) * self.config.scale
        points = x.reshape(*x.shape[:2], -1, 3)
        placed = np.any(points != 0, axis=-1)  # (B, L, A); NaN differs from 0
        residues = placed.any(axis=-1) if mask is None else np.asarray(mask, bool)
        proteins: list[Protein | None] = []
        for row, kept in zip(range(len(x)), residues, strict=True):
            if not kept.any() or not np.isfinite(points[row][kept]).all():
                proteins.append(None)
                continue
            atoms = placed[row][kept] if self.config.atoms == "all" else None
            proteins.append(Protein.from_positions(x[row][kept], residue_index=np.flatnonzero(kept), atom_mask=atoms))
        return proteins

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write samples ``(N, *shape)`` from model space as the models of one PDB file ``stem.pdb``, which viewers open.

        Samples that are no structure are left out; where none is, the file says so in a remark.
        """
        check_any_samples(samples, stem)
        stem = Path(stem)
        path = stem.with_name(f"{stem.name}.pdb")
        proteins = [protein for protein in self.to_host(samples) if protein is not None]
        if not proteins:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"REMARK   3 NONE OF {len(samples)} SAMPLES HAS FINITE POSITIONS\nEND\n")
            return path
        return write_proteins(proteins, path)

    def _checked(self, batch: Mapping[str, Any]) -> Array:
        """``x`` as float32, if its shape is that of the config."""
        if "x" not in batch:
            raise InvalidInputError(f"a batch of proteins has the key 'x'; got the keys {sorted(batch)}")
        x, rest = jnp.asarray(batch["x"]), self.shape[1:]
        if x.ndim != 2 + len(rest) or x.shape[2:] != rest or x.shape[1] > self.config.max_seq_length:
            wanted = ", ".join(map(str, rest))
            raise InvalidInputError(
                f"x has shape {x.shape}; atoms={self.config.atoms!r} means (batch, at most {self.config.max_seq_length}, "
                f"{wanted})"
            )
        return x.astype(jnp.float32)

    def _there(self, batch: Mapping[str, Any]) -> Bool[Array, "B L A"]:
        """True where there is an atom."""
        mask = jnp.asarray(batch["mask"])[..., None]
        if self.config.atoms == "all" and "atom_mask" in batch:
            return mask & jnp.asarray(batch["atom_mask"]).astype(bool)
        return jnp.broadcast_to(mask, (*mask.shape[:2], 1 if self.config.atoms == "alpha" else self.shape[1]))

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


def _random_rotations(key: Array, n: int) -> Float[Array, "n 3 3"]:
    """Uniform on SO(3): unit quaternions from a normal distribution."""
    q = jax.random.normal(key, (n, 4))
    q = q / jnp.linalg.norm(q, axis=-1, keepdims=True)
    q = jnp.where(q[:, :1] < 0, -q, q)
    sine = jnp.linalg.norm(q[:, 1:], axis=-1, keepdims=True)
    angle = 2 * jnp.arctan2(sine, q[:, :1])
    return so3_exp(q[:, 1:] / jnp.maximum(sine, 1e-12) * angle)


def _key(rngs: nnx.Rngs | None) -> Array:
    if rngs is None or not ("sample" in rngs or "default" in rngs):
        raise InvalidInputError("this config draws random numbers: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)")
    return rngs.sample()
