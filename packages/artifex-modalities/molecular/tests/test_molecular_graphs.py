"""Graphs: there and back beside RDKit's own adjacency and MOL blocks; the graph nearest to a sample beside trying them all."""

from __future__ import annotations

import importlib.util
import itertools
import math
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_array_equal
from rdkit import Chem, rdBase

from artifex.core.errors import DataError, InvalidInputError, RunWarning
from artifex.core.measuring.choice import Facts, obstacle
from artifex.core.plugins import registry
from artifex.modalities.molecular import (
    MolecularModality,
    MolecularModalityConfig,
    MolecularModelAdapter,
    canonical_smiles,
    parse_smiles,
)
from artifex.modalities.molecular.arrays import packed_graphs
from artifex.modalities.molecular.datasets import (
    CommonMolecules,
    CommonMoleculesConfig,
    MoleculeFile,
    MoleculeFileConfig,
    QM9Molecules,
    QM9MoleculesConfig,
)
from artifex.modalities.molecular.graphs import SYMBOLS, ZINC, encoded_graph

FROZEN = Path(__file__).parent / "frozen" / "moses_figures.npz"
COMMON = CommonMolecules(CommonMoleculesConfig(held_out=0.0, max_length=120)).molecules("train")


def form(**how) -> MolecularModality:
    return MolecularModality(MolecularModalityConfig(representation="graph", **how))


def graphs(molecules, **how) -> dict[str, np.ndarray]:
    """As a stored batch."""
    stored = MolecularModelAdapter(form(**how)).stored(molecules)
    return {key: np.asarray(value) for key, value in stored.items()}


def flat(molecule) -> str:
    """SMILES without what a graph leaves out without a word: stereo, atoms' numbers, hydrogens that told the sides of bonds."""
    copy = Chem.Mol(molecule)
    Chem.RemoveStereochemistry(copy)
    for atom in copy.GetAtoms():
        atom.SetAtomMapNum(0)
    with rdBase.BlockLogs():
        return Chem.MolToSmiles(Chem.RemoveHs(copy))


def assert_come_back(molecules, **how) -> None:
    modality, stored = form(**how), graphs(molecules, **how)
    modality.check(stored)
    again = modality.to_host(np.asarray(modality.prepare(stored, train=False)["x"]))
    assert [m and canonical_smiles(m) for m in again] == [flat(m) for m in molecules]


def test_all_common_molecules_come_back():
    assert_come_back(COMMON)


def test_molecules_of_moses_come_back():
    with np.load(FROZEN) as frozen:
        texts = sorted({str(text) for key in ("samples", "references") for text in frozen[key]})
    assert_come_back([parse_smiles(text) for text in texts])


@pytest.mark.nightly
def test_molecules_of_qm9_come_back():
    if importlib.util.find_spec("qm9pack") is None:
        pytest.skip("qm9pack is not installed")
    molecules = QM9Molecules(QM9MoleculesConfig(held_out=0.0, most=4000)).molecules("train")
    chosen = np.random.default_rng(0).choice(len(molecules), 1000, replace=False)
    assert_come_back([molecules[i] for i in chosen], max_atoms=9, elements=("C", "N", "O", "F"))


def random_molecules(count: int) -> list[Chem.Mol]:
    """Of random symbols of SELFIES with all their charges, hydrogens and unpaired electrons; such as nobody sells."""
    selfies = pytest.importorskip("selfies")
    rng, alphabet = np.random.default_rng(5), sorted(selfies.get_semantic_robust_alphabet())
    found: dict[str, Chem.Mol] = {}
    with rdBase.BlockLogs():
        while len(found) < count:
            molecule = Chem.MolFromSmiles(selfies.decoder("".join(rng.choice(alphabet, rng.integers(2, 15)))))
            if molecule is not None and molecule.GetNumAtoms():
                found.setdefault(canonical_smiles(molecule), molecule)
    return list(found.values())


def through_a_block(molecule) -> str:
    """Through a MOL file, which writes kekulised bonds; without its notes on hydrogens and unpaired electrons it is a graph."""
    block = Chem.MolToMolBlock(Chem.MolFromSmiles(flat(molecule)), kekulize=True).splitlines()
    count = int(block[3][:3])
    block[4 : 4 + count] = [line[:48] + "  0" + line[51:] for line in block[4 : 4 + count]]
    with rdBase.BlockLogs():
        read = Chem.MolFromMolBlock("\n".join(line for line in block if not line.startswith("M  RAD")))
    return "" if read is None else canonical_smiles(read)


