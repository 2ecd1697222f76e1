"""Counts of one structure beside plain NumPy, in 1 000 random chains: bonds, angles, regions of dihedrals, clashes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from artifex.modalities.protein import Protein, metrics
from artifex.modalities.protein.datasets import ProteinFolds, ProteinFoldsConfig
from artifex.modalities.protein.residues import ATOMS, RESIDUE_ATOMS, RESIDUES
from artifex.modalities.protein.soundness import coarse_ramachandran_region, heavy_atom_clashes

CYS, GLY, PRO = (RESIDUES.index(name) for name in ("CYS", "GLY", "PRO"))
N, CA, C, O = range(4)


def random_chains(count: int, *, side_chains: bool = False) -> Iterator[Protein]:
    """Stretches of made folds with noise: breaks, several chains, missing atoms, and much glycine, proline and cysteine.

    Side chains are clouds about their alpha carbon.
    """
    rng = np.random.default_rng(3)
    folds = ProteinFolds(ProteinFoldsConfig(n_train=12, n_held_out=1)).split("train")
    for _ in range(count):
        base = folds[rng.integers(len(folds))].positions
        n = int(rng.integers(1, 7 if side_chains else 15))
        start = rng.integers(len(base) - n + 1)
        kinds = rng.choice([*range(21), *[CYS, GLY, PRO] * 5], n)
        x, there = np.zeros((n, 37, 3)), np.zeros((n, 37), bool)
        x[:, :4] = base[start : start + n, :4] + rng.choice([0.02, 0.05, 0.2]) * rng.standard_normal((n, 4, 3))
        there[:, :4] = rng.random((n, 4)) < 0.95
        for row, kind in enumerate(kinds if side_chains else ()):
            columns = [ATOMS.index(name) for name in (*RESIDUE_ATOMS.get(RESIDUES[kind % 20], ()), "OXT")[4:]]
            x[row, columns] = x[row, CA] + 1.5 * rng.standard_normal((len(columns), 3))
            there[row, columns] = rng.random(len(columns)) < 0.9
        index, chain = (
            np.cumsum(np.where(rng.random(n) < share, step, one)) for share, step, one in ((0.1, 3, 1), (0.1, 1, 0))
        )
        yield Protein.from_positions(x, residue_type=kinds, residue_index=index, chain=chain, atom_mask=there)


def follows(protein: Protein, row: int) -> bool:
    """Whether the next residue is bound to this one."""
    after = row + 1
    same = after < len(protein) and protein.chain[after] == protein.chain[row]
    return bool(same and protein.residue_index[after] == protein.residue_index[row] + 1)


def bonds(protein: Protein) -> Iterator[tuple[float, float, float]]:
    """Length, mean and deviation of each; numbers of Engh and Huber 2001."""
    x, there, kinds = protein.positions, protein.atom_mask, protein.residue_type
    for i, kind in enumerate(kinds):
        bound = [((i, N), (i, CA), {GLY: (1.456, 0.015), PRO: (1.468, 0.017)}.get(kind, (1.459, 0.020)))]
        bound += [((i, CA), (i, C), {GLY: (1.514, 0.016), PRO: (1.524, 0.020)}.get(kind, (1.525, 0.026)))]
        bound += [((i, C), (i, O), (1.229, 0.019))]
        if follows(protein, i):
            bound += [((i, C), (i + 1, N), (1.341, 0.016) if kinds[i + 1] == PRO else (1.329, 0.014))]
        yield from ((np.linalg.norm(x[a] - x[b]), *ideal) for a, b, ideal in bound if there[a] and there[b])


def angles(protein: Protein) -> Iterator[tuple[float, float, float]]:
    """Likewise, in degrees."""
    x, there = protein.positions, protein.atom_mask
    for i, kind in enumerate(protein.residue_type):
        bent = [((i, N), (i, CA), (i, C), {GLY: (113.1, 2.5), PRO: (112.1, 2.6)}.get(kind, (111.0, 2.7)))]
        bent += [((i, CA), (i, C), (i, O), (120.1, 2.1))]
        if follows(protein, i):
            bent += [((i, CA), (i, C), (i + 1, N), (116.6, 2.0)), ((i, C), (i + 1, N), (i + 1, CA), (121.4, 2.3))]
        for a, b, c, ideal in bent:
            if there[a] and there[b] and there[c]:
                u, v = x[a] - x[b], x[c] - x[b]
                yield np.rad2deg(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))), *ideal


def test_sound_bonds_and_angles_are_those_of_a_plain_loop():
    """In float32 coordinates of 60 Å are off by 4e-6 Å, which is under 1e-3 of the smallest deviation."""
    chains = list(random_chains(1000))
    for metric, measured in ((metrics.sound_bonds, bonds), (metrics.sound_angles, angles)):
        found = metric.statistics({"samples": chains})
        shares = []
        for row, protein in zip(found, chains, strict=True):
            values, means, sigmas = np.array([*measured(protein)]).reshape(-1, 3).T
            off = np.abs(values - means) / sigmas
            assert row[1] == len(off)
            assert np.sum(off <= 4 - 1e-3) <= row[0] <= np.sum(off <= 4 + 1e-3)
            shares.append(np.mean(off <= 4) if len(off) else np.nan)
        assert 0.3 < np.nanmean(shares) < 0.95  # both outcomes occur


def region(phi: float, psi: float) -> str:
    if -160 <= phi <= -30 and -90 <= psi <= 45:
        return "alpha"
    if (-180 <= phi <= -40 and (psi >= 45 or psi <= -120)) or (phi >= 160 and psi >= 90):
        return "beta"
    return "left" if 30 <= phi <= 100 and -20 <= psi <= 100 else "outlier"


def test_coarse_regions_are_those_of_plain_conditions():
    """1 000 random pairs of angles, and every corner of every region, from either side."""
    rng = np.random.default_rng(0)
    edges = [-180, -160, -120, -90, -40, -30, -20, 30, 45, 90, 100, 160, 180]
    near = np.array([edge + step for edge in edges for step in (-0.01, 0.01) if abs(edge + step) <= 180])
    corners = np.stack(np.meshgrid(near, near)).reshape(2, -1)
    phi, psi = np.concatenate([rng.uniform(-180, 180, (2, 1000)), corners], axis=1)
    found = coarse_ramachandran_region(np.deg2rad(phi), np.deg2rad(psi))
    assert found == [region(a, b) for a, b in zip(phi, psi, strict=True)]
    assert set(found) == {"alpha", "beta", "left", "outlier"}


def test_residues_in_coarse_regions_are_counted_by_biotites_dihedrals():
    from biotite.structure import dihedral

    chains = list(random_chains(1000))
    found = metrics.coarse_ramachandran.statistics({"samples": chains})
    counted = 0
    for row, protein in zip(found, chains, strict=True):
        x, whole = protein.positions, protein.has("N", "CA", "C")
        inner = [i for i in range(1, len(protein) - 1) if follows(protein, i - 1) and follows(protein, i)]
        inner = [i for i in inner if whole[i - 1 : i + 2].all() and protein.residue_type[i] != GLY]
        phi = [np.rad2deg(dihedral(x[i - 1, C], x[i, N], x[i, CA], x[i, C])) for i in inner]
        psi = [np.rad2deg(dihedral(x[i, N], x[i, CA], x[i, C], x[i + 1, N])) for i in inner]
        assert_array_equal(row, [sum(region(a, b) != "outlier" for a, b in zip(phi, psi, strict=True)), len(inner), 1, 1])
        counted += len(inner)
    assert counted > 1000


NEAR = ("N", "CA", "C", "O", "OXT", "CB", "CG", "CD")
"""Atoms that three bonds can lead to from another residue."""


def bonds_apart(protein: Protein) -> np.ndarray:
    """True ``(L, 37, L, 37)`` where atoms are three bonds apart or fewer, but for side chains: powers of the graph of bonds."""
    n, at = len(protein), {name: column for column, name in enumerate(NEAR)}
    graph = np.zeros((n, len(NEAR), n, len(NEAR)))
    for i, kind in enumerate(protein.residue_type):
        pairs = [("N", "CA"), ("CA", "C"), ("C", "O"), ("C", "OXT"), ("CA", "CB")]
        pairs += [("CB", "CG"), ("CG", "CD"), ("CD", "N")] if kind == PRO else []
        joined = [(i, at[a], i, at[b]) for a, b in pairs]
        for a, b, c, d in joined + ([(i, at["C"], i + 1, at["N"])] if follows(protein, i) else []):
            graph[a, b, c, d] = graph[c, d, a, b] = 1
    flat = np.eye(n * len(NEAR)) + graph.reshape(2 * (n * len(NEAR),))
    found, columns = np.zeros((n, 37, n, 37), bool), [ATOMS.index(name) for name in NEAR]
    found[np.ix_(range(n), columns, range(n), columns)] = np.linalg.matrix_power(flat, 3).reshape(graph.shape) > 0
    return found


def test_clashes_of_all_atoms_are_those_of_a_graph_of_bonds():
    """Radii of Bondi 1964; 0.4 Å; two SG within 2.5 Å are a bridge."""
    radius = np.array([{"C": 1.70, "N": 1.55, "O": 1.52, "S": 1.80}[name[0]] for name in ATOMS])
    bridges = number = 0
    for protein in random_chains(1000, side_chains=True):
        atoms = np.flatnonzero(protein.atom_mask.reshape(-1))
        rows, columns = np.divmod(atoms, 37)
        x = protein.positions.reshape(-1, 3)[atoms]
        apart = np.linalg.norm(x[:, None] - x[None], axis=-1)
        near = (apart <= radius[columns][:, None] + radius[columns][None] - 0.4) & (rows[:, None] < rows[None])
        near &= ~bonds_apart(protein)[rows[:, None], columns[:, None], rows, columns]
        sulphur = columns == ATOMS.index("SG")
        bridge = sulphur[:, None] & sulphur[None] & (apart < 2.5)
        wanted = {(rows[i], ATOMS[columns[i]], rows[j], ATOMS[columns[j]]) for i, j in np.argwhere(near & ~bridge)}
        found = heavy_atom_clashes(protein)
        assert {clash[:4] for clash in found} == wanted
        assert len(found) == len(wanted)
        (row,) = metrics.clash_score.statistics({"samples": [protein]})
        assert_allclose(row, [len(wanted), len(atoms) / 1000, 1, 1])
        bridges, number = bridges + np.sum(near & bridge), number + len(wanted)
    assert number > 10_000
    assert bridges
