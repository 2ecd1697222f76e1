"""Sequences and secondary structure as tokens, from files to files; and how their compositions differ."""

from __future__ import annotations

import gzip
from collections import Counter
from io import StringIO
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError, RunWarning
from artifex.core.plugins import registry
from artifex.core.testing.metrics import check_invariance
from artifex.modalities.protein import (
    Protein,
    ProteinModality,
    ProteinModalityConfig,
    ProteinModelAdapter,
    metrics,
    read_proteins,
    read_sequences,
    sequence_types,
    write_proteins,
)
from artifex.modalities.protein.datasets import ProteinDataset, ProteinDatasetConfig, ProteinFolds, ProteinFoldsConfig
from artifex.modalities.protein.residues import LETTERS
from artifex.modalities.protein.tokens import TOKENS, decoded_letters, letters_of, packed_tokens

FOLDS = ProteinFolds(ProteinFoldsConfig(n_train=6, n_held_out=2))
LETTERED = pytest.mark.parametrize("form", ["sequence", "secondary"])
SAMPLES = {"sequence": ["MKV", "AAAX", "GWYG"], "secondary": ["caa", "bbbb", "cccc"]}


def modality(form: str, length: int = 6, **how) -> ProteinModality:
    return ProteinModality(ProteinModalityConfig(max_seq_length=length, representation=form, **how))


def sequences(count: int, length: int = 30) -> list[str]:
    rng = np.random.default_rng(0)
    law = rng.dirichlet(np.ones(21))
    return ["".join(rng.choice(list(LETTERS), rng.integers(1, length + 1), p=law)) for _ in range(count)]


def test_tokens_are_the_residue_types_behind_an_end():
    assert TOKENS["sequence"] == ("<end>", *"ARNDCQEGHILKMFPSTWYVX")
    assert TOKENS["secondary"] == ("<end>", "a", "b", "c")
    stored = packed_tokens([LETTERS], "sequence", 30)
    assert_array_equal(stored["x"][0, :21], sequence_types(LETTERS) + 1)
    assert_array_equal(stored["x"][0, 21:], 0)
    assert_array_equal(stored["mask"][0], np.arange(30) < 22)


@pytest.mark.parametrize("form", ["sequence", "secondary"])
@pytest.mark.parametrize("cases", [100, pytest.param(1000, marks=pytest.mark.nightly)])
def test_texts_come_back_whatever_their_length(form: str, cases: int):
    texts = sequences(cases) if form == "sequence" else ["".join("abc"[ord(c) % 3] for c in t) for t in sequences(cases)]
    made, stored = modality(form, 30), packed_tokens(texts, form, 30)
    made.check(stored)
    prepared = made.prepare(stored, train=True)
    for mask in (prepared["mask"], None):  # the end says it, too
        assert made.to_host(np.asarray(prepared["x"]), mask) == texts
    lengths = np.array([len(text) for text in texts])
    assert_array_equal(prepared["mask"].sum(axis=1), np.minimum(lengths + 1, 30))  # a full row has no end
    assert {30} < set(lengths)
    without = {"x": stored["x"]}
    assert_array_equal(made.prepare(without, train=False)["mask"], stored["mask"])
    made.check(without)


@LETTERED
def test_prepared_rows_are_whole_numbers_and_compiled_once(form: str):
    made, stored = modality(form), packed_tokens(SAMPLES[form], form, 6)
    traced = []

    @jax.jit
    def step(batch: dict) -> dict:
        traced.append(1)
        return made.prepare(batch, train=True)

    behind = {**stored, "x": np.where(stored["mask"], stored["x"], -7).astype(np.int16)}  # what stands there changes nothing
    for batch in (behind, behind):
        prepared = step(batch)
        assert prepared["x"].dtype == np.int32
        assert prepared["x"].shape == (3, *made.shape) == (3, 6)
        assert_array_equal(prepared["x"], stored["x"])
    assert len(traced) == 1
    assert_array_equal(made.restore(prepared["x"]), stored["x"])


@LETTERED
def test_crops_are_stretches_and_the_last_has_the_end(form: str):
    text = "".join(SAMPLES[form])
    made, stored = modality(form, 16, crop=6), packed_tokens([text] * 60, form, 16)
    cut = made.prepare(stored, rngs=nnx.Rngs(0), train=True)
    assert cut["x"].shape == (60, *made.shape) == (60, 6)
    found = {(row, int(x[-1]) == 0) for row, x in zip(made.to_host(np.asarray(cut["x"])), cut["x"], strict=True)}
    assert found == {(text[i : i + 6], i + 6 > len(text)) for i in range(len(text) - 4)}
    assert set(made.to_host(np.asarray(made.prepare(stored, train=False)["x"]))) == {text[:6]}


