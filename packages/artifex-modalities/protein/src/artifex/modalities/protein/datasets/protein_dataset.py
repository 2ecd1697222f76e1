"""Proteins from a folder of PDB and mmCIF files, and sequences from FASTA files, too."""

from __future__ import annotations

import hashlib
import warnings
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError, InvalidInputError, RunWarning
from artifex.core.splits import SPLITS, require_split
from artifex.modalities.protein.arrays import complete, has_frame, packed
from artifex.modalities.protein.config import AtomSet, Representation, check_atoms
from artifex.modalities.protein.fasta import FASTA, is_fasta, read_sequences
from artifex.modalities.protein.protein import Protein
from artifex.modalities.protein.reading import SUFFIXES, Naming, joined, read_proteins
from artifex.modalities.protein.tokens import letters_of, packed_tokens

__all__ = ["ProteinDataset", "ProteinDatasetConfig", "Skipped"]

Count = Annotated[int, Field(ge=1)]


@config
class ProteinDatasetConfig(Config):
    """Which structures, and in what form."""

    data_dir: Path | None = None
    """Where the files lie, folders below it included."""
    representation: Representation = "coordinates"
    """As the modality has it. For frames and dihedrals backbones are given, of which the modality makes them; sequence and
    secondary structure are given as tokens. FASTA files are read for `sequence`."""
    max_seq_length: Count = 256
    """Residues that examples are padded to."""
    min_seq_length: Count = 3
    """Shorter chains are left out."""
    longer: Literal["skip", "cut"] = "skip"
    """Longer chains are left out, or cut to their first residues."""
    atoms: AtomSet = "backbone"
    """Alpha carbons `(M, L, 3)`, N, CA, C and O `(M, L, 4, 3)`, or all atoms `(M, L, 37, 3)`."""
    example: Literal["chain", "file"] = "chain"
    """Each chain is an example, or all chains of a file together are."""
    naming: Naming = "auth"
    """Whose names chains and residues keep."""
    residue_types: bool = True
    """Give `residue_type` to the model. Models that are not told the sequence need it left out."""
    held_out: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    """Share of the examples in each of `test` and `validation`."""
    bucket_step: Count | None = 32
    """Batches hold examples whose lengths, rounded up, are the same multiple of this; nothing: all are padded alike."""

    def __post_init__(self) -> None:
        check_atoms(self.representation, self.atoms)
        if self.representation in ("sequence", "secondary"):
            if self.example == "file":
                raise ValueError(f"representation={self.representation!r} is of one chain; leave example='file' out")
            if not self.residue_types:
                raise ValueError(
                    f"representation={self.representation!r} has no residue_type beside its tokens; leave residue_types out"
                )


class Skipped(NamedTuple):
    """What was left out, and why."""

    file: Path
    reason: str


