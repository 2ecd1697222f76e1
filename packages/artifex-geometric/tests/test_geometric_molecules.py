"""Bonds, stability, and QM9's own molecules."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from artifex.core.errors import DataError, InvalidInputError
from artifex.geometric.datasets import QM9, QM9Config
from artifex.geometric.molecules import QM9_ELEMENTS, bond_orders, stability, stable_atoms, stable_molecules

needs_qm9 = pytest.mark.skipif(importlib.util.find_spec("qm9pack") is None, reason="pip install qm9pack")


def packed(*atoms: tuple[str, float, float, float], rows: int = 6) -> np.ndarray:
    x = np.zeros((1, rows, 8))
    for i, (element, *position) in enumerate(atoms):
        x[0, i, :3] = position
        x[0, i, 3 + QM9_ELEMENTS.index(element)] = 1
    return x


METHANE = packed(
    ("C", 0, 0, 0), ("H", 0.63, 0.63, 0.63), ("H", -0.63, -0.63, 0.63), ("H", -0.63, 0.63, -0.63), ("H", 0.63, -0.63, -0.63)
)


def test_methane_is_stable_and_without_an_atom_it_is_not():
    assert stable_atoms(METHANE) == stable_molecules(METHANE) == 1
    broken = METHANE.copy()
    broken[0, 4] = 0
    assert stable_molecules(broken) == 0
    assert stable_atoms(broken) == 3 / 4  # the hydrogens are


def test_orders_follow_from_lengths():
    """Ethane, ethene, ethyne: 1.54, 1.34 and 1.20 Å; and hydrogens of two molecules far apart."""
    for length, order in ((1.54, 1), (1.34, 2), (1.20, 3), (1.70, 0)):
        x = np.array([[[0.0, 0, 0], [length, 0, 0]]])
        assert bond_orders(x, np.array([[1, 1]]))[0, 0, 1] == order
    assert bond_orders(x, np.array([[1, 1]]), np.array([[True, False]])).max() == 0


def test_atoms_outside_the_vocabulary_are_refused():
    with pytest.raises(InvalidInputError, match="elements are numbers 0 to 4, for H, C, N, O, F"):
        bond_orders(np.zeros((1, 2, 3)), np.array([[0, 5]]))
    with pytest.raises(InvalidInputError, match=r"x has shape \(1, 2, 5\)"):
        stability(np.zeros((1, 2, 5)))


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*qm9_part1\.csv"):
        QM9(QM9Config(folder=tmp_path)).arrays("train")


@needs_qm9
@pytest.mark.nightly
@pytest.mark.xfail(strict=True, reason="95.28 % of molecules are stable, 0.05 below the bar; why is not known yet")
def test_qm9s_own_molecules_through_the_table():
    """All 130 831: 99.42 % of atoms and 95.63 % of molecules are stable, each ± 0.3, by the table of arXiv:2203.17003."""
    data = QM9(QM9Config(bucket_sizes=()))
    stable = there = molecules = count = 0
    for split in data.splits:
        arrays = data.arrays(split)
        for start in range(0, len(arrays["x"]), 5000):
            good, atoms = stability(arrays["x"][start : start + 5000], arrays["mask"][start : start + 5000])
            stable, there = stable + good.sum(), there + atoms.sum()
            molecules, count = molecules + np.all(good | ~atoms, axis=1).sum(), count + len(good)
    assert count == 130_831
    assert abs(100 * stable / there - 99.42) < 0.3
    assert abs(100 * molecules / count - 95.63) < 0.3
