"""Metrics beside biotite, tmtools, and plain loops; edges; and the same figure however a batch is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core import plugins
from artifex.core.errors import InvalidInputError
from artifex.core.metrics import StreamedMetric
from artifex.core.plugins import resolve
from artifex.core.testing.metrics import check_invariance
from artifex.modalities.protein import Protein, gdt_ts, lddt, metrics, rmsd, similarity, tm_score
from artifex.modalities.protein.datasets import ProteinFolds, ProteinFoldsConfig
from artifex.modalities.protein.soundness import coarse_ramachandran_region, heavy_atom_clashes
from artifex.modalities.protein.superposition import superimpose

CASES = 1000
REGISTERED = {
    entry.name: entry
    for entry, plugin in plugins.registry().entries("metric")
    if plugin.distribution.endswith("-protein") and "coordinates" in entry.representations
}
PAIRS = [entry for entry in REGISTERED.values() if entry.compares == "pairs"]
LONE = [entry for entry in REGISTERED.values() if entry.compares == "samples"]


def folds(n: int, seed: int = 0) -> list[Protein]:
    return ProteinFolds(ProteinFoldsConfig(n_train=n, n_held_out=1, seed=seed)).split("train")


def random_pairs(count: int):
    """Chains of 3 to 60 points, and noisy, turned, shifted copies of them."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        n = int(rng.integers(3, 60))
        y = np.cumsum(rng.standard_normal((n, 3)) * 2.2, axis=0) + rng.uniform(-50, 50, 3)
        turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        turn *= np.sign(np.linalg.det(turn))
        x = (y + rng.exponential(1.0) * rng.standard_normal((n, 3))) @ turn.T + rng.uniform(-50, 50, 3)
        yield x, y


def test_rmsd_is_biotites():
    import biotite.structure as struc

    for x, y in random_pairs(CASES):
        fitted, _ = struc.superimpose(y, x)
        assert_allclose(rmsd(x, y), struc.rmsd(y, fitted), rtol=1e-6, atol=2e-5)  # biotite turns in float32
        assert_allclose(rmsd(x, y, superimposed=False), struc.rmsd(y, x), rtol=1e-6)


def test_rmsd_is_scipys():
    """In float64, to 1e-6: SciPy's alignment of vectors."""
    from scipy.spatial.transform import Rotation

    for x, y in random_pairs(CASES):
        _, distance = Rotation.align_vectors(y - y.mean(axis=0), x - x.mean(axis=0))
        assert_allclose(rmsd(x, y), distance / np.sqrt(len(x)), atol=1e-6)


def test_lddt_is_biotites():
    import biotite.structure as struc

    for x, y in random_pairs(CASES):
        atoms = struc.AtomArray(len(y))
        atoms.coord = y.astype(np.float32)
        atoms.res_id = np.arange(len(y)) // 2
        x32, y32 = x.astype(np.float32), y.astype(np.float32)
        wanted = float(struc.lddt(atoms, x32))
        own = lddt(x32, y32, residues=atoms.res_id)
        if abs(own - wanted) > 1e-6:  # a distance that float32 and float64 see on either side of a threshold
            assert_allclose(own, wanted, atol=2.0 / max(1, len(y)))
            assert near_a_threshold(x32, y32)


def near_a_threshold(x: np.ndarray, y: np.ndarray) -> bool:
    own, true = (np.linalg.norm(a.astype(float)[:, None] - a.astype(float)[None], axis=-1) for a in (x, y))
    off = np.abs(own - true)
    gaps = [np.abs(off - c).min() for c in similarity.LDDT_CUTOFFS] + [np.abs(true - 15.0).min()]
    return min(gaps) < 1e-4


def test_tm_score_as_placed_is_biotites():
    import biotite.structure as struc

    for x, y in random_pairs(CASES):
        index = np.arange(len(y))
        atoms = struc.AtomArray(len(y))
        atoms.coord, atoms.res_name[:], atoms.atom_name[:], atoms.res_id = y, "ALA", "CA", index + 1
        moved = atoms.copy()
        moved.coord = x
        x, y = moved.coord.astype(float), atoms.coord.astype(float)  # biotite keeps float32
        for length in (len(y), 25, 200):
            wanted = struc.tm_score(atoms, moved, index, index, reference_length=length)
            assert_allclose(tm_score(x, y, length=length, superimposed=False), wanted, atol=1e-6)
    for x, y in random_pairs(100):
        assert tm_score(x, y) >= tm_score(superimpose(x, y), y, superimposed=False) - 1e-9


