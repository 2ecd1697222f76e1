"""Molecules on their way to a model and back: ``prepare`` inside the compiled step, the rest after it.

Shapes: ``B`` examples, ``L`` tokens, ``N`` atoms, ``A`` elements of graphs.
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
from jaxtyping import Array

from artifex.core.checks import check_any_samples
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.geometry import masked_mean, uniform_rotations
from artifex.core.geometry.rotations import HIGHEST
from artifex.modalities.molecular.arrays import decoded_text, molecule_of_row, molecule_of_text
from artifex.modalities.molecular.config import MolecularModalityConfig
from artifex.modalities.molecular.datasets.base import MoleculeDatasetConfig
from artifex.modalities.molecular.graphs import ZINC, graph_fault, molecule_of_graph
from artifex.modalities.molecular.smiles import COMMON_TOKENS, canonical_smiles
from artifex.modalities.molecular.valid import valid_form
from artifex.modalities.molecular.writing import draw_molecules, draw_none, write_molecules, write_texts

__all__ = ["MolecularModality"]


@dataclass(frozen=True, slots=True)
class MolecularModality:
    """Molecules as tokens, as graphs, or as atoms in space.

    Follows :class:`artifex.core.protocols.ModalityProtocol`, :class:`~artifex.core.protocols.DrawsSamples`,
    :class:`~artifex.core.protocols.FitsData`, :class:`~artifex.core.protocols.ChecksData` and
    :class:`~artifex.core.protocols.HasHostForm`, whose objects are RDKit's.

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
        """Of one prepared example: ``(L,)``, ``(N, A + 1 + N)`` or ``(N, 8)``."""
        return self.config.shape

    def fitted(self, dataset: Any, split: str) -> Self:
        """This modality, which learns nothing, but has to have the form of the data: numbers do not tell of what they are.

        Raises:
            DataError: a data set of molecules has another representation, other elements or another vocabulary.
        """
        del split
        theirs = getattr(dataset, "config", None)
        if not isinstance(theirs, MoleculeDatasetConfig):
            return self
        if theirs.representation != self.config.representation:
            raise DataError(
                f"the data set has representation={theirs.representation!r}, the modality {self.config.representation!r}; "
                "give both the same"
            )
        elements = (theirs.elements or ZINC, self.config.symbols)
        for name, (other, own) in {
            "elements": elements,
            "vocabulary": (theirs.vocabulary or COMMON_TOKENS, self.config.tokens),
        }.items():
            if other != own:
                place = next((i for i, (a, b) in enumerate(zip(other, own, strict=False)) if a != b), min(len(other), len(own)))
                said = [repr(these[place]) if place < len(these) else "none" for these in (other, own)]
                raise DataError(
                    f"of {name!r} at place {place}, the data set has {said[0]}, the modality {said[1]}; give both the same"
                )
        return self

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored molecules to model input; jitted with the step.

        Args:
            batch: ``x`` int ``(B, L)``, or float ``(B, N, A + 1 + N)`` or ``(B, N, 8)``; ``mask``.
            rngs: stream ``sample``, where positions are turned, or atoms put in random order.
            train: whether they are.

        Returns:
            The batch; graphs and molecules in space with 0 in padded places, these about their atoms' mean.

        Raises:
            InvalidInputError: ``x`` does not fit, or a random draw has no stream.
        """
        x = self._checked(batch)
        if self.config.representation in ("smiles", "selfies"):
            return {**batch, "x": x}
        if self.config.representation == "graph":
            return self._prepared_graphs(batch, x, rngs, train)
        mask = jnp.asarray(batch["mask"]).astype(bool) if "mask" in batch else jnp.any(x[..., 3:] > 0, axis=-1)
        x = jnp.where(mask[..., None], x, 0)
        points = x[..., :3] - masked_mean(x[..., :3], mask[..., None], axis=1, keepdims=True)
        if train and self.config.randomize_positions:
            rotations = uniform_rotations(_key(self.rngs if rngs is None else rngs), x.shape[:1])
            points = jnp.einsum("bij,bnj->bni", rotations, points, precision=HIGHEST)
        points = jnp.where(mask[..., None], points, 0)
        return {**batch, "x": jnp.concatenate([points, x[..., 3:]], axis=-1), "mask": mask}

    def _prepared_graphs(self, batch: Mapping[str, Any], x: Array, rngs: nnx.Rngs | None, train: bool) -> dict[str, Array]:
        first = len(self.config.symbols) + 1
        mask = batch["mask"] if "mask" in batch else jnp.any(x[..., : first - 1] > 0.5, axis=-1)
        mask = jnp.asarray(mask).astype(bool)
        features = jnp.where(mask[..., None], x[..., :first], 0)
        orders = jnp.where(mask[:, :, None] & mask[:, None, :], x[..., first:], 0)
        if train and self.config.randomize_order:
            order = _random_orders(_key(self.rngs if rngs is None else rngs), mask)
            features = jnp.take_along_axis(features, order[..., None], axis=1)
            orders = jnp.take_along_axis(jnp.take_along_axis(orders, order[..., None], axis=1), order[:, None], axis=2)
        return {**batch, "x": jnp.concatenate([features, orders], axis=-1), "mask": mask}

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these are stored molecules; on the host, before the first step.

        Args:
            arrays: ``x`` and ``mask`` of stored examples.
            first_row: row of the data set that the first of them is, for messages.

        Raises:
            InvalidInputError: the shape does not fit, a number is of no token, a position is not finite; or an example is no
                graph: it has no atom, an atom has no element, two, or a charge that is not whole, is bound to itself or to a
                padded place, or an order is not 0 to 3, or another one back.
        """
        x = np.asarray(self._checked(arrays))
        if self.config.representation == "graph":
            mask = np.asarray(arrays["mask"], bool) if "mask" in arrays else None
            if mask is not None and mask.shape != x.shape[:2]:
                raise InvalidInputError(
                    f"mask has shape {mask.shape}, x {x.shape}; it says of each place whether there is an atom"
                )
            if fault := graph_fault(x, len(self.config.symbols), mask):
                raise InvalidInputError(f"x[{first_row + fault[0]}] {fault[1]}; mend it, or leave the example out")
            return
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
        """Samples ``(B, L)`` as SMILES or SELFIES, valid or not; ``None`` where a number is of no token.

        Graphs ``(B, N, A + 1 + N)`` as SMILES, valid or not; ``None`` where there is no atom.
        """
        if self.config.representation == "graph":
            found = self._graphs(x, None)
            return [None if molecule is None else canonical_smiles(valid_form(molecule) or molecule) for molecule in found]
        return [decoded_text(row, self.config.tokens) for row in np.asarray(x)]

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> list[Any | None]:
        """Samples as RDKit molecules; ``None`` where they are none. Those in space have their positions and are not sanitised.

        A graph is the one that is nearest, see :mod:`artifex.modalities.molecular.graphs`.

        Args:
            x: ``(B, L)``, ``(B, N, A + 1 + N)`` or ``(B, N, 8)``.
            mask: where there is an atom; by default, where an element is set. Texts end at their end token.
        """
        x = np.asarray(x)
        if self.config.representation == "graph":
            return [None if molecule is None else valid_form(molecule) for molecule in self._graphs(x, mask)]
        if self.config.representation == "conformer":
            return [molecule_of_row(row, None if mask is None else mask[i]) for i, row in enumerate(x)]
        return [molecule_of_text(text, self.config.representation) for text in self.texts(x)]

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write all samples as ``stem.smi`` (texts, graphs) or ``stem.sdf`` (in space); returns the file."""
        check_any_samples(samples, stem)
        stem, molecules = Path(stem), self.to_host(samples)
        if self.config.representation == "conformer":
            return write_molecules(molecules, stem)
        return write_texts(self.texts(samples), molecules, stem)

    def draw_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Draw the first samples that are molecules, ``stem.png``, or that none is; returns the picture."""
        check_any_samples(samples, stem)
        return draw_molecules(self.to_host(samples), Path(stem)) or draw_none(Path(stem))

    def _graphs(self, x: np.ndarray, mask: np.ndarray | None) -> list[Any | None]:
        """Not sanitised."""
        rows = np.asarray(self._checked({"x": x}))
        return [molecule_of_graph(row, self.config.symbols, None if mask is None else mask[i]) for i, row in enumerate(rows)]

    def _checked(self, batch: Mapping[str, Any]) -> Array:
        if "x" not in batch:
            raise InvalidInputError(f"a batch of molecules has the key 'x'; got the keys {sorted(batch)}")
        x, wanted = jnp.asarray(batch["x"]), self.shape
        whole = self.config.representation == "graph"  # whose columns are its rows
        fits = x.ndim == 1 + len(wanted) and (x.shape[1] == wanted[0] or (not whole and x.shape[1] < wanted[0]))
        if not fits or x.shape[2:] != wanted[1:]:
            rest = f"{'' if whole else 'at most '}{', '.join(map(str, wanted))}"
            same = "; give data set and modality the same max_atoms and elements" if whole else ""
            raise InvalidInputError(
                f"x has shape {x.shape}; representation={self.config.representation!r} means (batch, {rest}){same}"
            )
        if self.config.representation in ("graph", "conformer"):
            return x.astype(jnp.float32)
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise InvalidInputError(f"tokens are whole numbers, got {x.dtype}")
        return x


def _random_orders(key: Array, mask: Array) -> Array:
    """``(B, N)``: for each place, which place its atom comes from. Atoms change places among themselves, padding stays."""
    drawn = jnp.argsort(jnp.where(mask, jax.random.uniform(key, mask.shape), 2), axis=1)
    return jnp.take_along_axis(drawn, jnp.argsort(jnp.argsort(~mask, axis=1), axis=1), axis=1)


def _key(rngs: nnx.Rngs | None) -> Array:
    if rngs is None or not ("sample" in rngs or "default" in rngs):
        raise InvalidInputError("this config draws random numbers: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)")
    return rngs.sample()
