"""Metrics beside RDKit's own functions, plain loops and MOSES' code; edges; the same figure however a batch is cut."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem.QED import qed as of_rdkit

from artifex.core import plugins
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.frechet import frechet_distance, moments
from artifex.core.measuring.choice import Facts, obstacle
from artifex.core.metrics import StreamedMetric
from artifex.core.plugins import resolve
from artifex.core.testing.metrics import check_invariance
from artifex.modalities.molecular import (
    canonical_smiles,
    chemnet,
    conformer,
    metrics,
    parse_smiles,
    plugin,
    properties,
    similarity,
)
from artifex.modalities.molecular.arrays import molecule_of_row, packed_positions
from artifex.modalities.molecular.datasets import (
    CommonMolecules,
    CommonMoleculesConfig,
    MosesMolecules,
    MosesMoleculesConfig,
)
from artifex.modalities.molecular.valid import valid_forms

FROZEN = Path(__file__).parent / "frozen" / "moses_figures.npz"
COMMON = CommonMolecules(CommonMoleculesConfig(held_out=0.0, max_length=120)).molecules("train")
REGISTERED = {
    entry.name: entry for entry, plugin in plugins.registry().entries("metric") if plugin.distribution.endswith("-molecular")
}


@pytest.fixture(scope="module")
def moses() -> dict:
    with np.load(FROZEN) as frozen:
        found = dict(frozen)
    for key in ("samples", "references"):
        found[f"{key}_read"] = [parse_smiles(str(text)) for text in found[key]]
    return found


def test_figures_are_those_of_moses(moses):
    """Frozen: tests/frozen/make_moses_figures.py; MOSES adds float32 similarities up."""
    samples, references = moses["samples_read"], moses["references_read"]
    assert_allclose(similarity.nearest_similarity(samples, references), moses["nearest_similarity"], atol=1e-6)
    assert_allclose(similarity.internal_diversity(samples), moses["internal_diversity"], atol=1e-6)
    assert_allclose(similarity.internal_diversity(samples, power=2), moses["internal_diversity_2"], atol=1e-6)
    assert_allclose(similarity.scaffold_similarity(samples, references), moses["scaffold_similarity"], atol=1e-6)
    assert_allclose(similarity.uniqueness(samples, first=100), moses["unique_at_100"], atol=1e-6)
    assert_allclose(np.mean([properties.qed(m) for m in samples]), moses["qed"], atol=1e-6)
    assert_allclose(
        np.mean([properties.synthetic_accessibility(m) for m in samples]), moses["synthetic_accessibility"], atol=1e-6
    )


@pytest.mark.reference
def test_moses_agrees_live_in_1000_random_sets(moses):
    if importlib.util.find_spec("moses") is None:  # its import needs what the recipe puts in the place of a package
        pytest.skip("molsets is not installed")
    spec = importlib.util.spec_from_file_location("make_moses_figures", FROZEN.with_name("make_moses_figures.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    live = module.figures([str(s) for s in moses["samples"]], [str(s) for s in moses["references"]])
    for name, value in live.items():
        assert_allclose(value, moses[name], atol=1e-6)
    of_sets, rng = importlib.import_module("moses.metrics.metrics"), np.random.default_rng(0)
    of_two = importlib.import_module("moses.metrics.utils")
    for _ in range(1000):
        own, others = (rng.choice(moses[name], rng.integers(1, 5)) for name in ("samples", "references"))
        one, other = ([parse_smiles(str(text)) for text in part] for part in (own, others))
        with rdBase.BlockLogs():
            bits = [of_two.fingerprints(part, fp_type="morgan") for part in (one, other)]
            assert_allclose(similarity.internal_diversity(one), of_sets.internal_diversity(one), atol=1e-6)
        nearest = of_two.average_agg_tanimoto(*reversed(bits), device="cpu")
        assert_allclose(similarity.nearest_similarity(one, other), nearest, atol=1e-6)
        scaffolds = of_sets.cos_similarity(*(of_two.compute_scaffolds(part) for part in (other, one)))
        assert_allclose(similarity.scaffold_similarity(one, other), scaffolds, atol=1e-6)
        assert_allclose(similarity.uniqueness(one), of_sets.fraction_unique([str(text) for text in own]))
        assert_allclose(similarity.novelty(one, other), of_sets.novelty([str(t) for t in own], [str(t) for t in others]))
        for ours, theirs in ((properties.qed, of_two.QED), (properties.synthetic_accessibility, of_two.SA)):
            assert_allclose(ours(one[0]), theirs(one[0]), atol=1e-6)


def test_similarities_are_rdkits_in_1000_random_cases():
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=2, fpSize=1024)
    bits = [generator.GetFingerprint(m) for m in COMMON]
    rng = np.random.default_rng(0)
    for _ in range(1000):
        own, others = (rng.integers(len(COMMON), size=rng.integers(1, 6)) for _ in range(2))
        table = np.array([[DataStructs.TanimotoSimilarity(bits[i], bits[j]) for j in others] for i in own])
        chosen = [COMMON[i] for i in own], [COMMON[j] for j in others]
        assert_allclose(similarity.nearest_similarity(*chosen), table.max(axis=1).mean(), atol=1e-6)
        square = np.array([[DataStructs.TanimotoSimilarity(bits[i], bits[j]) for j in own] for i in own])
        assert_allclose(similarity.internal_diversity(chosen[0]), 1 - square.mean(), atol=1e-6)
        texts = Counter(canonical_smiles(m) for m in chosen[0])
        assert_allclose(similarity.uniqueness(chosen[0]), len(texts) / len(own))


def in_space(molecule) -> Chem.Mol:
    """Its atoms, hydrogens among them, and bonds of one, two and three, as distances tell them: nothing is sanitised."""
    whole, made = Chem.AddHs(molecule), Chem.RWMol()
    Chem.Kekulize(whole, clearAromaticFlags=True)
    for atom in whole.GetAtoms():
        bare = Chem.Atom(atom.GetAtomicNum())
        bare.SetFormalCharge(atom.GetFormalCharge())
        bare.SetNoImplicit(True)
        made.AddAtom(bare)
    for bond in whole.GetBonds():
        made.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), bond.GetBondType())
    return made.GetMol()


def crowded() -> Chem.Mol:
    """A carbon with seven hydrogens, as no molecule has."""
    made = Chem.RWMol()
    for number in (6, *[1] * 7):
        made.AddAtom(Chem.Atom(number))
    for hydrogen in range(1, 8):
        made.AddBond(0, hydrogen, Chem.BondType.SINGLE)
    return made.GetMol()


FLAT = [parse_smiles(text) for text in dict.fromkeys(canonical_smiles(m, stereo=False) for m in COMMON)]


def test_a_molecule_in_space_has_the_figures_of_its_smiles():
    """Positions' hands are not read: without stereo, form by form and fingerprint by fingerprint."""
    given = [in_space(molecule) for molecule in FLAT]
    forms = valid_forms([None, crowded(), *given])
    assert [canonical_smiles(form) for form in forms] == [canonical_smiles(molecule) for molecule in FLAT]
    assert_array_equal(similarity.fingerprints(given), similarity.fingerprints(FLAT))
    few, flat = given[::8], FLAT[::8]
    assert [properties.qed(m) for m in few] == [of_rdkit(m) for m in flat]
    assert similarity.scaffolds(given) == similarity.scaffolds(FLAT)
    assert [properties.synthetic_accessibility(m) for m in few] == [properties.synthetic_accessibility(m) for m in flat]
    assert similarity.novelty(given[:8], FLAT[4:]) == 0.5


