"""What two distributions say alike, because neither imports the other: EDM's bonds, and the backbones of structure files."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from artifex.geometric import molecules
from artifex.geometric.datasets import Backbones, BackbonesConfig
from artifex.modalities.molecular import elements
from artifex.modalities.protein import write_proteins
from artifex.modalities.protein.datasets import ProteinDataset, ProteinDatasetConfig, ProteinFolds, ProteinFoldsConfig


def test_bonds_told_from_distances() -> None:
    assert molecules.QM9_ELEMENTS == elements.ELEMENTS
    assert_array_equal(molecules.VALENCES, elements.VALENCES)
    apart = np.arange(0.5, 2.0, 0.005)
    positions = np.stack([np.zeros((len(apart), 3)), apart[:, None] * [1.0, 0.0, 0.0]], axis=1)
    for pair in product(range(5), repeat=2):
        both = molecules.bond_orders(positions, np.broadcast_to(pair, (len(apart), 2)))
        assert_array_equal(both, [elements.bond_orders(x, np.array(pair)) for x in positions])


def test_backbones_of_files(tmp_path: Path) -> None:
    made = ProteinFolds(ProteinFoldsConfig(n_train=5, n_held_out=1, min_seq_length=20)).split("train")
    for number, protein in enumerate(made):
        gap = np.delete(np.arange(len(protein)), np.s_[8 : 8 + number])  # the last four miss residues
        write_proteins(protein.select(gap), tmp_path / f"{number}.pdb")
    ours = ProteinDataset(ProteinDatasetConfig(max_seq_length=64, held_out=0.0), data_dir=tmp_path).arrays("train")
    theirs = Backbones(BackbonesConfig(folder=tmp_path, max_residues=64, min_residues=8, held_out=0.0)).arrays("train")
    one, other = (np.argsort(arrays["x"][:, 0, 0, 0]) for arrays in (ours, theirs))
    for key in ("mask", "residue_index", "x"):
        assert_allclose(ours[key][one], theirs[key][other], atol=1e-5, err_msg=key)
