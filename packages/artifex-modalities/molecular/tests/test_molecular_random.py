"""Metrics of molecules beside RDKit and plain counts, in 1 000 random cases."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rdkit import Chem, RDConfig
from rdkit.Chem.QED import qed as of_rdkit
from rdkit.Chem.Scaffolds import MurckoScaffold

from artifex.modalities.molecular import canonical_smiles, from_selfies, metrics, parse_smiles, similarity
from artifex.modalities.molecular.constraints import valence_violations
from artifex.modalities.molecular.datasets import CommonMolecules, CommonMoleculesConfig
from artifex.modalities.molecular.elements import ELEMENTS, LENGTHS, MARGINS, bond_orders, molecule_from_positions

COMMON = CommonMolecules(CommonMoleculesConfig(held_out=0.0, max_length=120)).molecules("train")
TEXTS = np.array([canonical_smiles(molecule) for molecule in COMMON])
FOUR = {"H": 1, "C": 4, "N": 3, "O": 2, "F": 1}
"""Valences of EDM, and most electron pairs that RDKit lets an atom without a charge share."""
KINDS = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)


def random_molecules(count: int) -> list[Chem.Mol]:
    """Different ones, of 3 to 20 random symbols of SELFIES."""
    selfies = pytest.importorskip("selfies")
    rng, alphabet = np.random.default_rng(0), sorted(selfies.get_semantic_robust_alphabet())
    found: dict[str, Chem.Mol] = {}
    while len(found) < count:
        molecule = parse_smiles(from_selfies("".join(rng.choice(alphabet, rng.integers(3, 21)))))
        if molecule is not None:
            found.setdefault(canonical_smiles(molecule), molecule)
    return list(found.values())


@pytest.mark.parametrize("cases", [100, 1000])
@pytest.mark.daily("100")
def test_qed_and_sa_are_rdkits_with_and_without_hydrogens(cases: int):
    """SA as the script that RDKit contributes gives it."""
    spec = importlib.util.spec_from_file_location("sascorer", Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    given = random_molecules(cases)
    figures = np.array([[of_rdkit(m), script.calculateScore(m)] for m in given])
    for samples in (given, [Chem.AddHs(m) for m in given]):
        for metric, wanted in zip((metrics.qed, metrics.synthetic_accessibility), figures.T, strict=True):
            rows = metric.statistics({"samples": samples})
            assert_allclose(rows[:, 0], wanted, rtol=1e-12)
            assert_allclose(metric.finalize(rows.sum(axis=0)), wanted.mean(), rtol=1e-12)
    assert np.ptp(figures, axis=0).min() > 0.3


def test_uniqueness_and_novelty_are_counts_of_texts_in_1000_random_sets():
    rng = np.random.default_rng(1)
    for _ in range(1000):
        own, known = (rng.integers(0, 12, rng.integers(1, 12)) for _ in range(2))
        samples: list[Chem.Mol | None] = [
            COMMON[i] if keep else None for i, keep in zip(own, rng.random(len(own)) < 0.8, strict=True)
        ]
        valid = [TEXTS[i] for i, m in zip(own, samples, strict=True) if m is not None]
        if not valid:
            assert np.isnan(similarity.uniqueness(samples))
            assert np.isnan(similarity.novelty(samples, [COMMON[i] for i in known]))
            continue
        first = int(rng.integers(1, len(valid) + 1))
        assert similarity.uniqueness(samples, first=first) == len(set(valid[:first])) / first
        fresh = set(valid) - {TEXTS[i] for i in known}
        assert similarity.novelty(samples, [COMMON[i] for i in known]) == len(fresh) / len(set(valid))


def test_scaffolds_are_murckos_and_their_cosine_numpys_in_1000_random_sets():
    ringed = [m for m in COMMON if m.GetRingInfo().NumRings() >= 2]
    texts = [MurckoScaffold.MurckoScaffoldSmiles(mol=m, includeChirality=True) for m in ringed]
    assert similarity.scaffolds(COMMON) == Counter(texts)  # two rings that a chain joins, or that share an atom
    names, rng = sorted(set(texts)), np.random.default_rng(2)
    table = np.array([[text == name for name in names] for text in texts], float)
    rich = np.argsort(-table.sum(axis=0))[:6]  # the commonest scaffolds, so that sets meet
    pool = np.flatnonzero(table[:, rich].any(axis=1))
    found, wanted = [], []
    for _ in range(1000):
        own, others = (rng.choice(pool, rng.integers(1, 6)) for _ in range(2))
        one, other = table[own].sum(axis=0), table[others].sum(axis=0)
        wanted.append(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        found.append(similarity.scaffold_similarity([ringed[i] for i in own], [ringed[i] for i in others]))
    assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    assert 0.05 < np.mean(wanted) < 0.9


def test_validity_is_a_count_of_electron_pairs_in_1000_random_graphs():
    """Random bonds of one, two and three between three to six atoms without charge: valid if no atom has too many."""
    rng, samples, wanted = np.random.default_rng(3), [], []
    for _ in range(1000):
        n = int(rng.integers(3, 7))
        elements = rng.choice(ELEMENTS, n, p=[0.1, 0.45, 0.2, 0.2, 0.05])
        orders = np.triu(rng.choice(4, (n, n), p=[0.65, 0.25, 0.07, 0.03]), 1)
        molecule = Chem.RWMol()
        for element in elements:
            atom = Chem.Atom(str(element))
            atom.SetNoImplicit(True)
            molecule.AddAtom(atom)
        for i, j in np.argwhere(orders):
            molecule.AddBond(int(i), int(j), KINDS[orders[i, j]])
        samples.append(molecule.GetMol())
        shared = (orders + orders.T).sum(axis=1)
        wanted.append(bool(np.all(shared <= [FOUR[element] for element in elements])))
    rows = metrics.validity.statistics({"samples": samples})
    assert_array_equal(rows[:, 0], wanted)
    assert [not valence_violations(molecule) for molecule in samples] == wanted
    assert 0.2 < np.mean(wanted) < 0.8


def test_stability_is_that_of_a_plain_loop_over_pairs_in_1000_random_clouds():
    rng, samples, whole, atoms = np.random.default_rng(4), [], [], []
    for _ in range(1000):
        n = int(rng.integers(1, 9))
        x, elements = rng.uniform(0, 0.7 + 0.9 * np.cbrt(n), (n, 3)), rng.choice(5, n, p=[0.6, 0.2, 0.08, 0.08, 0.04])
        orders = np.zeros((n, n), int)
        for i, j in ((i, j) for i in range(n) for j in range(n) if i != j):
            apart, pair = 100 * np.linalg.norm(x[i] - x[j]), sorted((elements[i], elements[j]))
            name = "".join(ELEMENTS[k] for k in pair)
            for order in (1, 2, 3):  # a higher one within a lower one alone
                if not apart < LENGTHS[order - 1].get(name, -np.inf) + MARGINS[order - 1]:
                    break
                orders[i, j] = order
        assert_array_equal(bond_orders(x, elements), orders)
        stable = orders.sum(axis=1) == [FOUR[ELEMENTS[k]] for k in elements]
        samples.append(molecule_from_positions(x, elements))
        atoms.append((stable.sum(), n, 1, 1))
        whole.append((stable.all(), 1, 1, 1))
    assert_array_equal(metrics.stable_atoms.statistics({"samples": samples}), atoms)
    assert_array_equal(metrics.stable_molecules.statistics({"samples": samples}), whole)
    assert 0 < np.mean([row[0] for row in whole]) < 0.5