def test_what_is_not_valid_counts_in_no_figure_but_validity():
    good = [in_space(parse_smiles(text)) for text in ("C1CCC2CCCCC2C1", "CCO", "CCN")]
    samples = [crowded(), *good, crowded(), None]
    for name in ("qed", "synthetic_accessibility"):
        metric = getattr(metrics, name)
        rows = metric.statistics({"samples": samples})
        assert_array_equal(rows[:, 1], [0, 1, 1, 1, 0, 0])
        assert_allclose(metric.finalize(rows.sum(axis=0)), np.mean([getattr(properties, name)(m) for m in good]))
    assert similarity.uniqueness(samples) == 1.0
    assert similarity.uniqueness(samples, first=3) == 1.0
    with pytest.raises(InvalidInputError, match="the first 4 is asked for, 3 molecules are valid"):
        similarity.uniqueness(samples, first=4)
    assert np.isnan(similarity.uniqueness([crowded(), crowded()]))
    assert np.isnan(similarity.novelty([crowded()], good))
    assert similarity.internal_diversity(samples) == similarity.internal_diversity(good)
    assert similarity.nearest_similarity(samples, [crowded(), *good]) == 1.0
    assert_allclose(similarity.scaffold_similarity(samples, [*good, crowded()]), 1.0)
    assert metrics.validity.finalize(metrics.validity.statistics({"samples": samples}).sum(axis=0)) == 0.5
    for figure in (properties.qed, properties.synthetic_accessibility):
        with pytest.raises(InvalidInputError, match=r"a molecule of 8 atoms is not valid; constraints\.valence_violations"):
            figure(crowded())