@pytest.mark.parametrize("cases", [300, pytest.param(3000, marks=pytest.mark.nightly)])
def test_random_molecules_come_back_or_a_graph_does_not_hold_them(cases: int):
    """RDKit's MOL files say which: 3000 random molecules are some 800 graphs."""
    kept = []
    for molecule in random_molecules(cases):
        try:
            encoded_graph(molecule, SYMBOLS, 40)
        except InvalidInputError as error:
            assert "graph" in str(error)  # noqa: PT017  (of the others nothing is raised)
            assert through_a_block(molecule) != flat(molecule)
        else:
            assert through_a_block(molecule) == flat(molecule)
            kept.append(molecule)
    assert len(kept) > 0.2 * cases
    assert_come_back(kept, max_atoms=40, elements=SYMBOLS)


def test_the_columns_are_rdkits_own():
    stored = graphs(COMMON, max_atoms=29)
    for row, mask, molecule in zip(stored["x"], stored["mask"], COMMON, strict=True):
        n, whole = molecule.GetNumAtoms(), Chem.Mol(molecule)
        Chem.Kekulize(whole, clearAromaticFlags=True)
        assert_array_equal(row[:n, 10 : 10 + n], Chem.GetAdjacencyMatrix(whole, useBO=True))
        assert_array_equal(row[:n, 9], [atom.GetFormalCharge() for atom in molecule.GetAtoms()])
        assert [ZINC[i] for i in row[:n, :9].argmax(axis=1)] == [atom.GetSymbol() for atom in molecule.GetAtoms()]
        assert_array_equal(mask, np.arange(29) < n)
        assert row.sum() == n + row[:n, 9].sum() + row[:n, 10:].sum()  # one hot, and nothing behind the atoms
    assert stored["x"].shape[1:] == form(max_atoms=29).shape


def test_elements_are_those_of_the_periodic_table():
    table = Chem.GetPeriodicTable()
    assert [table.GetElementSymbol(number + 1) for number in range(len(SYMBOLS))] == list(SYMBOLS)


@pytest.mark.parametrize(
    "text",
    [
        *("c1ccc2[nH]ccc2c1", "C[n+]1ccccc1", "O=[N+]([O-])c1cccs1", "c1nc[nH]n1", "Cn1cnc2c1c(=O)n(C)c(=O)n2C"),
        *("[NH3+]CC(=O)[O-]", "CC(=O)[O-].[Na+]", "[Na+].[Cl-]", "C[N+](C)(C)[O-]", "[N-]=[N+]=NC", "[C-]#[O+]", "N#N"),
        *("CS(C)=O", "FS(F)(F)(F)(F)F", "CP(C)(C)(C)C", "O[Cl](=O)(=O)=O", "[cH-]1cccc1", "OB(O)c1ccccc1", "c1cc[se]c1"),
        *("F[P-](F)(F)(F)(F)F", "C[Hg]C", "[Fe+2]", "O", "[H]/N=C(/C)N", "[H][H]", "[H+]", "[CH3:1][CH2:2]O", "C" * 200),
        *("C[C@H](N)C(=O)O", "C/C=C/C", "c1ccc2c(c1)c1ccccc1c1ccccc21", "[O-][n+]1ccccc1", "Cc1c[nH]c(=O)[nH]c1=O"),
    ],
)
def test_unusual_molecules_come_back(text: str):
    assert_come_back([parse_smiles(text)], max_atoms=200, elements=SYMBOLS)
    hydrogens = Chem.AddHs(parse_smiles(text))
    assert_array_equal(
        graphs([hydrogens], max_atoms=200, elements=SYMBOLS)["x"].sum(axis=1),
        graphs([text], max_atoms=200, elements=SYMBOLS)["x"].sum(axis=1),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[CH3]", r"atom 0 \(C\) has 1 unpaired electron, which a graph does not hold; leave the molecule out"),
        ("C[C]C", r"atom 1 \(C\) has 2 unpaired electrons, which"),
        ("[13CH4]", r"atom 0 \(C\) is the isotope 13, which"),
        ("[2H]O[2H]", r"atom 0 \(H\) is the isotope 2, which"),
        ("N->[Fe]", "between the atoms 0 and 1 is a bond of the kind 'dative', which"),
        ("C$C", "between the atoms 0 and 1 is a bond of the kind 'quadruple', which"),
        ("*C", r"atom 0 \(\*\) is of no element, which"),
        ("[PH5]", r"atom 0 \(P\) has 5 hydrogens where its valence asks for 3, and a graph holds none"),
        (
            "C[Si](C)(C)C",
            "a molecule has Si, 'elements' are C, N, O, F, P, S, Cl, Br, I; name it there, or leave the molecule out",
        ),
        ("C" * 30, "a molecule has 30 heavy atoms, max_atoms is 29; raise it, or leave the molecule out"),
    ],
)
def test_what_a_graph_does_not_hold_is_refused_with_its_row(text: str, message: str):
    with pytest.raises(InvalidInputError, match=rf"^row 1: {message}"):
        graphs(["CCO", text])


