"""The modality, its adapter, its data sets and what it registers."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from rdkit import Chem

from artifex.core import plugins, protocols
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError, RunWarning
from artifex.core.plugins import resolve
from artifex.modalities.molecular import (
    MolecularModality,
    MolecularModalityConfig,
    MolecularModelAdapter,
    canonical_smiles,
    conformer,
    parse_smiles,
    to_selfies,
    vocabulary_of,
)
from artifex.modalities.molecular.datasets import (
    CommonMolecules,
    CommonMoleculesConfig,
    MoleculeFile,
    MoleculeFileConfig,
    MosesMolecules,
    MosesMoleculesConfig,
    QM9Molecules,
    QM9MoleculesConfig,
)
from artifex.modalities.molecular.graphs import ZINC

SPACE = MolecularModalityConfig(representation="conformer", max_atoms=12)


def test_it_follows_the_protocols():
    modality = MolecularModality()
    for name in ("ModalityProtocol", "ChecksData", "DrawsSamples", "FitsData", "HasHostForm"):
        assert isinstance(modality, getattr(protocols, name))
    assert isinstance(MolecularModelAdapter(modality), protocols.ModelAdapter)
    assert modality == MolecularModality(MolecularModalityConfig(), rngs=nnx.Rngs(0))
    assert hash(modality) == hash(MolecularModality(None))


def test_all_common_molecules_come_back_from_tokens():
    data = CommonMolecules(CommonMoleculesConfig(held_out=0.0, max_length=120))
    arrays, modality = data.arrays("train"), MolecularModality(MolecularModalityConfig(max_length=120))
    prepared = jax.jit(lambda batch: modality.prepare(batch, train=True))(arrays)
    again = modality.to_host(np.asarray(prepared["x"]))
    assert [canonical_smiles(m) for m in again] == [canonical_smiles(m) for m in data.molecules("train")]
    assert_array_equal(arrays["mask"].sum(axis=1), [np.flatnonzero(row == 0)[0] + 1 for row in arrays["x"]])
    modality.check(arrays)


def test_selfies_are_always_molecules():
    pytest.importorskip("selfies")
    texts = [to_selfies(s) for s in ("CCO", "c1ccccc1", "CC(=O)N", "C#N")]
    vocabulary = vocabulary_of(texts, "selfies")
    modality = MolecularModality(MolecularModalityConfig(representation="selfies", max_length=12, vocabulary=vocabulary))
    rng = np.random.default_rng(0)
    drawn = modality.to_host(rng.integers(1, len(vocabulary), (100, 12)))
    assert sum(m is not None for m in drawn) > 90  # the others are empty
    batch = MolecularModelAdapter(modality).preprocess(["CCO"])
    assert canonical_smiles(modality.to_host(np.asarray(batch["x"]))[0]) == "CCO"


def test_molecules_in_space_go_and_come_back():
    found = conformer(parse_smiles("CCO"), seed=1).molecule
    modality = MolecularModality(SPACE)
    batch = MolecularModelAdapter(modality).preprocess([found])
    assert batch["x"].shape == (1, 12, 8)
    assert_allclose(batch["x"][0, :9, :3].mean(axis=0), 0, atol=1e-6)
    assert_array_equal(batch["x"][0, 9:], 0)
    (again,) = modality.to_host(np.asarray(batch["x"]), np.asarray(batch["mask"]))
    assert canonical_smiles(Chem.RemoveHs(again)) == "CCO"
    moved = found.GetConformer().GetPositions()
    assert_allclose(again.GetConformer().GetPositions(), moved - moved.mean(axis=0), atol=1e-5)


def test_turns_are_drawn_in_training_alone_and_keep_distances():
    modality = MolecularModality(SPACE.replace(randomize_positions=True))
    x = np.zeros((2, 12, 8), np.float32)
    x[:, :4, :3] = np.random.default_rng(0).normal(size=(2, 4, 3))
    x[:, :4, 4] = 1
    x[:, 4:, :3] = np.nan  # padded
    mask = np.arange(12)[None].repeat(2, 0) < 4
    turned = modality.prepare({"x": x, "mask": mask}, rngs=nnx.Rngs(1), train=True)["x"]
    plain = modality.prepare({"x": x, "mask": mask}, train=False)["x"]
    assert np.abs(turned - plain).max() > 0.1
    for a in (turned, plain):
        assert np.isfinite(a).all()
    distances = [np.linalg.norm(a[:, :4, None, :3] - a[:, None, :4, :3], axis=-1) for a in (turned, plain)]
    assert_allclose(*distances, atol=1e-5)
    with pytest.raises(InvalidInputError, match=r"give nnx\.Rngs a stream 'sample'"):
        modality.prepare({"x": x, "mask": mask}, train=True)
    own = MolecularModality(modality.config, rngs=nnx.Rngs(0))
    assert own.prepare({"x": x, "mask": mask}, train=True)["x"].shape == (2, 12, 8)


def test_samples_are_written_and_drawn(tmp_path: Path):
    modality = MolecularModality(MolecularModalityConfig(max_length=6))
    samples = np.array([[1, 1, 5, 0, 0, 0], [17, 1, 0, 0, 0, 0]])
    path, picture = modality.save_samples(samples, tmp_path / "step_1"), modality.draw_samples(samples, tmp_path / "step_1")
    assert path == tmp_path / "step_1.smi"
    assert path.read_text() == "CCO\n(C # no molecule\n"
    assert picture == tmp_path / "step_1.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    nothing = modality.draw_samples(samples[1:], tmp_path / "none")
    assert nothing.read_bytes().startswith(b"\x89PNG")
    assert nothing.read_bytes() != picture.read_bytes()


def test_samples_in_space_are_an_sdf_file(tmp_path: Path):
    modality = MolecularModality(SPACE)
    x = np.asarray(MolecularModelAdapter(modality).preprocess([conformer(parse_smiles("CCO"), seed=1).molecule])["x"])
    samples = np.concatenate([x, np.full_like(x, np.nan)])
    assert modality.to_host(samples)[1] is None
    assert modality.save_samples(samples, tmp_path / "step_1") == tmp_path / "step_1.sdf"
    assert modality.draw_samples(samples, tmp_path / "step_1") == tmp_path / "step_1.png"
    (read,) = Chem.SDMolSupplier(str(tmp_path / "step_1.sdf"), removeHs=False)
    assert read.GetNumAtoms() == 9
    assert_allclose(read.GetConformer().GetPositions(), x[0, :9, :3], atol=1e-3)


def test_what_does_not_fit():
    modality, space = MolecularModality(MolecularModalityConfig(max_length=6)), MolecularModality(SPACE)
    with pytest.raises(InvalidInputError, match="has the key 'x'"):
        modality.prepare({"mask": np.ones(3)}, train=False)
    with pytest.raises(InvalidInputError, match=r"means \(batch, at most 6\)"):
        modality.prepare({"x": np.zeros((2, 7), int)}, train=False)
    with pytest.raises(InvalidInputError, match="tokens are whole numbers, got float32"):
        modality.prepare({"x": np.zeros((2, 6), np.float32)}, train=False)
    with pytest.raises(InvalidInputError, match=r"x\[8\] holds 95, the vocabulary has 92 tokens"):
        modality.check({"x": np.array([[0], [95]])}, first_row=7)
    bad = np.zeros((1, 12, 8), np.float32)
    bad[0, 2, 0] = np.inf
    with pytest.raises(InvalidInputError, match=r"x\[0\] has no finite position for atom 2"):
        space.check({"x": bad})
    with pytest.raises(InvalidTypeError, match="takes a MolecularModalityConfig"):
        MolecularModality("smiles")
    with pytest.raises(InvalidTypeError, match=r"takes rngs=nnx\.Rngs"):
        MolecularModality(rngs=3)
    adapter = MolecularModelAdapter(modality)
    with pytest.raises(InvalidInputError, match=r"row 1: 'CCO junk' is no SMILES"):
        adapter.preprocess(["C", "CCO junk"])
    with pytest.raises(InvalidInputError, match="row 1: None is neither a SMILES nor a molecule of RDKit; leave it out"):
        adapter.preprocess(["C", None])
    with pytest.raises(InvalidInputError, match="has 7 tokens and an end, max_length is 6"):
        adapter.preprocess(["CCCCCCC"])
    with pytest.raises(InvalidInputError, match=r"has the token '\[U\]', which the vocabulary lacks"):
        adapter.preprocess(["[U]"])
    with pytest.raises(InvalidInputError, match="a molecule has Cl; in space they are made of H, C, N, O, F"):
        MolecularModelAdapter(space).preprocess([conformer(parse_smiles("CCl"), seed=1).molecule])
    with pytest.raises(InvalidInputError, match="a molecule has no positions"):
        MolecularModelAdapter(space).preprocess(["C"])
    with pytest.raises(InvalidTypeError, match="takes a MolecularModality"):
        MolecularModelAdapter(None)
    with pytest.raises(InvalidTypeError, match="takes a model with __call__"):
        adapter.adapt_model(3)


@pytest.mark.parametrize(
    ("data", "given", "message"),
    [
        ({}, {}, None),
        ({}, {"vocabulary": ["<end>", "C", "c"]}, "of 'vocabulary' at place 3, the data set has 'N', the modality none"),
        (
            {"vocabulary": ["<end>", "O", "C"]},
            {"vocabulary": ["<end>", "C", "O"]},
            "at place 1, the data set has 'O', the modality 'C'",
        ),
        ({"representation": "graph"}, {"representation": "graph", "elements": list(ZINC)}, None),
        (
            {"representation": "graph", "elements": ["C", "O", "N"]},
            {"representation": "graph", "elements": ["C", "N", "O"]},
            "of 'elements' at place 1, the data set has 'O', the modality 'N'; give both the same",
        ),
        ({"representation": "graph"}, {}, "the data set has representation='graph', the modality 'smiles'; give both the same"),
    ],
)
def test_data_set_and_modality_need_the_same_form(data, given, message):
    dataset, modality = (
        CommonMolecules(CommonMoleculesConfig.from_dict(data)),
        MolecularModality(MolecularModalityConfig(**given)),
    )
    if message is None:
        assert modality.fitted(dataset, "train") is modality
        return
    with pytest.raises(DataError, match=message):
        modality.fitted(dataset, "train")
    advice = {"vocabulary": (), "elements": ()} | data
    assert MolecularModality(modality.config.replace(**advice)).fitted(dataset, "train")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"representation": "selfies"}, "SELFIES have no vocabulary that serves all"),
        ({"vocabulary": ["C"]}, "the first token of a vocabulary is '<end>'"),
        ({"vocabulary": ["<end>", "C", "C"]}, "has 'C' twice"),
        ({"randomize_positions": True}, "turns molecules in space"),
    ],
)
def test_configs_that_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        MolecularModalityConfig.from_dict(given)


class Echo(nnx.Module):
    """Gives back what it is given, and ethanol."""

    def __call__(self, x, *, mask=None, rngs=None):
        return {"x": x}

    def generate(self, n_samples=1, *, rngs=None):
        return jnp.tile(jnp.array([[1, 1, 5, 0, 0, 0]]), (n_samples, 1))

    def reconstruct(self, x, *, mask=None):
        return x

    def log_prob(self, x, *, mask=None):
        return -jnp.sum(mask, axis=1).astype(jnp.float32)


def test_a_model_among_molecules():
    model = MolecularModelAdapter(MolecularModality(MolecularModalityConfig(max_length=6))).adapt_model(Echo())
    assert [canonical_smiles(m) for m in model.generate(2)] == ["CCO", "CCO"]
    assert [canonical_smiles(m) for m in model.reconstruct(["OC", "CN"])] == ["CO", "CN"]
    assert model.log_prob(["CCC"]).tolist() == [-4.0]
    assert model(["C"])["x"].shape == (1, 6)
    assert not hasattr(model, "encode")


def test_smiles_csv_and_sdf_hold_the_same(tmp_path: Path):
    texts = ["CCO", "c1ccccc1", "CC(=O)O"]
    (tmp_path / "a.smi").write_text("# three\nCCO ethanol\n\nc1ccccc1\tbenzene\nCC(=O)O\n")
    (tmp_path / "a.csv").write_text("name,Smiles\nethanol,CCO\nbenzene,c1ccccc1\nacid,CC(=O)O\n")
    with gzip.open(tmp_path / "a.tsv.gz", "wt") as file:
        file.write("text\tn\nCCO\t1\nc1ccccc1\t2\nCC(=O)O\t3\n")
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        for text in texts:
            writer.write(Chem.MolFromSmiles(text))
    for name, how in (("a.smi", {}), ("a.csv", {}), ("a.tsv.gz", {"column": "text"}), ("a.sdf", {})):
        data = MoleculeFile(MoleculeFileConfig(file=tmp_path / name, held_out=0.0, **how))
        assert [canonical_smiles(m) for m in data.molecules("train")] == [canonical_smiles(parse_smiles(t)) for t in texts]
        assert len(data) == 3


def test_hydrogens_of_an_sdf_file_change_neither_tokens_nor_splits(tmp_path: Path):
    texts = [canonical_smiles(m) for m in CommonMolecules(CommonMoleculesConfig()).molecules("test")][:12]
    (tmp_path / "a.smi").write_text("\n".join(texts) + "\n")
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        for text in texts:
            writer.write(Chem.AddHs(Chem.MolFromSmiles(text)))
    lines, records = (MoleculeFile(MoleculeFileConfig(file=tmp_path / name, max_length=120)) for name in ("a.smi", "a.sdf"))
    assert lines.splits == records.splits == ("test",)
    assert_array_equal(records.arrays("test")["x"], lines.arrays("test")["x"])


def test_positions_of_an_sdf_file_are_kept(tmp_path: Path):
    found = conformer(parse_smiles("CO"), seed=5).molecule
    with Chem.SDWriter(str(tmp_path / "a.sdf")) as writer:
        writer.write(found)
    config = MoleculeFileConfig(file=tmp_path / "a.sdf", representation="conformer", max_atoms=8, held_out=0.0)
    x = MoleculeFile(config).arrays("train")["x"][0, :6, :3]
    wanted = found.GetConformer().GetPositions()
    assert_allclose(x, wanted - wanted.mean(axis=0), atol=2e-4)  # four decimals in the file
    (tmp_path / "a.smi").write_text("CO\n")
    drawn = MoleculeFile(config.replace(file=tmp_path / "a.smi")).arrays("train")  # ETKDG's
    assert drawn["mask"].sum() == 6


@pytest.mark.parametrize(
    ("name", "text", "how", "message"),
    [
        ("a.smi", "CCO\nC(\n", {}, r"a\.smi, line 2: 'C\(' is no molecule; if it cannot be mended, set damaged: skip"),
        ("a.csv", "a,smiles\n1,CCO\n2,\n", {}, r"a\.csv, line 3: '' is no molecule"),
        ("a.csv", "a,b\n1,CCO\n", {}, "has no column of SMILES; its columns are a, b"),
        ("a.csv", "a,b\n1,CCO\n", {"column": "c"}, "has no column called 'c'"),
        ("a.xyz", "1\n", {}, "has none of the suffixes"),
        ("a.smi", "\n", {}, "holds no molecule"),
        ("a.sdf", "junk\nno\nmolfile\nat all\n$$$$\n", {}, r"a\.sdf, record 1"),
        ("a.smi", "CCCCCCCC\n", {"max_length": 5}, r"line 1: CCCCCCCC has 8 tokens and an end, max_length is 5"),
        (
            "a.smi",
            "CCCC\n",
            {"representation": "conformer", "max_atoms": 5},
            r"a molecule has 14 atoms, max_atoms is 5",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, name, text, how, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        MoleculeFile(MoleculeFileConfig(file=tmp_path / name, **how)).arrays("train")


def test_rows_that_are_skipped_are_told(tmp_path: Path):
    (tmp_path / "a.smi").write_text("CCO\nC(\n[U]\n")
    data = MoleculeFile(MoleculeFileConfig(file=tmp_path / "a.smi", damaged="skip", held_out=0.0))
    with pytest.warns(RunWarning, match="line 2 was left out, and perhaps more"):
        assert len(data) == 1
    assert [s.where.rpartition(" ")[2] for s in data.skipped] == ["2", "3"]


def test_splits_do_not_share_molecules_and_do_not_move(tmp_path: Path):
    data = CommonMolecules(CommonMoleculesConfig())
    parts = {split: {canonical_smiles(m) for m in data.molecules(split)} for split in data.splits}
    assert sum(map(len, parts.values())) == len(data)
    assert 0.05 < len(parts["test"]) / len(data) < 0.16
    (tmp_path / "a.smi").write_text("\n".join([*parts["test"], "C" * 13]) + "\n")
    again = MoleculeFile(MoleculeFileConfig(file=tmp_path / "a.smi"))
    assert {canonical_smiles(m) for m in again.molecules("test")} >= parts["test"]
    with pytest.raises(InvalidInputError, match="no split 'tests'; its splits are train, test, validation"):
        data.arrays("tests")


def test_packaged_sets_say_what_is_missing(tmp_path: Path):
    with pytest.raises(DataError, match=r"there is no file .*qm9_part1\.csv"):
        QM9Molecules(QM9MoleculesConfig(folder=tmp_path)).arrays("train")
    with pytest.raises(DataError, match=r"there is no file .*train\.csv\.gz"):
        MosesMolecules(MosesMoleculesConfig(folder=tmp_path)).arrays("train")
    for part in (1, 2, 3):
        (tmp_path / f"qm9_part{part}.csv").write_text(f"N_atoms,SMILES\n5,{'C' * part}\n3,O\n")
    data = QM9Molecules(QM9MoleculesConfig(folder=tmp_path, held_out=0.0, most=1))
    assert [canonical_smiles(m) for m in data.molecules("train")] == ["C", "CC", "CCC"]
    for name, text in (("train", "C"), ("test", "CC")):
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt") as file:
            file.write(f"SMILES\n{text}\n")
    moses = MosesMolecules(MosesMoleculesConfig(folder=tmp_path))
    assert {split: canonical_smiles(moses.molecules(split)[0]) for split in moses.splits} == {"train": "C", "test": "CC"}


def test_everything_registered_resolves():
    registry = plugins.registry()
    found = 0
    for kind in ("modality", "dataset", "metric"):
        for entry, plugin in registry.entries(kind):
            if plugin.distribution == "artifex-modalities-molecular":
                found += 1
                assert resolve(getattr(entry, kind)) is not None
                if kind != "metric":
                    assert resolve(entry.config) is not None
    assert found == 1 + 4 + 11


def test_the_suite_names_what_is_registered():
    read_suite = pytest.importorskip("artifex.evaluation.suites").read_suite
    (task,) = read_suite("common-molecules").tasks
    known = {entry.name for entry, _ in plugins.registry().entries("metric")}
    assert set(task.metrics) <= known


def test_listing_imports_neither_jax_nor_rdkit():
    code = "import sys, artifex.modalities.molecular.plugin as p; p.artifex_metrics(); "
    code += "assert not {'jax', 'rdkit'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_long_paths_hand_on_the_same_objects():
    import artifex.benchmarks.metrics.molecular as figures
    import artifex.data.molecular as data
    import artifex.generative_models.modalities.molecular as long
    import artifex.modalities.molecular as short

    assert long.MolecularModality is short.MolecularModality
    assert set(long.__all__) == set(short.__all__)
    assert all(getattr(long, name) is getattr(short, name) for name in short.__all__)
    assert data.MoleculeFile is MoleculeFile
    assert figures.qed is short.qed