SETS = {
    "uniqueness": similarity.uniqueness,
    "internal_diversity": similarity.internal_diversity,
    "nearest_similarity": lambda given: similarity.nearest_similarity(given, COMMON[:2]),
    "novelty": lambda given: similarity.novelty(COMMON[:2], given),
    "scaffold_similarity": lambda given: similarity.scaffold_similarity(given, COMMON[:2]),
    "fingerprints": similarity.fingerprints,
    "chemnet_distance": lambda given: chemnet.FRECHET_CHEMNET_DISTANCE.state({"samples": given}),
    "positions": lambda given: packed_positions(given, 9),
} | {
    name: lambda given, name=name: getattr(metrics, name).statistics({"samples": given})
    for name in ("validity", "qed", "synthetic_accessibility", "stable_atoms", "stable_molecules")
}


@pytest.mark.parametrize("name", SETS)
def test_a_text_among_molecules_is_refused(name: str):
    with pytest.raises(
        InvalidTypeError, match=r"a molecule of RDKit is expected, got 'CCO'; parse_smiles makes one of a SMILES"
    ):
        SETS[name](["CCO"])


def test_novelty_compares_canonical_forms():
    training = [parse_smiles("OCC"), parse_smiles("C1=CC=CC=C1")]
    samples = [parse_smiles(s) for s in ("CCO", "c1ccccc1", "CCC", "CCC", "CCN")] + [None]
    assert similarity.novelty(samples, training) == 0.5  # of four different ones, two
    assert np.isnan(similarity.novelty([None], training))
    assert similarity.novelty(samples, []) == 1.0


def test_uniqueness_of_the_first_valid():
    samples = [None, *(parse_smiles(s) for s in ("C", "C", "CC", "CCC"))]
    assert similarity.uniqueness(samples, first=2) == 0.5
    assert similarity.uniqueness(samples) == 0.75
    assert np.isnan(similarity.uniqueness([None]))
    with pytest.raises(InvalidInputError, match="the first 9 is asked for, 4 molecules are valid"):
        similarity.uniqueness(samples, first=9)


def test_edges_of_sets():
    one = [parse_smiles("CCO")]
    assert similarity.internal_diversity(one) == 0.0
    assert similarity.nearest_similarity(one, one) == 1.0
    assert np.isnan(similarity.nearest_similarity([], one))
    assert np.isnan(similarity.internal_diversity([None]))
    assert np.isnan(similarity.scaffold_similarity(one, one))  # ethanol has no ring
    naphthalene = [parse_smiles("c1ccc2ccccc2c1")]
    assert_allclose(similarity.scaffold_similarity(naphthalene * 3, naphthalene), 1.0)


def test_validity_counts_none_and_what_cannot_be():
    samples = [parse_smiles("CCO"), None, Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False), Chem.MolFromSmiles("")]
    rows = metrics.validity.statistics({"samples": samples})
    assert metrics.validity.finalize(rows.sum(axis=0)) == 0.25


def test_stability_of_molecules_in_space():
    methane, water = (conformer(parse_smiles(s), seed=1).molecule for s in ("C", "O"))
    arrays = packed_positions([methane, water], 6)
    molecules = [molecule_of_row(row, mask) for row, mask in zip(arrays["x"], arrays["mask"], strict=True)]
    broken = arrays["x"][0].copy()
    broken[1, :3] += 3.0  # a hydrogen flies off
    samples = [*molecules, molecule_of_row(broken), None]
    atoms, whole = metrics.stable_atoms, metrics.stable_molecules
    assert_allclose(atoms.finalize(atoms.statistics({"samples": samples}).sum(axis=0)), 3 / 4 * (5 + 3 + 3) / 13)
    assert_allclose(whole.finalize(whole.statistics({"samples": samples}).sum(axis=0)), 2 / 4)
    for metric in (atoms, whole, metrics.validity):
        assert metric.finalize(metric.statistics({"samples": [None, None]}).sum(axis=0)) == 0


SAMPLES = [m if i % 5 else None for i, m in enumerate(COMMON[-72:])]
EXAMPLES = {"samples": SAMPLES, "references": COMMON[-150:-78], "training": COMMON[:200]}