def test_no_atoms_are_no_graph():
    with pytest.raises(InvalidInputError, match="row 0: a molecule has no atoms; leave it out"):
        graphs([Chem.Mol()])
    assert form().to_host(np.zeros((1, *form().shape))) == [None]


def test_hydrogens_that_told_the_sides_of_a_bond_are_no_atoms():
    assert graphs(["[H]/N=C(/C)N"])["mask"].sum() == 4


def test_the_advice_serves():
    assert_come_back([parse_smiles("C[Si](C)(C)C")], elements=(*ZINC, "Si"))
    assert_come_back([parse_smiles("C" * 30)], max_atoms=30)


def sample(rng: np.random.Generator, n: int, a: int) -> np.ndarray:
    """Real numbers about a random graph, as far off as half a step and beyond."""
    elements, orders = rng.integers(-1, a, n), rng.choice(4, (n, n), p=[0.55, 0.25, 0.15, 0.05])
    features = np.concatenate([np.eye(a + 1)[elements][:, :a], np.zeros((n, 1))], axis=1)
    return np.concatenate([features, np.triu(orders) + np.triu(orders, 1).T], axis=1) + rng.normal(0, 0.3, (n, a + 1 + n))


def nearest(row: np.ndarray, a: int) -> tuple[list[int], np.ndarray]:
    """Elements, -1 where there is none, and orders: of all that there are, the nearest in square distance."""
    n = len(row)
    elements = [min(range(-1, a), key=lambda k, v=v: np.sum((v - np.eye(a + 1)[k][:a]) ** 2)) for v in row[:, :a]]
    orders = np.zeros((n, n), int)
    for i, j in itertools.combinations(range(n), 2):
        pair = np.array([row[i, a + 1 + j], row[j, a + 1 + i]])
        orders[i, j] = orders[j, i] = min(range(4), key=lambda order, pair=pair: np.sum((pair - order) ** 2))
    return elements, orders


MOST = {"C": 4, "N": 3, "O": 2, "F": 1}
"""Pairs of electrons that an atom without a charge shares at most."""


@pytest.mark.parametrize("cases", [100, pytest.param(1000, marks=pytest.mark.nightly)])
def test_a_sample_is_the_nearest_graph_and_valid_if_no_atom_has_too_many_electrons(cases: int):
    rng, symbols, n = np.random.default_rng(0), tuple(MOST), 4
    modality, valid = form(max_atoms=n, elements=symbols), []
    samples = np.stack([sample(rng, n, len(symbols)) for _ in range(cases)])
    for row, found in zip(samples, modality.to_host(samples), strict=True):
        elements, orders = nearest(row, len(symbols))
        there = [i for i in range(n) if elements[i] >= 0]
        charges, orders = np.rint(row[there, len(symbols)]), orders[np.ix_(there, there)]
        shared, numbers = orders.sum(axis=1), np.array([elements[i] for i in there])
        if charges.any() or np.any((numbers == symbols.index("N")) & (shared == 5)):
            continue  # charges are seldom; of five pairs about a nitrogen, as in N(=O)=O, RDKit makes charges
        valid.append(bool(there) and all(shared[k] <= MOST[symbols[elements[i]]] for k, i in enumerate(there)))
        assert (found is not None) == valid[-1]
        if found is not None:
            assert [atom.GetSymbol() for atom in found.GetAtoms()] == [symbols[elements[i]] for i in there]
            Chem.Kekulize(found, clearAromaticFlags=True)
            assert_array_equal(Chem.GetAdjacencyMatrix(found, useBO=True), orders)
    assert len(valid) > 0.6 * cases
    assert 0.2 < np.mean(valid) < 0.9