def turned(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return x @ (turn * np.sign(np.linalg.det(turn))).T + rng.uniform(-30, 30, 3)


def perturbed(y: np.ndarray, others: list[Protein], rng: np.random.Generator):
    """Noise; a hinge; residues left out, without and with noise; another chain."""
    n = len(y)
    start = int(rng.integers(3, n - 8))
    gap = np.delete(y, np.s_[start : start + rng.integers(1, 6)], axis=0)
    hinge = np.concatenate([y[: n // 2], turned(y[n // 2 :], rng)])
    first, second = rng.choice([0.3, 1.0, 2.0, 3.0], (2, 1, 1)) * rng.standard_normal((2, n, 3))
    yield from (y + first, hinge, gap, gap + second[: len(gap)], others[rng.integers(len(others))].atom("CA"))


@pytest.mark.parametrize("chains", [20, 200])
@pytest.mark.daily("20")
def test_tm_score_is_at_least_tmtools_on_the_pairs_that_it_chooses(chains: int):
    """tmtools also looks for the alignment; on its pairs of residues, gaps among them, ours is at least its score - 0.01."""
    tmtools = pytest.importorskip("tmtools")
    rng, gapped = np.random.default_rng(1), 0
    made = ProteinFolds(ProteinFoldsConfig(n_train=chains, n_held_out=1, min_seq_length=20, max_seq_length=80)).split("train")
    for protein in made:
        y = protein.atom("CA")
        for given in perturbed(y, made, rng):  # five
            x = turned(given, rng)
            found = tmtools.tm_align(x, y, "A" * len(x), "A" * len(y))
            own, other = (np.array([letter != "-" for letter in text]) for text in (found.seqxA, found.seqyA))
            both = own & other
            rows, columns = np.cumsum(own)[both] - 1, np.cumsum(other)[both] - 1
            assert tm_score(x[rows], y[columns], length=len(y)) >= found.tm_norm_chain2 - 0.01
            gapped += not both.all()
    assert gapped > 2.5 * chains


def test_gdt_ts_of_what_can_be_counted_by_hand():
    y = np.stack([np.arange(4) * 3.8, np.zeros(4), np.zeros(4)], axis=1)
    x = y + np.array([[0, 0.5, 0], [0, 1.5, 0], [0, 3.0, 0], [0, 20.0, 0]])
    assert gdt_ts(x, y, superimposed=False) == np.mean([1 / 4, 2 / 4, 3 / 4, 3 / 4])
    for a, b in random_pairs(50):
        fitted = superimpose(a, b)
        assert gdt_ts(a, b) >= gdt_ts(fitted, b, superimposed=False) - 1e-12


@pytest.mark.parametrize("first", [12, 20, 25])
def test_gdt_ts_of_two_rigid_halves_is_the_share_of_the_larger(first: int):
    """The smaller half flies 100 Å away: nothing lays both halves, and one of them lies exactly."""
    rng = np.random.default_rng(first)
    y = folds(1)[0].select(range(30 if first < 25 else 28)).atom("CA")
    x = turned(y + 100.0 * (np.arange(len(y)) >= first)[:, None], rng)
    assert_allclose(gdt_ts(x, y), max(first, len(y) - first) / len(y), atol=1e-12)


def superimposed_by_biotite(x: np.ndarray, y: np.ndarray, subsets: np.ndarray) -> np.ndarray:
    """The largest share of points within each distance, of the superpositions of these subsets of points."""
    import biotite.structure as struc

    _, transform = struc.superimpose(y[subsets].astype(np.float32), x[subsets].astype(np.float32))
    placed = transform.apply(np.repeat(x[None].astype(np.float32), len(subsets), axis=0))
    apart = np.linalg.norm(placed - y, axis=-1)
    # float32 lays points of some 30 Å to some 1e-5; within the distance less a hair is within it
    return np.array([(apart <= cutoff - 1e-4).mean(axis=1).max() for cutoff in similarity.GDT_CUTOFFS])


@pytest.mark.parametrize("cases", [40, 1000])
@pytest.mark.daily("40")
def test_gdt_ts_finds_what_many_superpositions_find(cases: int):
    """There is no package of GDT: biotite lays every three, four and five points of short chains, and many of longer ones.

    Each superposition is a lower bound of the best, which a search may miss by little. Measured in 1 000 cases: at most two
    points of short chains, counted at all four distances, and 0.033 of longer ones.
    """
    rng, proteins = np.random.default_rng(0), folds(max(8, cases // 40))
    for _ in range(3 * cases // 4):
        n = int(rng.integers(8, 14))
        y = np.cumsum(2.2 * rng.standard_normal((n, 3)), axis=0)
        x = y + rng.exponential(2.0) * rng.standard_normal(y.shape)
        every = (np.array(list(itertools.combinations(range(n), k))) for k in (3, 4, 5))
        best = np.max([superimposed_by_biotite(x, y, subsets) for subsets in every], axis=0)
        assert gdt_ts(x, y) >= best.mean() - 2.01 / (4 * n)
    for i in range(cases // 4):
        y = proteins[i % len(proteins)].atom("CA")
        x = y + (0.5, 1.0, 2.0, 4.0)[i % 4] * rng.standard_normal(y.shape)
        subsets = [np.stack([rng.choice(len(y), k, replace=False) for _ in range(400)]) for k in (3, 5, 8)]
        best = np.max([superimposed_by_biotite(x, y, chosen) for chosen in subsets], axis=0)
        assert gdt_ts(x, y) >= best.mean() - 0.04


def laid_by_scipy(x: np.ndarray, y: np.ndarray, subset: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Distances of all points in the superposition of least squares of some."""
    from scipy.spatial.transform import Rotation

    centre, target = (np.average(a[subset], axis=0, weights=weights) for a in (x, y))
    turn, _ = Rotation.align_vectors(y[subset] - target, x[subset] - centre, weights=weights)
    return np.linalg.norm(turn.apply(x - centre) + target - y, axis=1)


def most_of_all_subsets(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Points within each distance, at most. To lay those that are within it again leads to a subset that has its turn."""
    subsets = [np.array(s) for k in range(3, len(x) + 1) for s in itertools.combinations(range(len(x)), k)]
    apart = np.stack([laid_by_scipy(x, y, subset) for subset in subsets])
    return np.array([(apart <= cutoff).sum(axis=1).max() for cutoff in similarity.GDT_CUTOFFS])


def short_pairs(count: int, shortest: int = 3, longest: int = 8):
    rng = np.random.default_rng(5)
    for _ in range(count):
        y = np.cumsum(2.2 * rng.standard_normal((int(rng.integers(shortest, longest + 1)), 3)), axis=0)
        yield y + rng.exponential(2.0) * rng.standard_normal(y.shape), y


@pytest.mark.parametrize("cases", [30, 1000])
@pytest.mark.daily("30")
def test_gdt_ts_of_short_chains_is_the_best_of_all_subsets(cases: int):
    """Of 3 to 8 residues, SciPy lays every three or more: among superpositions of least squares there is no better one."""
    for x, y in short_pairs(cases):
        assert_allclose(gdt_ts(x, y), most_of_all_subsets(x, y).mean() / len(x), atol=1e-12)


@pytest.mark.nightly
def test_gdt_ts_of_longer_chains_misses_little_of_all_subsets():
    """What gdt_ts says of itself: in 100 chains of 9 to 12 residues, never more than the best."""
    missed = np.array([most_of_all_subsets(x, y).mean() / len(x) - gdt_ts(x, y) for x, y in short_pairs(100, 9, 12)])
    assert missed.min() > -1e-12
    assert 0.005 < missed.mean() < 0.0125
    assert 0.2 < np.mean(missed > 1e-9) < 0.5


def least_largest_distance(x: np.ndarray, y: np.ndarray, subset: np.ndarray) -> float:
    """By Lawson's algorithm: weights grow where points are far, until the farthest are equally far."""
    weights, least = np.ones(len(subset)), np.inf
    for _ in range(60):
        try:
            apart = laid_by_scipy(x, y, subset, weights)[subset]
        except (ValueError, UserWarning):  # all weight is on one point or two
            break
        least = min(least, apart.max())
        weights = weights * np.maximum(apart, 1e-9)
        weights /= weights.sum()
    return least


@pytest.mark.nightly
def test_how_much_superpositions_of_least_squares_miss():
    """What gdt_ts says of itself: in 200 chains, points lie within a distance where their largest one can be made so small."""
    missed = []
    for x, y in short_pairs(200):
        most = most_of_all_subsets(x, y)
        for place, cutoff in enumerate(similarity.GDT_CUTOFFS):
            larger = True
            while larger and most[place] < len(x):
                subsets = itertools.combinations(range(len(x)), most[place] + 1)
                larger = any(least_largest_distance(x, y, np.array(subset)) <= cutoff for subset in subsets)
                most[place] += larger
        missed.append(most.mean() / len(x) - gdt_ts(x, y))
    assert 0.01 < np.mean(missed) < 0.03
    assert 0.1 < np.max(missed) < 0.2
    assert np.min(missed) > -1e-12


@pytest.mark.parametrize("figure", [rmsd, tm_score, gdt_ts, lddt, similarity.chirality_agreement])
def test_edges(figure):
    y = folds(1)[0].atom("CA")
    best = 0.0 if figure is rmsd else 1.0
    assert_allclose(figure(y, y), best, atol=1e-9)
    one = figure(y[:1] + 5.0, y[:1])
    assert np.isnan(one) if figure in (lddt, similarity.chirality_agreement) else one == best
    same = np.zeros((5, 3))  # all in one place
    assert_allclose(figure(same, same), best, atol=1e-9)
    for bad in (np.zeros((0, 3)), np.zeros((4, 2)), y[:-1]):
        with pytest.raises(InvalidInputError, match="two structures with the same atoms"):
            figure(bad, y if bad.shape[1:] == (3,) and len(bad) else bad)
    broken = y.copy()
    broken[2, 0] = np.nan  # on which tmtools never returns
    with pytest.raises(InvalidInputError, match="a coordinate is not finite"):
        figure(broken, y)


def test_a_mirror_image_keeps_its_lddt_and_loses_its_hand():
    y = folds(1)[0].atom("CA")
    mirrored = y * [1, 1, -1]
    assert lddt(mirrored, y) == 1.0
    assert similarity.chirality_agreement(mirrored, y) == 0.0
    assert tm_score(mirrored, y) < 0.9


def test_a_score_needs_a_length():
    with pytest.raises(InvalidInputError, match="length is 0"):
        tm_score(np.ones((3, 3)), np.ones((3, 3)), length=0)


def test_disulfide_bridges_are_no_clashes():
    x, mask = np.zeros((2, 37, 3)), np.zeros((2, 37), bool)
    x[1, 10] = [2.05, 0, 0]
    mask[:, 10] = True
    bridge = Protein.from_positions(x, atom_mask=mask, residue_index=np.array([0, 40]))
    assert heavy_atom_clashes(bridge) == []
    x[1, 10] = [2.8, 0, 0]
    assert len(heavy_atom_clashes(Protein.from_positions(x, atom_mask=mask, residue_index=np.array([0, 40])))) == 1


def test_coarse_regions_have_edges_that_belong_to_them():
    assert coarse_ramachandran_region(np.array([]), np.array([])) == []
    assert coarse_ramachandran_region(np.deg2rad([-160.0, 180.0]), np.deg2rad([-90.0, 180.0])) == ["alpha", "beta"]


N = 72
"""More than 64, and a multiple of eight devices."""


@pytest.fixture(scope="module")
def examples() -> dict:
    """Chains of 8 to 40 residues; of the samples a fifth are no structure."""
    rng = np.random.default_rng(7)
    references = folds(N, seed=4)
    samples = [
        Protein.from_positions(p.positions[:, :4] + 0.3 * rng.standard_normal((len(p), 4, 3))) if i % 5 else None
        for i, p in enumerate(references)
    ]
    return {"samples": samples, "references": references}


@pytest.mark.parametrize("name", REGISTERED)
def test_figures_depend_neither_on_batches_nor_on_devices(examples, name: str):
    entry = REGISTERED[name]
    metric, batch = resolve(entry.metric), {key: examples[key] for key in entry.needs}
    assert isinstance(metric, StreamedMetric)
    check_invariance(entry, batch)
    counts = np.random.default_rng(0).multinomial(N, np.full(N, 1 / N), size=3)
    resampled = metric.finalize(counts @ metric.statistics(batch))  # the bootstrap of an engine
    assert resampled.shape == (3,)
    assert np.isfinite(resampled).all()


@pytest.mark.parametrize("name", [entry.name for entry in PAIRS])
def test_a_sample_that_is_no_structure_is_the_worst_there_is(name: str):
    entry = REGISTERED[name]
    metric, references = resolve(entry.metric), folds(2)
    rows = metric.statistics({"samples": [None, references[1]], "references": references})
    assert rows[0, 0] == 0
    assert rows[0, 1] == (name != "protein_rmsd")
    with pytest.raises(InvalidInputError, match="is compared with a reference of"):
        metric.statistics({"samples": [references[0].select(range(5))], "references": references[:1]})
    with pytest.raises(InvalidInputError, match="2 samples and 1 references make no pairs"):
        metric.statistics({"samples": references, "references": references[:1]})
    with pytest.raises(InvalidInputError, match="reference 0 of the batch is no structure"):
        metric.statistics({"samples": references[:1], "references": [None]})
    assert np.isnan(metric.finalize(np.zeros(2)))


@pytest.mark.parametrize("name", [entry.name for entry in PAIRS])
def test_a_pair_without_a_common_atom(name: str):
    """The first has nitrogens alone, and its reference all else: shares of the reference are 0, other figures are left out."""
    metric, (whole, other) = resolve(REGISTERED[name].metric), folds(2)
    nitrogens = np.arange(37) == 0
    sample, reference = (
        Protein.from_positions(whole.positions, atom_mask=whole.atom_mask & m) for m in (nitrogens, ~nitrogens)
    )
    rows = metric.statistics({"samples": [sample, other], "references": [reference, other]})
    assert_array_equal(rows[:, 1], [name in ("protein_tm_score", "protein_gdt_ts", "protein_lddt"), 1])
    assert_array_equal(rows[0, 0], 0)
    empty = Protein.from_positions(whole.positions, atom_mask=np.zeros_like(whole.atom_mask))
    assert_array_equal(metric.statistics({"samples": [whole], "references": [empty]}), [[0, 0]])


@pytest.mark.parametrize("name", ["tm_score", "gdt_ts"])
def test_scores_are_normalised_by_the_reference_whatever_the_sample_lacks(name: str):
    (whole,) = folds(1)
    n, kept = len(whole), len(whole) // 2
    half = Protein.from_positions(whole.positions, atom_mask=whole.atom_mask & (np.arange(n) < kept)[:, None])
    rows = getattr(metrics, name).statistics({"samples": [half, whole], "references": [whole, half]})
    assert_allclose(rows, [[kept / n, 1], [1, 1]])


@pytest.mark.parametrize("cases", [20, pytest.param(1000, marks=pytest.mark.nightly)])
def test_distances_to_atoms_that_a_sample_lacks_are_not_kept(cases: int):
    """Mariani et al. 2013, methods; a plain loop over the reference's pairs of atoms."""
    rng = np.random.default_rng(8)
    for whole in folds(cases, seed=8):
        reference = whole.select(range(8))
        there = reference.atom_mask & (rng.random(reference.atom_mask.shape) < 0.7)
        sample = Protein.from_positions(
            reference.positions + 0.7 * rng.standard_normal(reference.positions.shape), atom_mask=there
        )
        kept = []
        atoms = [(r, a) for r, a in np.argwhere(reference.atom_mask)]
        for i, (r, a) in enumerate(atoms):
            for q, b in atoms[:i]:
                true = np.linalg.norm(reference.positions[r, a] - reference.positions[q, b])
                if r == q or true > 15:
                    continue
                off = abs(np.linalg.norm(sample.positions[r, a] - sample.positions[q, b]) - true)
                kept.append(np.mean([off <= c for c in (0.5, 1, 2, 4)]) if there[r, a] and there[q, b] else 0)
        rows = metrics.lddt.statistics({"samples": [sample], "references": [reference]})
        assert_allclose(rows, [[np.mean(kept), 1]], atol=1e-12)


@pytest.mark.parametrize("name", ["sound_bonds", "sound_angles", "coarse_ramachandran"])
def test_half_of_the_samples_no_structures_halves_a_share(name: str):
    metric, proteins = getattr(metrics, name), folds(8)

    def share(samples: list[Protein | None]) -> float:
        return float(metric.finalize(metric.statistics({"samples": samples}).sum(axis=0)))

    assert_allclose(share([*proteins, *[None] * 8]), share(list(proteins)) / 2)
    assert share([None] * 3) == 0
    assert np.isnan(share([]))


def test_ideal_chains_are_sound():
    batch = {"samples": folds(8)}
    for name, wanted in (("sound_bonds", 1.0), ("sound_angles", 1.0)):
        metric = getattr(metrics, name)
        assert metric.finalize(metric.statistics(batch).sum(axis=0)) == wanted