@LETTERED
def test_what_a_model_drew_badly_is_none(form: str, tmp_path: Path):
    made, letters = modality(form), SAMPLES[form]
    x = packed_tokens([*letters, "", letters[0], letters[0]], form, 6)["x"]
    x[:3, -1] = 1  # behind the end, where anything may stand
    x[4, 1], x[5, 1] = len(TOKENS[form]), -1
    hosts = made.to_host(x)
    assert hosts == [*letters, None, None, None]
    path = made.save_samples(x, tmp_path / "step_1")
    if form == "secondary":
        assert path == tmp_path / "step_1.txt"
        assert path.read_text().split("\n") == [*letters, "", "", "", ""]
        return
    assert path == tmp_path / "step_1.fasta"
    assert [(p.chain_names, p.sequence) for p in read_sequences(path)] == [
        ((f"sample_{i}",), s) for i, s in enumerate(letters, 1)
    ]
    none = made.save_samples(x[3:], tmp_path / "none")
    assert none.read_text() == ";none of 3 samples is a sequence\n"


def test_fasta_is_what_biotite_and_gemmi_read(tmp_path: Path):
    import gemmi
    from biotite.sequence.io.fasta import FastaFile

    texts = sequences(50, 200)
    made = modality("sequence", 200)
    path = made.save_samples(packed_tokens(texts, "sequence", 200)["x"], tmp_path / "many")
    named = {f"sample_{i}": text for i, text in enumerate(texts, 1)}
    assert dict(FastaFile.read(path).items()) == named
    assert {record.header: record.seq for record in gemmi.read_pir_or_fasta(path.read_text())} == named
    assert {p.chain_names[0]: p.sequence for p in read_sequences(path)} == named
    file = FastaFile(chars_per_line=70)
    file.update(named)
    with gzip.open(tmp_path / "theirs.fa.gz", "wt") as zipped:
        text = StringIO()
        file.write(text)
        zipped.write(text.getvalue())
    assert {p.chain_names[0]: p.sequence for p in read_sequences(tmp_path / "theirs.fa.gz")} == named