def test_samples_that_are_no_molecule():
    good = graphs(["CC(=O)[O-]"], max_atoms=5)["x"][0]
    lost, mad, five, charged, extreme = (good.copy() for _ in range(5))
    lost[0, 0] = np.nan
    mad[0, 11] = np.inf
    five[0, 10 + 3] = five[3, 10] = five[0, 10 + 2] = five[2, 10] = 3
    charged[0, 9] = 7.2  # carbon has six electrons
    extreme[0, 9] = -1e9
    modality = form(max_atoms=5)
    unbound = graphs(["CC"], max_atoms=5)["x"][0]
    unbound[0, 11] = np.nan
    assert modality.to_host(np.stack([lost, mad, five, charged, extreme, unbound])) == [None] * 6
    behind, padded = good.copy(), good.copy()
    behind[4, 9:], behind[:, 14] = np.nan, np.inf  # beside an atom that is not there
    padded[:, 10:] += 9 * np.eye(5, dtype=np.float32)  # nor is what stands before the atom itself read
    assert [canonical_smiles(m) for m in modality.to_host(np.stack([behind, padded]))] == ["CC(=O)[O-]"] * 2
    given = good.copy()
    given[:4, :9] *= 0.4  # below one half, and a mask says that there are atoms
    assert modality.to_host(given[None]) == [None]
    assert canonical_smiles(modality.to_host(given[None], np.arange(5)[None] < 4)[0]) == "CC(=O)[O-]"


def test_padding_holds_anything_and_comes_out_as_0():
    stored = graphs(["CC(=O)[O-]", "C"], max_atoms=5)
    x, mask = stored["x"].copy(), stored["mask"]
    x[~mask] = np.nan
    x[..., 10:][np.broadcast_to(~mask[:, None], (2, 5, 5))] = np.nan
    modality = form(max_atoms=5)
    modality.check({"x": x, "mask": mask})
    prepared = jax.jit(lambda batch: modality.prepare(batch, train=True))({"x": x, "mask": mask})
    assert_array_equal(prepared["x"], stored["x"])
    assert_array_equal(modality.prepare({"x": x}, train=False)["mask"], mask)
    assert modality.prepare({"x": x[:0], "mask": mask[:0]}, train=True)["x"].shape == (0, 5, 15)


def test_orders_of_atoms_are_drawn_evenly_among_the_atoms():
    modality = form(max_atoms=6, randomize_order=True)
    row = graphs(["CC(=O)[O-]"], max_atoms=6)
    row["x"][0, :, 9] = [1, 2, 3, 4, 0, 0]  # names of the atoms, as charges
    places = [4, 0, 3, 5, 1, 2]  # padding before and within
    x = np.concatenate([row["x"][0, places, :10], row["x"][0, places, 10:][:, places]], axis=1)
    mask = row["mask"][0, places]
    n = 4800
    batch = {"x": np.tile(x, (n, 1, 1)), "mask": np.tile(mask, (n, 1)), "label": np.arange(n)}
    traces = []

    @jax.jit
    def prepare(batch, key):
        traces.append(1)
        return modality.prepare(batch, rngs=nnx.Rngs(sample=key), train=True)

    drawn = {key: np.asarray(value) for key, value in prepare(batch, jax.random.key(0)).items()}
    prepare(batch, jax.random.key(1))
    assert len(traces) == 1
    assert_array_equal(drawn["mask"], batch["mask"])
    assert_array_equal(drawn["label"], batch["label"])
    names = drawn["x"][..., 9][:, mask].astype(int)
    assert_array_equal(drawn["x"][:, ~mask], 0)
    seen, counts = np.unique(names, axis=0, return_counts=True)
    assert len(seen) == math.factorial(4)
    assert np.sum((counts - n / 24) ** 2 / (n / 24)) < 49.7  # chi-square of 23 degrees of freedom: once in a thousand
    first = {int(name): place for place, name in enumerate(x[:, 9]) if name}
    for example, own in zip(drawn["x"][:50], names[:50], strict=True):
        whence, there = [first[name] for name in own], np.flatnonzero(mask)
        assert_array_equal(example[there][:, :10], x[whence, :10])
        assert_array_equal(example[there][:, 10:][:, there], x[whence, 10:][:, whence])
    assert_array_equal(modality.prepare(batch, train=False)["x"], batch["x"])
    with pytest.raises(InvalidInputError, match=r"give nnx\.Rngs a stream 'sample'"):
        modality.prepare(batch, train=True)