@pytest.mark.parametrize("name", [name for name in REGISTERED if name != "molecule_chemnet_distance"])  # an extra; below
def test_figures_depend_neither_on_batches_nor_on_devices_or_order(name: str):
    entry = REGISTERED[name]
    check_invariance(entry, {key: EXAMPLES[key] for key in entry.needs})
    metric = resolve(entry.metric)
    if isinstance(metric, StreamedMetric):
        assert np.isnan(metric.finalize(metric.statistics({key: [] for key in entry.needs}).sum(axis=0)))


def test_the_chemnet_distance_says_what_it_needs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fcd", None)  # not installed
    chemnet._chemnet.cache_clear()
    with pytest.raises(DataError, match=r"needs the package fcd .*: pip install 'artifex-modalities-molecular\[fcd\]'"):
        chemnet.FRECHET_CHEMNET_DISTANCE.state({"samples": COMMON[:2]})
    chemnet._chemnet.cache_clear()
    with pytest.raises(InvalidInputError, match="needs molecules; there are none among the references"):
        chemnet.FRECHET_CHEMNET_DISTANCE.finalize({"samples": None})


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # fcd leaves a folder to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")  # of SciPy, in fcd's formula
def test_the_chemnet_distance_is_over_its_authors_activations(moses):
    """Their package's activations of 1600 molecules, one by one, and its formula for 1000 pairs of sets of them.

    The formula takes the square root of a matrix, exact to half the digits where the matrix is nearly singular: sets of 20
    to 60 molecules are compared by six of the 512 activations, of those that differ among them.
    """
    fcd, torch = pytest.importorskip("fcd"), pytest.importorskip("torch")
    if importlib.util.find_spec("moses") is None:
        pytest.skip("molsets is not installed")
    from fcd.utils import SmilesDataset, calculate_frechet_distance

    more = MosesMolecules(MosesMoleculesConfig(most=600))
    given = {
        "samples": COMMON + more.molecules("test")[200:],
        "references": moses["samples_read"] + moses["references_read"] + more.molecules("train")[200:],
    }
    network, theirs = fcd.load_ref_model(), {}
    for key, molecules in given.items():
        data = SmilesDataset([canonical_smiles(m) for m in molecules])
        one_hot = torch.from_numpy(np.stack([data[i] for i in range(len(data))])).float()
        with torch.no_grad():
            theirs[key] = network(one_hot.transpose(1, 2)).numpy()
        assert_allclose(chemnet.chemnet_features(molecules), theirs[key], atol=1e-5)
    metric, wanted = chemnet.FRECHET_CHEMNET_DISTANCE, frechet_distance(*map(moments, theirs.values()))
    assert_allclose(metric.finalize(metric.state(given)), wanted, rtol=1e-4)
    parts = [metric.state({key: molecules[i : i + 99] for key, molecules in given.items()}) for i in range(0, 840, 99)]
    assert_allclose(metric.finalize(reduce(metric.merge, parts)), wanted, rtol=1e-4)
    rng, found, of_formula = np.random.default_rng(0), [], []
    for _ in range(1000):
        one, other = (part[rng.choice(len(part), rng.integers(20, 61), replace=False)] for part in theirs.values())
        lively = np.flatnonzero(np.minimum(one.std(axis=0), other.std(axis=0)) > 0.01)
        chosen = rng.choice(lively, 6, replace=False)
        one, other = (part[:, chosen].astype(np.float64) for part in (one, other))
        found.append(metric.finalize({"samples": moments(one), "references": moments(other)}))
        sides = ((part.mean(axis=0), np.cov(part.T)) for part in (one, other))
        of_formula.append(calculate_frechet_distance(*(number for side in sides for number in side)))
    assert_allclose(found, of_formula, rtol=1e-6, atol=1e-9)
    assert np.ptp(found) > 0.1
    with pytest.raises(InvalidInputError, match="reads SMILES of up to 349 characters, one has 400"):
        chemnet.chemnet_features([parse_smiles("C" * 400)])


def test_stability_is_of_atoms_in_space_and_not_of_texts_whose_hydrogens_are_left_out():
    entries = {entry.name: entry for entry in plugin.artifex_metrics()}
    known = {"modality": "molecular", "available": frozenset({"samples"}), "spaces": frozenset({"host"}), "examples": 5}
    for name in ("molecule_stable_atoms", "molecule_stable_molecules"):
        assert obstacle(entries[name], Facts(**known, representation="conformer")) == ""
        assert "'conformer'" in obstacle(entries[name], Facts(**known, representation="smiles"))
    assert obstacle(entries["molecule_validity"], Facts(**known, representation="smiles")) == ""
