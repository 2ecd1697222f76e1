"""The modality, its adapter, its data sets and what it registers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gemmi
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core import plugins, protocols
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError, RunWarning
from artifex.core.plugins import resolve
from artifex.modalities.protein import (
    Protein,
    ProteinModality,
    ProteinModalityConfig,
    ProteinModelAdapter,
    read_proteins,
    sequence_types,
    write_proteins,
)
from artifex.modalities.protein.datasets import ProteinDataset, ProteinDatasetConfig, ProteinFolds, ProteinFoldsConfig

FOLDS = ProteinFolds(ProteinFoldsConfig(n_train=6, n_held_out=2))
LENGTH = 40


def test_it_follows_the_protocols():
    modality = ProteinModality()
    for protocol in (protocols.ModalityProtocol, protocols.ChecksData, protocols.HasHostForm, protocols.Restores):
        assert isinstance(modality, protocol)
    assert isinstance(ProteinModelAdapter(modality), protocols.ModelAdapter)
    assert modality == ProteinModality(ProteinModalityConfig(), rngs=nnx.Rngs(0))
    assert hash(modality) == hash(ProteinModality(None))


@pytest.mark.parametrize(("atoms", "shape"), [("alpha", (5, 3)), ("backbone", (5, 4, 3)), ("all", (5, 37, 3))])
def test_the_shape_of_an_example(atoms, shape):
    assert ProteinModality(ProteinModalityConfig(max_seq_length=5, atoms=atoms)).shape == shape


def test_prepared_chains_lie_about_the_origin_and_come_back():
    modality = ProteinModality(ProteinModalityConfig(max_seq_length=LENGTH, scale=10.0))
    arrays = FOLDS.arrays("train")
    moved = {**arrays, "x": arrays["x"] + 50.0}
    moved["x"][~arrays["mask"]] = np.nan  # what stands in padded places changes nothing
    prepared = jax.jit(lambda batch: modality.prepare(batch, train=True))(moved)
    x, mask = np.asarray(prepared["x"]), arrays["mask"]
    assert np.isfinite(x).all()
    assert_array_equal(x[~mask], 0)
    for row, kept in zip(x, mask, strict=True):
        assert_allclose(row[kept, 1].mean(axis=0), 0, atol=1e-5)
    back = np.asarray(modality.restore(x))
    assert_allclose(back, np.where(mask[..., None, None], arrays["x"], 0), atol=1e-4)
    for protein, wanted in zip(modality.to_host(x, mask), FOLDS.split("train"), strict=True):
        assert len(protein) == len(wanted)
        centred = wanted.positions - wanted.atom("CA").mean(axis=0)
        assert_allclose(protein.positions[:, :4], centred[:, :4], atol=1e-4)


def test_turns_are_drawn_in_training_alone_and_reflect_nothing():
    modality = ProteinModality(ProteinModalityConfig(max_seq_length=LENGTH, rotate=True))
    arrays = FOLDS.arrays("train")
    turned = modality.prepare(arrays, rngs=nnx.Rngs(1), train=True)["x"]
    plain = modality.prepare(arrays, train=False)["x"]
    assert np.abs(turned - plain).max() > 1
    for one, other, kept in zip(np.asarray(turned), np.asarray(plain), arrays["mask"], strict=True):
        a, b = one[kept, 1], other[kept, 1]
        assert_allclose(a @ a.T, b @ b.T, atol=2e-2)  # Å², of hundreds
        assert np.linalg.det(a[:3]) * np.linalg.det(b[:3]) > 0
    with pytest.raises(InvalidInputError, match=r"give nnx\.Rngs a stream 'sample'"):
        modality.prepare(arrays, train=True)
    assert ProteinModality(modality.config, rngs=nnx.Rngs(0)).prepare(arrays, train=True)["x"].shape == plain.shape


def test_crops_are_stretches_of_the_chain():
    modality = ProteinModality(ProteinModalityConfig(max_seq_length=LENGTH, crop=12, center=False))
    arrays = FOLDS.arrays("train")
    cut = modality.prepare(arrays, rngs=nnx.Rngs(2), train=True)
    assert cut["x"].shape == (6, 12, 4, 3)
    assert cut["mask"].all()  # every chain has as many
    starts = np.asarray(cut["residue_index"][:, 0])
    assert len(set(starts.tolist())) > 1
    for row, start in enumerate(starts):
        assert_array_equal(cut["residue_index"][row], start + np.arange(12))
        assert_allclose(cut["x"][row], arrays["x"][row, start : start + 12])
        assert start + 12 <= arrays["mask"][row].sum()
    first = modality.prepare(arrays, train=False)
    assert_allclose(first["x"], arrays["x"][:, :12])


def test_all_atoms_and_alpha_carbons(tmp_path: Path):
    x, mask = np.zeros((2, 37, 3)), np.zeros((2, 37), bool)
    mask[:, :5] = True
    x[:, :5] = np.random.default_rng(0).normal(size=(2, 5, 3)) + np.array([[[0, 0, 0]], [[3.8, 0, 0]]])
    protein = Protein.from_positions(x, atom_mask=mask, residue_type=sequence_types("AA"))
    everything = ProteinModelAdapter(ProteinModality(ProteinModalityConfig(max_seq_length=4, atoms="all")))
    batch = everything.preprocess([protein])
    assert_array_equal(batch["atom_mask"][0, :2], mask)
    (again,) = everything.postprocess(batch["x"])
    assert_array_equal(again.atom_mask, mask)
    assert_allclose((again.positions - again.atom("CA")[0])[mask], (x - x[0, 1])[mask], atol=1e-5)
    alpha = ProteinModelAdapter(ProteinModality(ProteinModalityConfig(max_seq_length=4, atoms="alpha")))
    (carbons,) = alpha.postprocess(alpha.preprocess(protein)["x"])
    assert carbons.atom_mask.sum() == 2
    path = alpha.modality.save_samples(np.asarray(alpha.preprocess(protein)["x"]), tmp_path / "alpha")
    assert len(read_proteins(path)[0]) == 2


def test_samples_are_the_models_of_one_pdb_file(tmp_path: Path):
    import biotite.structure.io.pdb as pdb

    modality = ProteinModality(ProteinModalityConfig(max_seq_length=LENGTH))
    x = np.asarray(modality.prepare(FOLDS.arrays("train"), train=False)["x"])
    samples = np.concatenate([x, np.full_like(x[:1], np.nan), np.zeros_like(x[:1])])
    hosts = modality.to_host(samples)
    assert [p is None for p in hosts] == [False] * 6 + [True] * 2
    path = modality.save_samples(samples, tmp_path / "step_1")
    assert path == tmp_path / "step_1.pdb"
    structure = gemmi.read_structure(str(path))
    assert len(structure) == 6
    for i, protein in enumerate(hosts[:6]):
        atoms = pdb.PDBFile.read(str(path)).get_structure(model=i + 1)
        assert_allclose(atoms.coord, protein.positions[protein.atom_mask], atol=1e-3)
    nothing = modality.save_samples(np.full_like(x, np.nan), tmp_path / "none")
    assert "NONE OF 6 SAMPLES HAS FINITE POSITIONS" in nothing.read_text()


def test_what_does_not_fit():
    modality = ProteinModality(ProteinModalityConfig(max_seq_length=LENGTH))
    arrays = FOLDS.arrays("train")
    modality.check(arrays)
    with pytest.raises(InvalidInputError, match="has the key 'x'"):
        modality.prepare({}, train=False)
    for shape in ((2, 41, 4, 3), (2, 8, 5, 3), (2, 8, 3)):
        with pytest.raises(InvalidInputError, match=r"means \(batch, at most 40, 4, 3\)"):
            modality.prepare({"x": np.zeros(shape)}, train=False)
    broken = {**arrays, "x": arrays["x"].copy()}
    broken["x"][1, 3, 2, 0] = np.inf
    with pytest.raises(InvalidInputError, match=r"x\[8\] has no finite position for atom 2 of residue 3"):
        modality.check(broken, first_row=7)
    with pytest.raises(InvalidInputError, match=r"in proteins it is 3\.8 Å: give positions in Å"):
        modality.check({**arrays, "x": arrays["x"] / 10})
    with pytest.raises(InvalidTypeError, match="takes a ProteinModalityConfig"):
        ProteinModality(3)
    with pytest.raises(InvalidTypeError, match=r"takes rngs=nnx\.Rngs"):
        ProteinModality(rngs=3)
    with pytest.raises(ValueError, match="crop=50 is longer than max_seq_length=40"):
        ProteinModalityConfig(max_seq_length=40, crop=50)
    adapter = ProteinModelAdapter(ProteinModality(ProteinModalityConfig(max_seq_length=8)))
    protein = FOLDS.split("train")[0]
    with pytest.raises(InvalidInputError, match="residues, max_seq_length is 8"):
        adapter.preprocess([protein])
    with pytest.raises(InvalidInputError, match="residue 1 of protein 0 lacks atoms that atoms='backbone' needs"):
        adapter.preprocess([Protein.from_positions(np.ones((2, 4, 3)), atom_mask=np.array([[True] * 4, [True] * 3 + [False]]))])
    for data, what in (([protein, None], "row 1 is a NoneType"), (np.zeros((4, 4, 3)), "row 0 is a ndarray"), (3, "a int")):
        with pytest.raises(InvalidTypeError, match=rf"{what}.*neither a Protein nor a file; Protein\.from_positions"):
            adapter.preprocess(data)
    with pytest.raises(InvalidInputError, match="there is no protein among these data"):
        adapter.preprocess([])
    with pytest.raises(InvalidTypeError, match="takes a ProteinModality"):
        ProteinModelAdapter(None)
    with pytest.raises(InvalidTypeError, match="takes a model with __call__"):
        adapter.adapt_model(3)


class Echo(nnx.Module):
    """Gives back what it is given, and one residue."""

    def __call__(self, x, *, mask=None, rngs=None):
        return {"x": x}

    def generate(self, n_samples=1, *, rngs=None):
        return jnp.zeros((n_samples, 8, 4, 3)).at[:, 0].set(1.0)

    def reconstruct(self, x, *, mask=None):
        return x


def test_a_model_among_proteins_and_their_files(tmp_path: Path):
    protein = FOLDS.split("train")[0].select(range(8))
    path = write_proteins(protein, tmp_path / "one.pdb")
    model = ProteinModelAdapter(ProteinModality(ProteinModalityConfig(max_seq_length=8))).adapt_model(Echo())
    assert [len(p) for p in model.generate(2)] == [1, 1]
    (again,) = model.reconstruct(path)
    moved = protein.positions[:, :4] - protein.atom("CA").mean(axis=0)
    assert_allclose(again.positions[:, :4], moved, atol=2e-3)
    assert model([protein])["x"].shape == (1, 8, 4, 3)
    assert not hasattr(model, "encode")


def folder_of(tmp_path: Path, n: int = 20) -> Path:
    proteins = ProteinFolds(ProteinFoldsConfig(n_train=n, n_held_out=1)).split("train")
    for i, protein in enumerate(proteins):
        write_proteins(protein, tmp_path / f"made_{i:02d}.pdb")
    return tmp_path


def test_a_folder_of_structures(tmp_path: Path):
    data = ProteinDataset(ProteinDatasetConfig(max_seq_length=64), data_dir=folder_of(tmp_path))
    assert len(data) == 20
    assert data.splits == ("train", "test", "validation")
    arrays = {split: data.arrays(split) for split in data.splits}
    assert [len(a["x"]) for a in arrays.values()] == [16, 2, 2]
    train = arrays["train"]
    assert {key: value.shape[1:] for key, value in train.items()} == {
        "x": (64, 4, 3), "mask": (64,), "residue_index": (64,), "chain": (64,), "residue_type": (64,), "bucket": (),
    }  # fmt: skip
    lengths = train["mask"].sum(axis=1)
    assert_array_equal(train["bucket"], -(-lengths // 32) * 32)
    assert_allclose([x[m, 1].mean(axis=0) for x, m in zip(train["x"], train["mask"], strict=True)], 0, atol=1e-4)
    ProteinModality(ProteinModalityConfig(max_seq_length=64)).check(train)
    before = {p.source.name for p in data.split("test")}
    write_proteins(data.proteins[0], tmp_path / "one_more.pdb")  # who held out is, does not depend on order
    more = ProteinDataset(ProteinDatasetConfig(max_seq_length=64), data_dir=tmp_path)
    assert before <= {p.source.name for p in more.split("test")} | {p.source.name for p in more.split("validation")} | {
        "one_more.pdb"
    }
    assert data[3]["x"].shape == (64, 4, 3)
    plain = ProteinDataset(ProteinDatasetConfig(max_seq_length=64, residue_types=False, bucket_step=None), data_dir=tmp_path)
    assert set(plain.arrays("train")) == {"x", "mask", "residue_index", "chain"}


def test_what_is_skipped_is_told_with_its_reason(tmp_path: Path):
    folder_of(tmp_path, 3)
    (tmp_path / "empty.pdb").write_text("")
    (tmp_path / "words.cif").write_text("these are words\n")
    write_proteins(FOLDS.split("train")[0].select(range(2)), tmp_path / "short.pdb")
    (tmp_path / "notes.txt").write_text("not a structure")
    data = ProteinDataset(ProteinDatasetConfig(max_seq_length=64), data_dir=tmp_path)
    with pytest.warns(RunWarning, match="3 files or chains in .* were left out; the first: .*empty.pdb holds no atoms"):
        assert len(data) == 3
    reasons = {skipped.file.name: skipped.reason for skipped in data.skipped}
    assert set(reasons) == {"empty.pdb", "words.cif", "short.pdb"}
    assert "2 of 2 residues are complete, min_seq_length is 3" in reasons["short.pdb"]
    tight = ProteinDatasetConfig(max_seq_length=10)
    with pytest.raises(DataError, match=r"none of the 6 files .* can be used"):
        _ = ProteinDataset(tight, data_dir=tmp_path).proteins
    with pytest.warns(RunWarning):
        cut = ProteinDataset(tight.replace(longer="cut"), data_dir=tmp_path).proteins
    assert [len(p) for p in cut] == [10, 10, 10]


def test_files_of_alpha_carbons_say_which_setting_reads_them(tmp_path: Path):
    write_proteins(Protein.from_positions(3.8 * np.arange(15.0).reshape(5, 3)), tmp_path / "trace.pdb")
    (tmp_path / "folder.pdb").mkdir()  # no file, whatever its name
    with pytest.raises(DataError, match=r"none of the 1 files .* 0 of 5 residues are complete.*set atoms: alpha"):
        _ = ProteinDataset(data_dir=tmp_path).proteins
    assert len(ProteinDataset(ProteinDatasetConfig(atoms="alpha"), data_dir=tmp_path)) == 1


def test_folders_that_are_none(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="no folder is named: set data_dir"):
        ProteinDataset(ProteinDatasetConfig())
    with pytest.raises(DataError, match=r"holds no structures; files are expected to end in \.pdb"):
        _ = ProteinDataset(data_dir=tmp_path).proteins
    folder_of(tmp_path, 2)
    with pytest.raises(InvalidInputError, match="has no split 'test'; its splits are train"):
        ProteinDataset(data_dir=tmp_path).arrays("test")


def test_chains_of_a_file_apart_and_together(tmp_path: Path):
    one, other = (p.select(range(10)) for p in FOLDS.split("train")[:2])
    both = Protein(
        *(np.concatenate([getattr(p, name) for p in (one, other)]) for name in ("positions", "atom_mask", "residue_type")),
        np.concatenate([one.residue_index, other.residue_index]),
        np.repeat([0, 1], 10),
    )
    write_proteins(both, tmp_path / "two.pdb")
    assert [len(p) for p in ProteinDataset(data_dir=tmp_path).proteins] == [10, 10]
    data = ProteinDataset(ProteinDatasetConfig(example="file", max_seq_length=20), data_dir=tmp_path)
    assert_array_equal(data.arrays("train")["chain"][0], np.repeat([0, 1], 10))


def test_made_folds_are_sound_and_follow_their_seed():
    again = ProteinFolds(ProteinFoldsConfig(n_train=6, n_held_out=2))
    assert_array_equal(again.arrays("train")["x"], FOLDS.arrays("train")["x"])
    other = ProteinFolds(ProteinFoldsConfig(n_train=6, n_held_out=2, seed=1))
    assert np.abs(other.arrays("train")["x"] - FOLDS.arrays("train")["x"]).max() > 1
    assert np.abs(FOLDS.arrays("test")["x"] - FOLDS.arrays("validation")["x"]).max() > 1
    for protein in FOLDS.split("train"):
        assert 20 <= len(protein) <= 40
        apart = np.linalg.norm(protein.atom("CA")[:, None] - protein.atom("CA")[None], axis=-1)
        assert apart[np.triu_indices(len(protein), 3)].min() > 3.9
    with pytest.raises(InvalidInputError, match="no split 'tests'"):
        FOLDS.arrays("tests")
    with pytest.raises(ValueError, match="min_seq_length=50 exceeds max_seq_length=40"):
        ProteinFoldsConfig(min_seq_length=50)


def test_everything_registered_resolves():
    registry = plugins.registry()
    found = 0
    for kind in ("modality", "dataset", "extension", "metric"):
        for entry, plugin in registry.entries(kind):
            if plugin.distribution == "artifex-modalities-protein":
                found += 1
                assert resolve(getattr(entry, kind)) is not None
                if kind != "metric":
                    assert resolve(entry.config) is not None
    assert found == 1 + 2 + 2 + 14


def test_the_suite_names_what_is_registered():
    read_suite = pytest.importorskip("artifex.evaluation.suites").read_suite
    (task,) = read_suite("protein-folds").tasks
    known = {entry.name for entry, _ in plugins.registry().entries("metric")}
    assert set(task.metrics) <= known


def test_listing_imports_neither_jax_nor_gemmi():
    code = "import sys, artifex.modalities.protein.plugin as p; p.artifex_metrics(); "
    code += "assert not {'jax', 'gemmi'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_long_paths_hand_on_the_same_objects():
    import artifex.benchmarks.metrics.protein as figures
    import artifex.data.protein as data
    import artifex.generative_models.extensions.protein as extensions
    import artifex.generative_models.modalities.protein as long
    import artifex.modalities.protein as short

    assert set(long.__all__) == set(short.__all__)
    assert all(getattr(long, name) is getattr(short, name) for name in short.__all__)
    assert data.ProteinDataset is ProteinDataset
    assert extensions.BondAngleExtension is short.BondAngleExtension
    assert figures.tm_score is short.tm_score