def broken(*changes: tuple[tuple[int, ...], float]) -> dict[str, np.ndarray]:
    """Three examples of acetate in five places, of which numbers of the last are changed."""
    stored = graphs(["CC(=O)[O-]"] * 3, max_atoms=5)
    for place, value in changes:
        stored["x"][(2, *place)] = value
    return stored


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([((0, 11), 2.0)], "has different orders from atom 0 to 1 and back"),
        ([((0, 11), 1.5), ((1, 10), 1.5)], "has an order that is not 0, 1, 2 or 3 between the atoms 0 and 1"),
        ([((0, 11), -1.0), ((1, 10), -1.0)], "has an order that is not 0, 1, 2 or 3 between the atoms 0 and 1"),
        ([((0, 12), np.nan)], "has an order that is not 0, 1, 2 or 3 between the atoms 0 and 2"),
        ([((2, 9), 0.5)], "has a charge at atom 2 that is no whole number of electrons"),
        ([((2, 9), np.inf)], "has a number that is not finite at atom 2"),
        ([((2, 2), 0.0)], "has no element at atom 2"),
        ([((2, 3), 1.0)], "has more than one element at atom 2"),
        ([((2, 2), 0.7)], "has an element at atom 2 that is not 1"),
        ([((3, 14), 1.0)], "has a bond of atom 3 to 4, where there is no atom"),
        ([((1, 11), 2.0)], "has a bond of atom 1 with itself"),
    ],
)
def test_stored_data_that_are_no_graphs(changes, message: str):
    with pytest.raises(InvalidInputError, match=rf"^x\[9\] {message}; mend it, or leave the example out"):
        form(max_atoms=5).check(broken(*changes), first_row=7)
    form(max_atoms=5).check({key: value[:2] for key, value in broken(*changes).items()})


def test_what_does_not_fit():
    modality, stored = form(max_atoms=5), broken()
    empty = {"x": np.zeros((1, 5, 15), np.float32)}
    with pytest.raises(InvalidInputError, match=r"x\[4\] has no atom; mend it"):
        modality.check(empty, first_row=4)
    unset = {"x": stored["x"] * (np.arange(5) != 3)[:, None]}  # of an atom that is gone a bond is left
    with pytest.raises(InvalidInputError, match=r"x\[0\] has a bond of atom 1 to 3, where there is no atom"):
        modality.check(unset)
    with pytest.raises(InvalidInputError, match=r"mask has shape \(3, 4\), x \(3, 5, 15\)"):
        modality.check({**stored, "mask": stored["mask"][:, :4]})
    for shape in ((3, 4, 15), (3, 5, 14), (5, 15)):
        with pytest.raises(InvalidInputError, match=r"representation='graph' means \(batch, 5, 15\)"):
            modality.prepare({"x": np.zeros(shape, np.float32)}, train=False)
        with pytest.raises(InvalidInputError, match=r"representation='graph' means \(batch, 5, 15\)"):
            modality.to_host(np.zeros(shape))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"elements": ["C"]}, "'elements' are those of graphs; leave them out of representation='smiles'"),
        ({"representation": "graph", "elements": ["C", "c"]}, "'c' in 'elements' is the symbol of no element"),
        ({"representation": "graph", "elements": ["C", "N", "C"]}, "'elements' have 'C' twice; leave one out"),
        ({"representation": "graph", "vocabulary": ["<end>", "C"]}, "a vocabulary is of SMILES or SELFIES"),
    ],
)
def test_configs_that_are_refused(given, message):
    for config in (MolecularModalityConfig, CommonMoleculesConfig):
        with pytest.raises(ValueError, match=message):
            config.from_dict(given)


def test_options_of_one_form_are_refused_in_others():
    with pytest.raises(ValueError, match="randomize_order orders the atoms of graphs; set representation to 'graph'"):
        MolecularModalityConfig(randomize_order=True)
    with pytest.raises(ValueError, match="randomize_positions turns molecules in space"):
        MolecularModalityConfig(representation="graph", randomize_positions=True)


