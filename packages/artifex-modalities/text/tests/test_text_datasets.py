"""Data sets of texts: what they make of files, and what they say of files that do not serve."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import ArrayDataset
from artifex.modalities.text import BytePairTokenizerConfig, CharactersTokenizerConfig
from artifex.modalities.text.datasets import (
    HuggingFaceText,
    HuggingFaceTextConfig,
    JsonLines,
    JsonLinesConfig,
    PythonReference,
    PythonReferenceConfig,
    TextFiles,
    TextFilesConfig,
)
from artifex.modalities.text.datasets.corpus import split_texts
from artifex.modalities.text.layout import packed


def test_a_file_is_cut_into_windows_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(bytes(i % 128 for i in range(200)))
    made = TextFiles(TextFilesConfig(path=file, length=8, overlap=2))
    assert isinstance(made, ArrayDataset)
    train, validation, test = (made.arrays(split)["x"] for split in ("train", "validation", "test"))
    np.testing.assert_array_equal(train[1], np.arange(4, 12))
    assert len(train) == (180 - 8) // 4 + 1
    np.testing.assert_array_equal(validation, [np.arange(180, 188) % 128])
    np.testing.assert_array_equal(test, [np.arange(190, 198) % 128])
    assert train.dtype == np.int32
    assert made.arrays("test")["mask"].all()


def test_python_has_its_own_text() -> None:
    made = PythonReference(PythonReferenceConfig(length=100))
    assert made.splits == ("train", "test", "validation")
    text = bytes(made.arrays("train")["x"].astype(np.uint8).ravel()).decode(errors="replace")
    assert 'The "assert" statement' in text
    assert len(text) > 350_000
    assert not set(made.texts("test")) & set(made.texts("train"))


def test_folders_and_files_of_splits(tmp_path: Path) -> None:
    (tmp_path / "train" / "deep").mkdir(parents=True)
    (tmp_path / "train" / "deep" / "b.txt").write_text("second")
    (tmp_path / "train" / "a.md").write_text("\ufefffirst", encoding="utf-8")
    (tmp_path / "train" / "c.csv").write_text("not taken")
    (tmp_path / "val.txt").write_text("held out")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.txt").write_text("hidden")
    made = TextFiles(TextFilesConfig(path=tmp_path, layout="documents", length=16))
    assert made.splits == ("train", "validation")
    assert list(made.texts("train")) == ["first", "second"]
    rows = made.arrays("train")
    assert bytes(rows["x"][1, :6].tolist()).decode() == "second"
    assert rows["x"][1, 6] == 256
    assert rows["mask"].sum(axis=1).tolist() == [6, 7]


def test_several_texts_are_split_by_a_hash(tmp_path: Path) -> None:
    texts = [f"text number {i}" for i in range(2000)]
    splits = split_texts([*texts, texts[7]])
    assert {split: 0.03 < len(splits[split]) / 2000 < 0.07 for split in ("test", "validation")} == {
        "test": True,
        "validation": True,
    }
    assert sorted(text for own in splits.values() for text in own) == sorted([*texts, texts[7]])
    assert sum(texts[7] in own for own in splits.values()) == 1  # equal ones stay together
    fewer = split_texts(texts[:1000])
    assert all(set(fewer[split]) <= set(splits[split]) for split in fewer)


def test_there_is_always_something_to_train_on_and_larger_folders_stay_as_they_were() -> None:
    """A pair without a text above a tenth is one in a hundred; of them the one with the greater hash is trained on."""
    for i in range(2000):
        assert split_texts([f"one {i}", f"two {i}"])["train"]
    texts = [f"text {i}" for i in range(4000)]
    held_out = [text for split in ("test", "validation") for text in split_texts(texts)[split]]
    for pair in zip(held_out[::2], held_out[1::2], strict=False):
        splits = split_texts(pair)
        assert len(splits["train"]) == 1
        assert split_texts([*pair, *texts]) == {
            split: [*(text for text in pair if text in own), *own] for split, own in split_texts(texts).items()
        }
    assert split_texts([held_out[0]] * 3) == {"train": [held_out[0]] * 3}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("Train.JSONL", "val.jsonl"), ("train", "validation")),
        (("TRAINING.ndjson", "test_set.JSON", "dev-data.jsonl"), ("train", "test", "validation")),
        (("trn.json", "holdout.json", "Development.json"), ("train", "test", "validation")),
    ],
)
def test_splits_may_be_spelled_as_they_come(tmp_path: Path, names: tuple[str, ...], splits: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text(f'{{"text": "of {name}"}}\n')
    made = JsonLines(JsonLinesConfig(path=tmp_path, length=4))
    assert made.splits == splits
    assert made.texts("train") == [f"of {names[0]}"]


def test_numbered_texts_are_no_splits(tmp_path: Path) -> None:
    for name in ("training_01", "training_02", "test_01"):
        (tmp_path / f"{name}.txt").write_text(name)
    made = TextFiles(TextFilesConfig(path=tmp_path))
    assert sum(len(made.texts(split)) for split in made.splits) == 3


def test_folders_of_splits_bear_the_year_of_their_data(tmp_path: Path) -> None:
    for name in ("Train2017", "val2017", "test-2018"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    made = TextFiles(TextFilesConfig(path=tmp_path, layout="documents", length=16))
    assert {split: made.texts(split) for split in made.splits} == {
        "train": ["Train2017"],
        "test": ["test-2018"],
        "validation": ["val2017"],
    }


def test_long_documents_go_on_in_the_next_row(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "abcdefg"}\n\n{"text": "h"}\n')
    made = JsonLines(JsonLinesConfig(path=tmp_path, layout="documents", length=4))
    assert made.arrays("train")["x"].tolist() == [[97, 98, 99, 100], [101, 102, 103, 256], [104, 256, 0, 0]]


def test_packing_loses_nothing_and_wastes_little() -> None:
    rng = np.random.default_rng(0)
    texts = [rng.integers(1, 99, rng.integers(1, 40)).tolist() for _ in range(500)]
    made = packed(texts, 64)
    found = []
    for x, mask, segment in zip(made["x"], made["mask"], made["segment"], strict=True):
        assert (segment[mask] > 0).all()
        assert (segment[~mask] == 0).all()
        found += [x[segment == i].tolist() for i in range(1, segment.max() + 1)]
    assert sorted(found) == sorted(texts)
    assert len(made["x"]) <= 1.02 * sum(map(len, texts)) / 64 + 1


def test_packed_and_windowed_documents_have_the_same_tokens(tmp_path: Path) -> None:
    texts = [f"line {i} " * (i % 5 + 1) for i in range(60)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    both = [
        JsonLines(JsonLinesConfig(path=tmp_path, field="body", layout=layout, length=32)) for layout in ("packed", "windows")
    ]
    tokens = [np.sort(made.arrays("train")["x"][made.arrays("train")["mask"]]) for made in both]
    assert 0 <= len(tokens[0]) - len(tokens[1]) < 32  # what is left of the last window
    assert (tokens[0] == 256).sum() == len(both[0].texts("train"))


def test_tokenisers_learn_from_the_training_split_alone(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("banana " * 30)
    (tmp_path / "test.txt").write_text("banana bandit " * 30)
    config = TextFilesConfig(path=tmp_path, length=8, tokenizer=CharactersTokenizerConfig())
    assert TextFiles(config).tokenizer_config().alphabet == " abn"
    with pytest.raises(
        DataError,
        match=r"text 0 of the split 'test' \(.*test\.txt\): character 10 of the text is 'd', which is not in the alphabet",
    ):
        TextFiles(config).arrays("test")
    with pytest.raises(InvalidInputError, match="the tokeniser learns from the split 'train', and 'test' is trained on"):
        TextFiles(config).tokenizer_config("test")
    merging = TextFiles(config.replace(tokenizer=BytePairTokenizerConfig(vocab_size=262)))
    assert merging.arrays("train")["x"].max() > 256
    assert merging.tokenizer_config() is merging.tokenizer_config()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab\ncd\xff", r"a.txt, line 2: byte 5 is 0xff, which is no utf-8; set 'encoding'"),
        (b"", r"a.txt is empty; fill it, or take it away"),
        (b"abc", r"the split 'train' of .*a\.txt has 2 tokens: too few for a window of 128"),
    ],
    ids=["encoding", "empty", "short"],
)
def test_files_that_do_not_serve(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        TextFiles(TextFilesConfig(path=tmp_path)).arrays("train")


def test_paths_that_do_not_serve(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is neither a file nor a folder .*nowhere; set 'path'"):
        _ = TextFiles(TextFilesConfig(path=tmp_path / "nowhere")).splits
    with pytest.raises(DataError, match=r"there is no file below .* that ends in \.txt or \.md or \.rst"):
        _ = TextFiles(TextFilesConfig(path=tmp_path)).splits
    (tmp_path / "train.txt").write_text("a")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.txt").write_text("a")
    with pytest.raises(DataError, match="both claim the split 'train'; keep one of them"):
        _ = TextFiles(TextFilesConfig(path=tmp_path)).splits
    (tmp_path / "train.txt").rename(tmp_path / "stray.txt")
    with pytest.raises(DataError, match=r"stray.txt lies beside the splits train of"):
        _ = TextFiles(TextFilesConfig(path=tmp_path)).splits
    (tmp_path / "stray.txt").unlink()
    with pytest.raises(InvalidInputError, match="has no split 'tain'; its splits are train; did you mean 'train'"):
        TextFiles(TextFilesConfig(path=tmp_path)).arrays("tain")
    with pytest.raises(DataError, match="there is no encoding 'utf-9'"):
        TextFiles(TextFilesConfig(path=tmp_path, encoding="utf-9")).arrays("train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"', r"a.jsonl, line 2 is no JSON"),
        ('["a"]', r"a.jsonl, line 2 is a list; each line has to be an object such as"),
        ('{"body": "a"}', r"a.jsonl, line 2 has no key 'text', only 'body'; set 'field'"),
        ('{"text": 3}', r"a.jsonl, line 2: 'text' is 3, which is no text; give it one, or take the line away"),
        ('{"text": null}', r"a.jsonl, line 2: 'text' is None, which is no text"),
        ("\n\n\n\n[" * 1 + "[" * 100_000, r"a.jsonl, line 6 is no JSON"),
        ('\n\n\n\n\n{"text": "a\\ud83d"}', r"a.jsonl, line 7: character 1 of the text is '\\ud83d', half of a surrogate pair"),
    ],
    ids=["JSON", "list", "key", "number", "null", "deep", "surrogate"],
)
def test_lines_that_do_not_serve(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "first"}\n' + line)
    with pytest.raises(DataError, match=message):
        JsonLines(JsonLinesConfig(path=tmp_path / "a.jsonl")).arrays("train")
    (tmp_path / "a.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match=r"a.jsonl holds no text"):
        JsonLines(JsonLinesConfig(path=tmp_path / "a.jsonl")).arrays("train")


def test_lines_are_named_where_a_tokeniser_or_an_encoding_fails(tmp_path: Path) -> None:
    config = JsonLinesConfig(path=tmp_path, layout="documents", length=4, tokenizer=CharactersTokenizerConfig(alphabet="ab"))
    lines = ['{"text": "ab"}\n'] * 9
    (tmp_path / "a.jsonl").write_text("".join(lines))
    (tmp_path / "b.jsonl").write_text("".join([*lines[:6], '{"text": "abc"}\n']).replace("\n", "\r\n"))
    with pytest.raises(DataError, match=r"text \d+ of the split '\w+' \(.*b\.jsonl, line 7\): character 2 of the text is 'c'"):
        _ = [JsonLines(config).arrays(split) for split in JsonLines(config).splits]
    (tmp_path / "b.jsonl").write_bytes(("".join(lines) + '{"text": "é"}').encode("latin-1"))
    with pytest.raises(
        DataError, match=r"b\.jsonl, line 10: byte 145 is 0xe9, which is no utf-8; JSON is in UTF-8: save it so"
    ):
        JsonLines(config).arrays("train")


def test_layouts_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="overlap is 9; windows of 8 tokens"):
        PythonReferenceConfig(length=8, overlap=9)
    with pytest.raises(ValueError, match="overlap is of windows, and layout is 'packed'"):
        PythonReferenceConfig(overlap=2, layout="packed")
    with pytest.raises(ValueError, match=r"suffixes are such as '.txt', in small letters; got 'TXT'"):
        TextFilesConfig(path=Path("a"), suffixes=("TXT",))


class FakeRows:
    """As much of a ``datasets.Dataset`` as is used."""

    def __init__(self, texts: list) -> None:
        self.texts, self.column_names = texts, ["id", "body"]

    def __getitem__(self, column: str) -> list:
        return self.texts


def fake_library(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    library = types.ModuleType("datasets")
    library.Dataset = FakeRows  # pyright: ignore[reportAttributeAccessIssue]
    library.load_dataset = library.load_from_disk = lambda *_, **__: loaded  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "datasets", library)


def test_hugging_face(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = HuggingFaceTextConfig(path="someone/texts", text_column="body", layout="documents", length=4)
    fake_library(monkeypatch, {"train": FakeRows(["a", "bc"]), "test": FakeRows(["d"])})
    made = HuggingFaceText(config)
    assert made.splits == ("train", "test")
    assert made.arrays("train")["x"].tolist() == [[97, 256, 0, 0], [98, 99, 256, 0]]
    with pytest.raises(DataError, match="someone/texts has no column 'text'; it has id, body: set text_column"):
        HuggingFaceText(config.replace(text_column="text")).arrays("train")
    fake_library(monkeypatch, {"train": FakeRows(["a", None])})
    with pytest.raises(DataError, match="someone/texts, row 1 of 'train': 'body' is None, which is no text"):
        HuggingFaceText(config).arrays("train")
    fake_library(monkeypatch, FakeRows([str(i) for i in range(200)]))
    assert set(HuggingFaceText(config).splits) == {"train", "test", "validation"}
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(DataError, match="neither subsets nor revisions"):
        _ = HuggingFaceText(config.replace(path=str(tmp_path), subset="x")).splits
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'artifex-modalities-text\[huggingface\]'"):
        _ = HuggingFaceText(config).splits


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")  # the library's own, of how it pickles
def test_what_hugging_faces_own_library_saves_and_reads(tmp_path: Path) -> None:
    import datasets

    texts = {"train": [f"Row {i}, na\u00efve \u732b." for i in range(40)], "test": ["The end.", "Really."]}
    made = datasets.DatasetDict({split: datasets.Dataset.from_dict({"body": rows}) for split, rows in texts.items()})
    made.save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "files").mkdir()
    made["train"].to_json(str(tmp_path / "files" / "train.jsonl"))
    for folder in ("saved", "files"):
        config = HuggingFaceTextConfig(path=str(tmp_path / folder), text_column="body", layout="documents", length=64)
        rows = HuggingFaceText(config).arrays("train")
        found = [bytes(row[mask].astype(np.uint8)).decode() for row, mask in zip(rows["x"], rows["mask"], strict=True)]
        assert found == [text + "\0" for text in texts["train"]]  # a document ends
    with pytest.raises(DataError, match="has no column 'text'; it has body: set text_column"):
        HuggingFaceText(config.replace(text_column="text")).arrays("train")
