"""Bonds, stability, and QM9's own molecules."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import DataError, InvalidInputError
from artifex.geometric import EquivariantDiffusion, EquivariantDiffusionConfig, molecules
from artifex.geometric.datasets import QM9, QM9Config
from artifex.geometric.molecules import (
    QM9_ELEMENTS,
    bond_orders,
    stability,
    stable_atoms,
    stable_molecules,
    to_rdkit,
    valid_molecules,
)

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
    for x, elements in ((np.zeros((1, 3, 3)), [[0, 1]]), (np.zeros((2, 3)), [0, 1])):
        with pytest.raises(InvalidInputError, match=r"they are \(B, N, 3\), \(B, N\) and \(B, N\)"):
            bond_orders(x, np.array(elements))
    with pytest.raises(InvalidInputError, match="elements are float64; give whole numbers"):
        bond_orders(np.zeros((1, 2, 3)), np.zeros((1, 2)))
    with pytest.raises(InvalidInputError, match=r"x has shape \(1, 2, 5\)"):
        stability(np.zeros((1, 2, 5)))
    with pytest.raises(InvalidInputError, match=r"the mask has shape \(1, 3\) and x \(1, 2, 8\)"):
        stability(np.zeros((1, 2, 8)), np.ones((1, 3), bool))


@pytest.mark.parametrize(
    "types", [(0, 0, 0, 0, 0), (0.5, 0.5, 0.5, 0.5, 0.5), (1, 1, 0, 0, 0), (7, 0, 0, 0, 0), (1, -1, 0, 0, 0)]
)
def test_a_row_without_one_element_is_no_hydrogen(types: tuple[float, ...]):
    """Two such rows 0.74 Å apart, in the second molecule; nothing is taken for the element of the largest column."""
    x = np.concatenate([METHANE, METHANE])
    x[1, :, 3:] = 0
    x[1, 1, :3] = x[1, 0, :3] + [0.74, 0, 0]
    x[1, :2, 3:] = types
    mask = np.arange(6) < np.array([[5], [2]])
    said = r"2 rows are no atom of one element, the first row 0 of molecule 1, whose types are .* one of H, C, N, O, F"
    for counted in (stability, to_rdkit):
        if counted is to_rdkit:
            pytest.importorskip("rdkit")
        with pytest.raises(InvalidInputError, match=said):
            counted(x, mask)
    if any(types):  # without a mask a row of zeros is padding
        with pytest.raises(InvalidInputError, match=said):
            stability(x)
    else:
        assert stability(x)[1].sum() == 5


def test_what_samplers_give_is_taken():
    """One hot in columns after the coordinates, zeros behind the last atom, charges behind the types; any type of number."""
    config = EquivariantDiffusionConfig(
        max_points=4,
        n_types=5,
        n_integers=1,
        size_counts=(0, 1, 1),
        network={"kind": "egnn", "features": 4, "layers": 1},
        timesteps=2,
    )
    model = EquivariantDiffusion(config, rngs=nnx.Rngs(0))
    x, mask = (np.asarray(made) for made in model.sample_sets(6))
    for given in (x, x.astype(np.float16)):
        _, there = stability(given)
        assert (there == mask).all()
        assert (stability(given, mask)[1] == mask).all()
    # a run that diverged has positions that are no numbers, and types still
    assert not stability(np.where(np.arange(9) < 3, np.nan, x), mask)[0].any()


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*qm9_part1\.csv"):
        QM9(QM9Config(folder=tmp_path)).arrays("train")


def order_by_the_table(one: str, other: str, distance: float) -> int:
    """The bond of two atoms, Å, as arXiv:2203.17003, appendix E, goes about it: single first, then double, then triple."""
    pair, length = "".join(sorted(one + other, key=QM9_ELEMENTS.index)), 100 * distance
    if length >= molecules.SINGLE[pair] + 10:
        return 0
    if pair not in molecules.DOUBLE or length >= molecules.DOUBLE[pair] + 5:
        return 1
    return 3 if pair in molecules.TRIPLE and length < molecules.TRIPLE[pair] + 3 else 2


def test_orders_of_every_pair_at_every_length():
    """Of the 25 pairs of elements, from 0.7 to 1.7 Å; the table has no double bond of hydrogen or fluorine."""
    lengths = np.arange(0.7005, 1.7, 0.005)
    positions = np.zeros((len(lengths), 2, 3))
    positions[:, 1, 2] = lengths
    seen = set()
    for i, one in enumerate(QM9_ELEMENTS):
        for j, other in enumerate(QM9_ELEMENTS):
            found = bond_orders(positions, np.broadcast_to([i, j], (len(lengths), 2)))
            wanted = [order_by_the_table(one, other, length) for length in lengths]
            assert found[:, 0, 1].tolist() == found[:, 1, 0].tolist() == wanted
            seen |= {(one, other, order) for order in wanted}
    assert {order for one, other, order in seen if "H" in (one, other) or "F" in (one, other)} == {0, 1}
    assert ("N", "N", 3) in seen
    assert ("O", "O", 3) not in seen


def test_no_atom_is_no_molecule():
    """Rows of zeros, as a padded sample may have, are not counted as stable or valid."""
    both = np.concatenate([METHANE, np.zeros_like(METHANE)])
    assert stable_molecules(both) == 0.5
    assert stable_atoms(both) == 1
    assert stable_molecules(np.where(METHANE > 1e9, METHANE, np.nan * METHANE)) == 0  # nor positions that are no numbers


def test_rdkit_takes_the_bonds_or_does_not():
    pytest.importorskip("rdkit")
    chem = pytest.importorskip("rdkit.Chem")
    crowded = METHANE.copy()
    crowded[0, 5, :3], crowded[0, 5, 3] = (0.0, 0.0, 1.09), 1  # a fifth hydrogen
    both = np.concatenate([METHANE, crowded, np.zeros_like(METHANE)])
    made = to_rdkit(both)
    assert [molecule is None for molecule in made] == [False, True, True]
    assert chem.MolToSmiles(chem.RemoveHs(made[0])) == "C"
    assert np.allclose(made[0].GetConformer().GetPositions(), METHANE[0, :5, :3])
    assert valid_molecules(both) == pytest.approx(1 / 3)


@pytest.fixture(scope="module")
def of_qm9() -> dict[str, np.ndarray]:
    """Of all 130 831 molecules: atoms, stable atoms, whether it is stable, whether it is valid."""
    pytest.importorskip("rdkit")
    data, found = QM9(QM9Config(bucket_sizes=())), []
    for split in data.splits:
        arrays = data.arrays(split)
        for start in range(0, len(arrays["x"]), 5000):
            x, mask = (arrays[key][start : start + 5000] for key in ("x", "mask"))
            good, atoms = stability(x, mask)
            valid = [molecule is not None for molecule in to_rdkit(x, mask)]
            found.append(np.stack([atoms.sum(1), good.sum(1), np.all(good | ~atoms, axis=1), valid]))
    return dict(zip(("atoms", "good", "stable", "valid"), np.concatenate(found, axis=1), strict=True))


@needs_qm9
@pytest.mark.nightly
def test_qm9s_own_molecules_through_the_table(of_qm9: dict[str, np.ndarray]):
    """All 130 831. The bars: 99.42 % of atoms stable, 97.83 % of molecules valid, ± 0.3.

    Of molecules, arXiv:2203.17003 prints 95.2 % stable and 97.7 % valid in its rows of data, over splits of a few ten thousand:
    0.15 is two standard errors of 13 083 molecules, and half a printed digit.
    """
    assert len(of_qm9["atoms"]) == 130_831
    atoms = 100 * of_qm9["good"].sum() / of_qm9["atoms"].sum()
    stable, valid = (100 * of_qm9[name].mean() for name in ("stable", "valid"))
    assert abs(atoms - 99.42) < 0.3
    assert abs(valid - 97.83) < 0.3
    assert abs(stable - 95.2) < 0.15
    assert abs(valid - 97.7) < 0.15


@needs_qm9
@pytest.mark.nightly
@pytest.mark.xfail(
    strict=True, reason="95.28 % are; a bar of 95.63 is that of no split, and one standard error of a few thousand"
)
def test_qm9s_stable_molecules_are_as_many_as_the_bar_says(of_qm9: dict[str, np.ndarray]):
    """95.63 % ± 0.3: missed by 0.05.

    With the table, margins and valences of EDM's own program: 95.28 % of all molecules, 95.29, 95.22 and 95.22 % of its splits;
    93.7, 98.3 and 93.8 % of the three files. The paper prints 95.2.
    """
    assert abs(100 * of_qm9["stable"].mean() - 95.63) < 0.3