def test_data_sets_give_graphs(tmp_path: Path):
    data = CommonMolecules(CommonMoleculesConfig(representation="graph", max_atoms=9, elements=("C", "N", "O")))
    chosen = [m for m in COMMON if m.GetNumAtoms() <= 9 and {a.GetSymbol() for a in m.GetAtoms()} <= {"C", "N", "O"}]
    assert len(data) == len(chosen) > 100
    modality = form(max_atoms=9, elements=("C", "N", "O"))
    for split in data.splits:
        arrays = data.arrays(split)
        modality.check(arrays)
        assert arrays["x"].dtype == np.float32
        assert [canonical_smiles(m) for m in modality.to_host(arrays["x"])] == [flat(m) for m in data.molecules(split)]
    texts = ["CCO", "[CH3]", "C[Si](C)(C)C", "CC"]
    (tmp_path / "a.smi").write_text("\n".join(texts) + "\n")
    config = MoleculeFileConfig(file=tmp_path / "a.smi", representation="graph", held_out=0.0)
    with pytest.raises(DataError, match=r"a\.smi, line 2: atom 0 \(C\) has 1 unpaired electron.*set damaged: skip"):
        MoleculeFile(config).arrays("train")
    skipping = MoleculeFile(config.replace(damaged="skip"))
    with pytest.warns(RunWarning, match="line 2 was left out, and perhaps more"):
        assert skipping.arrays("train")["mask"].sum(axis=1).tolist() == [3, 2]
    assert [s.reason.split(";")[0] for s in skipping.skipped][1].startswith("a molecule has Si, 'elements' are C, N")


def test_a_model_among_graphs():
    class Echo(nnx.Module):
        def __call__(self, x, *, rngs=None):
            return {"x": x}

        def generate(self, n_samples=1, *, rngs=None):
            raise AssertionError

        def reconstruct(self, x):
            return x + 0.4 * np.sin(np.arange(x[0].size)).reshape(1, *x.shape[1:])

    model = MolecularModelAdapter(form(max_atoms=6)).adapt_model(Echo())
    assert [canonical_smiles(m) for m in model.reconstruct(["OCC", parse_smiles("C1=CC=CC=C1")])] == ["CCO", "c1ccccc1"]


def test_samples_are_written_as_smiles(tmp_path: Path):
    samples = graphs(["C1=CC=CC=C1", "CC(C)(C)C", "C"], max_atoms=6)["x"]
    samples[1, 0, 11] = samples[1, 1, 10] = 2  # five pairs about a carbon
    samples[2] = 0
    modality = form(max_atoms=6)
    path = modality.save_samples(samples, tmp_path / "step_1")
    assert path == tmp_path / "step_1.smi"
    assert path.read_text() == "c1ccccc1\nC=C(C)(C)C # no molecule\n # no molecule\n"
    assert modality.texts(samples) == ["c1ccccc1", "C=C(C)(C)C", None]
    assert modality.draw_samples(samples, tmp_path / "step_1").read_bytes().startswith(b"\x89PNG")


def test_every_metric_but_stability_is_of_graphs_too():
    known = {"modality": "molecular", "available": frozenset({"samples", "references", "training"}), "examples": 5}
    facts = Facts(**known, spaces=frozenset({"host"}), representation="graph")
    entries = {e.name: e for e, plugin in registry().entries("metric") if plugin.distribution.endswith("-molecular")}
    refused = {name for name, entry in entries.items() if "representation" in obstacle(entry, facts)}
    assert refused == {"molecule_stable_atoms", "molecule_stable_molecules"}
    assert len(entries) == 11


def test_packed_graphs_of_none_have_the_shape():
    assert packed_graphs([], 9, 5)["x"].shape == (0, 5, 15)


def test_drawing_samples_says_nothing_of_radicals(tmp_path: Path, capfd):
    """RDKit draws up to three unpaired electrons, and writes of more on the error stream."""
    modality = MolecularModality(MolecularModalityConfig(representation="graph", max_atoms=2, elements=("C", "Na")))
    x = np.zeros((1, *modality.shape))
    x[0, 0, 1:3] = 1, 5
    assert Chem.MolFromSmiles(*modality.texts(x)).GetAtomWithIdx(0).GetNumRadicalElectrons() > 3
    assert modality.draw_samples(x, tmp_path / "made").is_file()
    assert capfd.readouterr().err == ""