class ProteinDataset:
    """Structures in memory: ``x`` in Å from the alpha carbons' mean; ``mask``, ``residue_index``, ``chain``, ``residue_type``.

    ``residue_index`` jumps where the chain is broken. Residues that lack one of the backbone's atoms are left out, which shows
    there too; for frames and dihedrals also those whose N, CA and C lie on a line. Of sequences and secondary structure it is
    ``x`` int32 tokens and ``mask``: what is missing in a gap leaves no trace.

    Examples are told apart by file, and go to the splits by a checksum of their file's name, so that a file that is added moves
    no other; sequences of a FASTA file go by their name in it, too.

    What cannot be used is skipped; :attr:`skipped` has each file with the reason, and a warning says how many.

    Args:
        config: which, and in what form.
        data_dir: the folder, if the config does not name it.

    Raises:
        InvalidInputError: neither names a folder.

    Example:
        >>> ProteinDataset(ProteinDatasetConfig(), data_dir="nowhere").proteins
        Traceback (most recent call last):
        artifex.core.errors.DataError: there is no folder nowhere; give ProteinDataset the one that holds PDB or mmCIF files
    """

    def __init__(self, config: ProteinDatasetConfig | None = None, data_dir: str | Path | None = None) -> None:
        config = ProteinDatasetConfig() if config is None else config
        if data_dir is None and config.data_dir is None:
            raise InvalidInputError("no folder is named: set data_dir to the one that holds PDB or mmCIF files")
        self.config = config if data_dir is None else config.replace(data_dir=Path(data_dir))

    def __len__(self) -> int:
        return len(self.proteins)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """One example, of all splits in the order of file names."""
        return {key: value[0] for key, value in self._packed([self.proteins[index]]).items()}

    @property
    def proteins(self) -> tuple[Protein, ...]:
        """All examples, in the order of file names."""
        return self._read[0]

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Files and chains that were left out."""
        return self._read[1]

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, and ``test`` and ``validation`` where there are enough files to hold some out."""
        return tuple(split for split in SPLITS if len(self._places[split]))

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """One split.

        Raises:
            InvalidInputError: there is no such split.
            DataError: there is no such folder, or nothing in it can be used.
        """
        require_split(split, self.splits, self.config.data_dir)
        return self._packed([self.proteins[i] for i in self._places[split]])

    def split(self, split: str) -> list[Protein]:
        """One split as proteins; arguments as of :meth:`arrays`."""
        return [self.proteins[i] for i in self._places[split]]

    def _packed(self, proteins: list[Protein]) -> dict[str, np.ndarray]:
        config = self.config
        if config.representation in ("sequence", "secondary"):
            letters = [letters_of(protein, config.representation) for protein in proteins]
            arrays = packed_tokens(letters, config.representation, config.max_seq_length)
        else:
            arrays = packed(proteins, config.atoms, config.max_seq_length)
        if not config.residue_types:
            del arrays["residue_type"]
        if config.bucket_step is not None:
            lengths = arrays["mask"].sum(axis=1)
            rounded = -(-lengths // config.bucket_step) * config.bucket_step
            arrays["bucket"] = np.minimum(rounded, config.max_seq_length).astype(np.int32)
        return arrays

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Which examples each split has: the files in the order of their checksums, test and validation first."""
        origins = [_origin(protein) for protein in self.proteins]
        ordered = sorted(set(origins), key=_checksum)
        held = round(self.config.held_out * len(ordered))
        split_of = {o: "test" if i < held else "validation" if i < 2 * held else "train" for i, o in enumerate(ordered)}
        places: dict[str, list[int]] = {split: [] for split in SPLITS}
        for i, origin in enumerate(origins):
            places[split_of[origin]].append(i)
        return places

    @cached_property
    def _read(self) -> tuple[tuple[Protein, ...], tuple[Skipped, ...]]:
        folder = Path(self.config.data_dir or "").expanduser()
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}; give ProteinDataset the one that holds PDB or mmCIF files")
        suffixes = SUFFIXES + (FASTA if self.config.representation == "sequence" else ())
        files = sorted(path for path in folder.rglob("*") if path.name.lower().endswith(suffixes) and path.is_file())
        if not files:
            raise DataError(f"{folder} holds no structures; files are expected to end in {', '.join(suffixes)}")
        found: list[Protein] = []
        skipped: list[Skipped] = []
        for file in files:
            try:
                chains = read_sequences(file) if is_fasta(file) else read_proteins(file, naming=self.config.naming)
            except DataError as error:
                skipped.append(Skipped(file, str(error)))
                continue
            for protein in chains if self.config.example == "chain" else [joined(chains)]:
                kept = self._usable(protein)
                found.append(kept) if isinstance(kept, Protein) else skipped.append(Skipped(file, kept))
        if not found:
            raise DataError(f"none of the {len(files)} files in {folder} can be used; the first: {skipped[0].reason}")
        if skipped:
            warnings.warn(
                f"{len(skipped)} files or chains in {folder} were left out; the first: {skipped[0].reason}",
                RunWarning,
                stacklevel=3,
            )
        return tuple(found), tuple(skipped)

    def _usable(self, protein: Protein) -> Protein | str:
        """The example that this chain makes, or why it makes none."""
        config, whole = self.config, self._complete(protein)
        which = f"{protein.source}, chain {' '.join(protein.chain_names)}"
        if len(whole) < config.min_seq_length:
            alpha = int(protein.has("CA").sum())
            fix = ""
            if config.representation != "sequence" and config.atoms != "alpha" and alpha >= config.min_seq_length:
                other = "" if config.representation == "coordinates" else "representation: coordinates and "
                fix = f"; they have alpha carbons: set {other}atoms: alpha"
            return (
                f"{which}: {len(whole)} of {len(protein)} residues are complete, min_seq_length is {config.min_seq_length}{fix}"
            )
        if len(whole) > config.max_seq_length:
            if config.longer == "skip":
                return (
                    f"{which}: {len(whole)} residues, max_seq_length is {config.max_seq_length}; raise it, or set longer: cut"
                )
            whole = whole.select(np.arange(config.max_seq_length))
        return whole

    def _complete(self, protein: Protein) -> Protein:
        """The residues that can stand in an example: for a sequence all of them, for secondary structure those with a CA."""
        representation = self.config.representation
        if representation == "sequence":
            return protein
        whole = complete(protein, "alpha" if representation == "secondary" else self.config.atoms)
        return whole.select(has_frame(whole.positions)) if representation in ("frames", "dihedrals") else whole


def _checksum(origin: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\0".join([Path(origin[0]).name, *origin[1:]]).encode()).digest()


def _origin(protein: Protein) -> tuple[str, ...]:
    """What is held out as one: a file; a sequence of a FASTA file, which may be the only file there is."""
    return (str(protein.source), *protein.chain_names) if is_fasta(str(protein.source)) else (str(protein.source),)
