"""Molecules on their way to a model and back: ``prepare`` inside the compiled step, ``to_host`` and ``save_samples`` after it.

Shapes: ``B`` examples, ``L`` tokens, ``N`` atoms.
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
from jaxtyping import Array

from artifex.core.checks import check_any_samples
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.geometry import masked_mean, so3_exp
from artifex.modalities.molecular.arrays import decoded_text, molecule_of_row, molecule_of_text
from artifex.modalities.molecular.config import MolecularModalityConfig
from artifex.modalities.molecular.writing import write_molecules, write_texts

__all__ = ["MolecularModality"]


@dataclass(frozen=True, slots=True)
class MolecularModality:
    """Molecules as tokens, or as atoms in space.

    Follows :class:`artifex.core.protocols.ModalityProtocol`, :class:`~artifex.core.protocols.ChecksData` and
    :class:`~artifex.core.protocols.HasHostForm`, whose objects are RDKit molecules.

    Args:
        config: the form of the molecules; SMILES of up to 64 tokens by default.
        rngs: random streams, of which the modality keeps a fork, for calls of :meth:`prepare` that are given none.

    Example:
        >>> modality = MolecularModality(MolecularModalityConfig(max_length=4))
        >>> [None if m is None else m.GetNumAtoms() for m in modality.to_host(np.array([[1, 1, 5, 0], [17, 1, 0, 0]]))]
        [3, None]
    """

    config: MolecularModalityConfig = field(default_factory=MolecularModalityConfig)
    rngs: nnx.Rngs | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.config is None:
            object.__setattr__(self, "config", MolecularModalityConfig())
        if not isinstance(self.config, MolecularModalityConfig):
            raise InvalidTypeError(f"MolecularModality takes a MolecularModalityConfig, got {type(self.config).__name__}")
        if self.rngs is not None:
            if not isinstance(self.rngs, nnx.Rngs):
                raise InvalidTypeError(f"MolecularModality takes rngs=nnx.Rngs(seed), got {type(self.rngs).__name__}")
            object.__setattr__(self, "rngs", self.rngs.fork())

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one prepared example: ``(L,)``, or ``(N, 8)``."""
        return self.config.shape

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored molecules to model input; jitted with the step.

        Args:
            batch: ``x`` int ``(B, L)``, or float ``(B, N, 8)``; ``mask``.
            rngs: stream ``sample``, where positions are turned.
            train: whether they are.

        Returns:
            The batch; molecules in space about their atoms' mean, 0 in padded places.

        Raises:
            InvalidInputError: ``x`` does not fit, or a random draw has no stream.
        """
        x = self._checked(batch)
        if self.config.representation != "conformer":
            return {**batch, "x": x}
        mask = jnp.asarray(batch["mask"]).astype(bool) if "mask" in batch else jnp.any(x[..., 3:] > 0, axis=-1)
        x = jnp.where(mask[..., None], x, 0)
        points = x[..., :3] - masked_mean(x[..., :3], mask[..., None], axis=1, keepdims=True)
        if train and self.config.randomize_positions:
            points = jnp.einsum(
                "bij,bnj->bni", _random_rotations(_key(self.rngs if rngs is None else rngs), x.shape[0]), points
            )
        points = jnp.where(mask[..., None], points, 0)
        return {**batch, "x": jnp.concatenate([points, x[..., 3:]], axis=-1), "mask": mask}

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these are stored molecules; on the host, before the first step.

        Args:
            arrays: ``x`` and ``mask`` of stored examples.
            first_row: row of the data set that the first of them is, for messages.

        Raises:
            InvalidInputError: the shape does not fit, a number is of no token, or a position is not finite.
        """
        x = np.asarray(self._checked(arrays))
        if self.config.representation == "conformer":
            mask = np.asarray(arrays.get("mask", np.ones(x.shape[:2], bool)), bool)
            bad = np.argwhere(mask & ~np.isfinite(x).all(axis=-1))
            if len(bad):
                raise InvalidInputError(f"x[{first_row + bad[0][0]}] has no finite position for atom {bad[0][1]}; leave it out")
            return
        bad = np.argwhere((x < 0) | (x >= len(self.config.tokens)))
        if len(bad):
            row, place = bad[0]
            raise InvalidInputError(
                f"x[{first_row + row}] holds {x[row, place]}, the vocabulary has {len(self.config.tokens)} tokens, from 0; "
                "give data set and modality the same vocabulary"
            )

    def texts(self, x: np.ndarray) -> list[str | None]:
        """Samples ``(B, L)`` as SMILES or SELFIES, valid or not; ``None`` where a number is of no token."""
        return [decoded_text(row, self.config.tokens) for row in np.asarray(x)]

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> list[Any | None]:
        """Samples as RDKit molecules; ``None`` where they are none. Those in space have their positions and are not sanitised.

        Args:
            x: ``(B, L)`` or ``(B, N, 8)``.
            mask: where there is an atom; by default, where an element is set. Texts end at their end token.
        """
        x = np.asarray(x)
        if self.config.representation == "conformer":
            return [molecule_of_row(row, None if mask is None else mask[i]) for i, row in enumerate(x)]
        return [molecule_of_text(text, self.config.representation) for text in self.texts(x)]

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write all samples as ``stem.smi`` (texts) or ``stem.sdf`` (in space), and the valid ones drawn, as ``stem.png``.

        Returns:
            The picture; the text or SDF file where no sample is a molecule.
        """
        check_any_samples(samples, stem)
        stem, molecules = Path(stem), self.to_host(samples)
        if self.config.representation == "conformer":
            return write_molecules(molecules, stem)
        return write_texts(self.texts(samples), molecules, stem)

    def _checked(self, batch: Mapping[str, Any]) -> Array:
        if "x" not in batch:
            raise InvalidInputError(f"a batch of molecules has the key 'x'; got the keys {sorted(batch)}")
        x, wanted = jnp.asarray(batch["x"]), self.shape
        if x.ndim != 1 + len(wanted) or x.shape[1] > wanted[0] or x.shape[2:] != wanted[1:]:
            rest = ", ".join(["", *map(str, wanted[1:])])
            raise InvalidInputError(
                f"x has shape {x.shape}; representation={self.config.representation!r} means (batch, at most {wanted[0]}{rest})"
            )
        if self.config.representation == "conformer":
            return x.astype(jnp.float32)
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise InvalidInputError(f"tokens are whole numbers, got {x.dtype}")
        return x


def _random_rotations(key: Array, n: int) -> Array:
    """Uniform on SO(3): unit quaternions from a normal distribution."""
    q = jax.random.normal(key, (n, 4))
    q = q / jnp.linalg.norm(q, axis=-1, keepdims=True)
    q = jnp.where(q[:, :1] < 0, -q, q)
    sine = jnp.linalg.norm(q[:, 1:], axis=-1, keepdims=True)
    return so3_exp(q[:, 1:] / jnp.maximum(sine, 1e-12) * 2 * jnp.arctan2(sine, q[:, :1]))


def _key(rngs: nnx.Rngs | None) -> Array:
    if rngs is None or not ("sample" in rngs or "default" in rngs):
        raise InvalidInputError("this config draws random numbers: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)")
    return rngs.sample()