def test_what_fasta_files_hold_besides(tmp_path: Path):
    path = tmp_path / "odd.fasta"
    path.write_bytes(b"\xef\xbb\xbf; a remark\r\n>one first\r\nMK v\r\n\r\nBJ*\r\n>empty\r\n>two\r\nAC*\r\n")
    assert [(p.chain_names[0], p.sequence) for p in read_sequences(path)] == [("one first", "MKVXX"), ("two", "AC")]
    for text, match in (
        ("MKV\n", r"line 1 is 'MKV'; a FASTA file has a line that begins with >"),
        (">a\nMK-V\n", r"line 2 is 'MK-V'; a FASTA file has letters of amino acids alone; take the gaps .* out of it"),
        (">a\nMK..V\n", r"line 2 is 'MK\.\.V'; a FASTA file has letters of amino acids alone; take the gaps .* out of it"),
        (">a\nMK*\nV\n", r"line 3 is 'V'; a FASTA file has nothing behind the star that ends a sequence"),
        (">a\nMK*V\n", r"line 2 is 'MK\*V'"),
        (">a\n\n", "holds no sequence"),
        ("", "holds no sequence"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=match):
            read_sequences(path)
    path.write_bytes(b">M\xfcller \x0b 1\nMK\n>b\n\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read: line 4 is "):
        read_sequences(path)
    path.write_bytes(b">M\xfcller \x0b 1\rMK\r>b\rV")  # old line ends, and a name in another encoding
    assert [p.sequence for p in read_sequences(path)] == ["MK", "V"]
    path.write_bytes(gzip.compress(b">a\nMK\n")[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        read_sequences(path)
    with pytest.raises(DataError, match="there is no file"):
        read_sequences(tmp_path / "nowhere.fasta")


def test_a_folder_of_sequences_and_structures(tmp_path: Path):
    rng = np.random.default_rng(1)
    structures = [
        Protein.from_positions(p.positions[:, :4], residue_type=rng.integers(0, 20, len(p))) for p in FOLDS.split("train")
    ]
    for i, protein in enumerate(structures):
        write_proteins(protein, tmp_path / f"made_{i}.pdb")
    texts = sequences(40)
    (tmp_path / "many.fasta").write_text("".join(f">s{i}\n{text}\n" for i, text in enumerate(texts)))
    config = ProteinDatasetConfig(representation="sequence", max_seq_length=64)
    data, kept = ProteinDataset(config, data_dir=tmp_path), [text for text in texts if len(text) >= 3]
    with pytest.warns(RunWarning, match=r"min_seq_length is 3"):
        assert len(data) == 6 + len(kept)
    assert data.splits == ("train", "test", "validation")
    made = modality("sequence", 64)
    found = {}
    for split in data.splits:
        arrays = data.arrays(split)
        assert set(arrays) == {"x", "mask", "bucket"}
        made.check(arrays)
        found[split] = made.to_host(arrays["x"], arrays["mask"])
        assert found[split] == [p.sequence for p in data.split(split)]
        assert_array_equal(arrays["bucket"], np.minimum(-(-arrays["mask"].sum(axis=1) // 32) * 32, 64))
    assert Counter(text for split in found.values() for text in split) == Counter([*kept, *(p.sequence for p in structures)])
    assert len(found["test"]) == round(0.1 * (6 + len(kept)))  # records of one file are told apart
    assert data[0]["x"].shape == (64,)
    coordinates = ProteinDataset(ProteinDatasetConfig(max_seq_length=64), data_dir=tmp_path)
    assert len(coordinates) == 6  # which FASTA files have none of


def test_secondary_structure_of_a_folder_is_that_of_its_chains(tmp_path: Path):
    made = ProteinFolds(ProteinFoldsConfig(n_train=12, n_held_out=2))
    for i, protein in enumerate(made.split("train")):
        write_proteins(protein, tmp_path / f"made_{i}.pdb")
    config = ProteinDatasetConfig(representation="secondary", max_seq_length=40, held_out=0.0)
    data = ProteinDataset(config, data_dir=tmp_path)
    arrays = data.arrays("train")
    hosts = modality("secondary", 40).to_host(arrays["x"])
    assert hosts == [letters_of(protein, "secondary") for protein in data.split("train")]
    assert {letter for text in hosts for letter in text} == set("abc")
    folds = ProteinFolds(made.config.replace(representation="secondary")).arrays("train")
    assert sorted(modality("secondary", 40).to_host(folds["x"])) == sorted(hosts)


def test_chains_without_a_whole_backbone_have_letters(tmp_path: Path):
    """Alpha carbons alone; a gap, which leaves no trace in a sequence, and at which secondary structure ends."""
    helix = np.stack([2.3 * np.cos(np.deg2rad(100) * np.arange(24)), 2.3 * np.sin(np.deg2rad(100) * np.arange(24))], axis=1)
    x = np.concatenate([helix, 1.5 * np.arange(24.0)[:, None]], axis=1)
    kept = np.delete(np.arange(24), [11, 12])
    protein = Protein.from_positions(x[kept], residue_type=kept % 20, residue_index=kept)
    assert letters_of(protein, "sequence") == "".join(LETTERS[i % 20] for i in kept)
    letters = letters_of(protein, "secondary")
    assert letters.count("c") == 4
    assert letters[10:12] == "cc"
    write_proteins(protein, tmp_path / "trace.pdb")
    for form in ("sequence", "secondary"):
        data = ProteinDataset(ProteinDatasetConfig(representation=form, max_seq_length=30), data_dir=tmp_path)
        assert modality(form, 30).to_host(data.arrays("train")["x"])[0][:11] == letters_of(protein, form)[:11]


def test_longer_chains_are_cut_without_an_end(tmp_path: Path):
    (tmp_path / "long.fasta").write_text(">a\nMKVAAG\n>b\nMKVAA\n>c\nMKVA\n")
    config = ProteinDatasetConfig(representation="sequence", max_seq_length=5, held_out=0.0)
    with pytest.warns(RunWarning, match="6 residues, max_seq_length is 5; raise it, or set longer: cut"):
        assert len(ProteinDataset(config, data_dir=tmp_path)) == 2
    arrays = ProteinDataset(config.replace(longer="cut"), data_dir=tmp_path).arrays("train")
    assert modality("sequence", 5).to_host(arrays["x"]) == ["MKVAA", "MKVAA", "MKVA"]
    assert_array_equal(arrays["mask"].all(axis=1), True)
    assert_array_equal(arrays["x"][:, -1] == 0, [False, False, True])


@LETTERED
def test_what_is_refused(form: str):
    made = modality(form)
    stored = packed_tokens(SAMPLES[form], form, 6)
    for value in (len(TOKENS[form]), -1, 2**32 + 1):
        bad = {**stored, "x": stored["x"].astype(np.int64)}
        bad["x"][1, 2] = value
        with pytest.raises(InvalidInputError, match=rf"x\[8\] holds {value} at place 2, and {form} has {len(TOKENS[form])} t"):
            made.check(bad, first_row=7)
    bad = {"x": stored["x"].copy(), "mask": np.ones((3, 6), bool)}
    bad["x"][0, 4] = 1
    with pytest.raises(InvalidInputError, match=r"x\[7\] goes on behind its end, 0, at place 4; mask what is behind"):
        made.check(bad, first_row=7)
    for x in (stored["x"].astype(float), np.zeros((2, 7), int), np.zeros((2, 3, 4, 3))):
        with pytest.raises(InvalidInputError, match=rf"representation='{form}' means whole numbers \(batch, at most 6\); give"):
            made.prepare({"x": x}, train=False)
    with pytest.raises(InvalidInputError, match=r"means whole numbers of \(batch, residues\)"):
        made.to_host(stored["x"].astype(float))
    for name, value in (("center", False), ("rotate", True), ("scale", 10.0)):
        with pytest.raises(ValueError, match=f"{name}={value} is of positions, and representation='{form}' has none"):
            modality(form, **{name: value})
    with pytest.raises(ValueError, match="atoms='alpha' is of coordinates"):
        modality(form, atoms="alpha")
    with pytest.raises(ValueError, match="atoms='all' is of coordinates"):
        ProteinDatasetConfig(representation=form, atoms="all")
    with pytest.raises(ValueError, match="is of one chain; leave example='file' out"):
        ProteinDatasetConfig(representation=form, example="file")
    with pytest.raises(ValueError, match="has no residue_type beside its tokens; leave residue_types out"):
        ProteinDatasetConfig(representation=form, residue_types=False)
    assert ProteinModalityConfig().tokens == ()


class Echo(nnx.Module):
    """Gives back what it is given."""

    def __call__(self, x, *, mask=None, rngs=None):
        return {"x": x}

    def generate(self, n_samples=1, *, rngs=None):
        return jax.numpy.ones((n_samples, 6), int)

    def reconstruct(self, x, *, mask=None):
        return x


@LETTERED
def test_a_model_among_texts_proteins_and_files(form: str, tmp_path: Path):
    adapter = ProteinModelAdapter(modality(form, 40))
    model = adapter.adapt_model(Echo())
    protein = FOLDS.split("train")[0]
    path = write_proteins(FOLDS.split("train")[1], tmp_path / "one.pdb")
    given = [protein, path, *SAMPLES[form]]
    (chain,) = read_proteins(path)
    assert model.reconstruct(given) == [letters_of(protein, form), letters_of(chain, form), *SAMPLES[form]]
    assert model.reconstruct(SAMPLES[form][0]) == SAMPLES[form][:1]
    assert model.generate(2) == [TOKENS[form][1] * 6] * 2
    with pytest.raises(InvalidInputError, match=r"row 1: 'one\.pdb' is no text of .*; if it is a file's name, give pathlib"):
        model.reconstruct([SAMPLES[form][0], "one.pdb"])
    with pytest.raises(InvalidInputError, match=r"row 0: '' is no text of"):
        model.reconstruct([""])
    with pytest.raises(InvalidTypeError, match="row 0 is a int, no text of letters, and neither a Protein nor a file"):
        model.reconstruct([3])
    with pytest.raises(InvalidInputError, match="a protein has 41 residues, max_seq_length is 40"):
        model.reconstruct(["a" * 41])
    with pytest.raises(InvalidInputError, match="there is no protein among these data"):
        model.reconstruct([])
    two = Protein.from_positions(protein.positions[:, :4], chain=np.arange(len(protein)) // 8)
    with pytest.raises(InvalidInputError, match=r"has \d chains, and .* is of one; give each by itself: protein\.select"):
        model.reconstruct([two])
    assert len(model.reconstruct([two.select(two.chain == 0)])[0]) == 8


def test_fasta_files_are_sequences_to_an_adapter(tmp_path: Path):
    (tmp_path / "two.fa").write_text(">a\nMKV\n>b\nmkxx\n")
    adapter = ProteinModelAdapter(modality("sequence"))
    assert adapter.postprocess(adapter.preprocess(tmp_path / "two.fa")["x"]) == ["MKV", "MKXX"]
    nitrogens = Protein.from_positions(np.zeros((3, 4, 3)), atom_mask=np.tile([True, False, False, False], (3, 1)))
    with pytest.raises(InvalidInputError, match="row 0: residue 0 has no CA, from which secondary structure is told"):
        ProteinModelAdapter(modality("secondary")).preprocess([nitrogens])


# Compositions


def difference(samples: list[str | None], references: list[str], k: int) -> float:
    """Plain counters."""
    laws = []
    for texts in (samples, references):
        counts = Counter(text[i : i + k] for text in texts if text for i in range(len(text) - k + 1))
        laws.append({word: number / sum(counts.values()) for word, number in counts.items()})
    return sum(abs(laws[0].get(word, 0) - laws[1].get(word, 0)) for word in {*laws[0], *laws[1]}) / 2


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("cases", [50, pytest.param(1000, marks=pytest.mark.nightly)])
def test_compositions_differ_as_counters_and_scipy_say(k: int, cases: int):
    from scipy.spatial.distance import cityblock

    metric = {1: metrics.composition_difference, 2: metrics.dipeptide_difference}[k]
    rng = np.random.default_rng(0)
    for _ in range(cases):
        letters, laws = list(LETTERS if rng.random() < 0.7 else "abc"), []
        for _ in range(2):
            law = rng.dirichlet(np.full(len(letters), 0.5))
            lengths = rng.integers(k, 20, rng.integers(1, 8))
            laws.append(["".join(rng.choice(letters, n, p=law)) for n in lengths])
        samples, references = [*laws[0], None], laws[1]
        state = metric.state({"samples": samples, "references": references})
        wanted = difference(samples, references, k)
        assert_allclose(metric.finalize(state), wanted, atol=1e-12)
        assert 0 <= metric.finalize(state) <= 1
        if k == 1:
            frequencies = [np.bincount(sequence_types("".join(t)), minlength=21) / len("".join(t)) for t in laws]
            if letters != list("abc"):
                assert_allclose(wanted, cityblock(*frequencies) / 2, atol=1e-12)


def test_the_noise_of_a_composition_is_what_its_docstring_says():
    """``sum_w sqrt(f_w / (pi n))``, in which ``1 - f_w`` is taken for 1: 3 % of these 21 letters."""
    rng = np.random.default_rng(0)
    law, n = rng.dirichlet(np.full(21, 5.0)), 2000
    drawn = rng.multinomial(n, law, (400, 2)) / n
    measured = np.abs(drawn[:, 0] - drawn[:, 1]).sum(axis=1).mean() / 2
    assert_allclose(measured, np.sqrt(law / np.pi / n).sum(), rtol=0.05)


@pytest.mark.parametrize("name", ["composition", "dipeptide"])
def test_compositions_at_the_edges(name: str):
    entry = registry().get("metric", f"protein_{name}_difference")
    metric = getattr(metrics, f"{name}_difference")

    def figure(samples: list, references: list) -> float:
        return metric.finalize(metric.state({"samples": samples, "references": references}))

    assert figure(["ARAR"], ["ARAR", "ARAR"]) == 0
    assert figure(["AAA"], ["RRR"]) == 1
    assert figure([None], ["RRR"]) == 1
    assert np.isnan(figure(["AAA"], []))
    assert np.isnan(figure([], []))
    if name == "dipeptide":
        assert figure(["A"], ["RR"]) == 1  # one letter is no pair
        assert figure(["AA", "RR"], ["AA", "RR"]) == 0  # and no pair leads from one chain to the next
    with pytest.raises(InvalidInputError, match="reference 1 of the batch is no sequence"):
        figure(["A"], ["A", None])
    for text in ("A-R", "ÅR"):
        with pytest.raises(InvalidInputError, match="is none of the letters"):
            figure([text], ["AR"])
    samples, references = sequences(72), sequences(144)[72:]
    whole = check_invariance(entry, {"samples": [None, *samples[1:]], "references": references})
    assert_allclose(whole, difference([None, *samples[1:]], references, 1 if name == "composition" else 2), atol=1e-12)
    assert decoded_letters(np.array([0, 1]), "sequence") is None


def test_letters_of_another_language_are_refused():
    """The numbers of secondary structure are amino acids, too."""
    data = ProteinDataset(ProteinDatasetConfig(representation="secondary"), data_dir="nowhere")
    made = ProteinFolds(ProteinFoldsConfig(representation="secondary", n_train=2, n_held_out=1))
    for dataset in (data, made):
        with pytest.raises(
            DataError, match="data set has representation='secondary', the modality 'sequence'; give both the same"
        ):
            modality("sequence").fitted(dataset, "train")
        assert modality("secondary").fitted(dataset, "train") == modality("secondary")
    with pytest.raises(DataError, match="has representation='sequence', the modality 'secondary'"):
        modality("secondary").fitted(ProteinDataset(ProteinDatasetConfig(representation="sequence"), data_dir="x"), "train")
    assert modality("sequence").fitted({"x": None}, "train") == modality("sequence")
