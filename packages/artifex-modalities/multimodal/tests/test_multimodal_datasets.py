"""Digits with words and tones, folders of pairs, JSON lines: what they hold, and what is said where something is wrong."""

from __future__ import annotations

import hashlib
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from artifex.core.errors import DataError, InvalidInputError, RunWarning
from artifex.core.protocols import ArrayDataset, NamesClasses
from artifex.modalities.multimodal import Letters, LettersConfig, MultiModalModality, MultiModalModalityConfig
from artifex.modalities.multimodal.datasets import (
    DigitWords,
    DigitWordsConfig,
    JsonLinesPairs,
    JsonLinesPairsConfig,
    PairedFolders,
    PairedFoldersConfig,
)
from artifex.modalities.multimodal.datasets.digit_words import RATE, SAMPLES, WORDS
from artifex.modalities.multimodal.datasets.files import read_file


def test_each_digit_has_its_word_and_its_tone() -> None:
    data = DigitWords(DigitWordsConfig())
    assert isinstance(data, ArrayDataset)
    assert isinstance(data, NamesClasses)
    assert data.splits == ("train", "test", "validation")
    arrays = data.arrays("test")
    one_hot = np.eye(27)[arrays["word"]]
    assert Letters(LettersConfig()).to_host(one_hot) == [WORDS[d] for d in arrays["label"]]
    assert np.abs(arrays["tone"]).max() <= 1
    # The nearest of the ten frequencies, by the energy at each.
    places = 500 * 2 ** (np.arange(10) / 5)
    waves = np.exp(-2j * np.pi * places[:, None] * np.arange(SAMPLES) / RATE)
    assert np.mean(np.abs(arrays["tone"] @ waves.T).argmax(axis=1) == arrays["label"]) == 1.0


def test_the_data_never_change() -> None:
    arrays = DigitWords(DigitWordsConfig(missing=0.3)).arrays("train")
    assert hashlib.sha256(arrays["x"].tobytes()).hexdigest() == hashlib.sha256(_digits("train").tobytes()).hexdigest()
    assert_allclose(arrays["tone"][0, :3], DigitWords(DigitWordsConfig()).arrays("train")["tone"][0, :3])
    assert 0.25 < np.mean(~arrays["word.present"]) < 0.35
    assert np.mean(arrays["word.present"] == arrays["tone.present"]) < 0.7
    with pytest.raises(InvalidInputError, match="digit_words has no split 'valid'; its splits are train, test, validation"):
        DigitWords(DigitWordsConfig()).arrays("valid")


def _digits(split: str) -> np.ndarray:
    """The split that the data set 'digits' publishes, made anew."""
    from sklearn.datasets import load_digits

    order = np.random.RandomState(0).permutation(1797)
    chosen = {"train": order[:1300], "validation": order[1300:1497], "test": order[1497:]}[split]
    return (load_digits().images[chosen] / 16).astype(np.float32)[..., None]


# --- folders ---


def tone(path: Path, values: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((32767 * values).astype("<i2").tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, two of which have a word, one of which has a tone; and a word alone."""
    for split in ("train", "test"):
        for part in ("images", "words", "tones"):
            (tmp_path / split / part).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((4, 5, 3), 10 * i, np.uint8)).save(tmp_path / split / "images" / f"{i}.png")
        for name, word in (("0", "zero\n"), ("2", "zwei"), ("9", "neun")):
            (tmp_path / split / "words" / f"{name}.txt").write_text(word, encoding="utf-8")
        tone(tmp_path / split / "tones" / "2.wav", np.array([0.0, 0.5, -1.0]))
    (tmp_path / "train" / "images" / ".DS_Store").write_bytes(b"clutter")
    return tmp_path


def paired(folder: Path, **fields: Any) -> PairedFolders:
    parts = [{"stored": key, "folder": name} for key, name in (("x", "images"), ("word", "words"), ("tone", "tones"))]
    return PairedFolders(PairedFoldersConfig.from_dict({"folder": str(folder), "parts": parts, **fields}))


def test_files_of_one_name_belong_together(folder: Path) -> None:
    data = paired(folder)
    assert data.splits == ("train", "test")
    arrays = data.arrays("train")  # 0, 1, 2, 9
    assert_array_equal(arrays["x"][:, 0, 0, 0], [0, 10, 20, 0])
    assert_array_equal(arrays["x.present"], [True, True, True, False])
    assert_array_equal(arrays["word.present"], [True, False, True, True])
    assert bytes(arrays["word"][2]).decode() == "zwei"
    assert_array_equal(arrays["tone.present"], [False, False, True, False])
    assert_allclose(arrays["tone"][2], [0, 0.5, -1], atol=1e-4)
    with pytest.warns(RunWarning, match="3 of 4 examples .* lack a part and are left out; the first, '0', has no 'tone'"):
        assert set(paired(folder, complete=True).arrays("train")) == {"x", "word", "tone"}


def test_words_of_unequal_length_have_a_mask(folder: Path) -> None:
    (folder / "train" / "words" / "1.txt").write_text("eins!", encoding="utf-8")
    arrays = paired(folder).arrays("train")
    assert arrays["word"].shape == (4, 5)
    assert_array_equal(arrays["word.mask"].sum(axis=1), [4, 5, 4, 4])


@pytest.mark.parametrize("length", [4, 5])
def test_words_of_files_are_bytes_and_no_codes_of_letters(folder: Path, length: int) -> None:
    """Of the length of the codes or not; the modality that the message names takes them."""
    for kind in ("image", "text"):
        pytest.importorskip(f"artifex.modalities.{kind}")
    stored = paired(folder).arrays("train")

    def of(modality: dict[str, Any], **fields: Any) -> MultiModalModality:
        parts = [{"part": "image", "stored": "x", "modality": {"kind": "image", "height": 4, "width": 5, "channels": "rgb"}}]
        parts += [{"part": "word", "modality": modality, **fields}]
        return MultiModalModality(MultiModalModalityConfig.from_dict({"parts": parts}))

    letters = of({"kind": "letters", "length": length})
    advice = rf"the words of files are bytes: give this part the modality {{kind: text, length: {length}}} and categories: 256"
    with pytest.raises(InvalidInputError, match=advice):
        letters.check(stored)
    if length != stored["word"].shape[1]:
        with pytest.raises(InvalidInputError, match=advice):
            letters.prepare(stored, train=False)
    text = of({"kind": "text", "length": length}, categories=256)
    text.check(stored)
    batch = text.prepare(stored, train=False)
    words = [example.get("word") for example in text.to_host(np.asarray(batch["x"]), np.asarray(batch["mask"]))]
    assert words == ["zero"[:length], None, "zwei"[:length], "neun"[:length]]


def test_folders_of_splits_may_be_spelled_as_they_come_or_be_left_out(folder: Path) -> None:
    wanted = paired(folder).arrays("train")
    (folder / "train").rename(folder / "Training")
    (folder / "test").rename(folder / "val2017")
    assert paired(folder).splits == ("train", "validation")
    assert_array_equal(paired(folder).arrays("train")["x"], wanted["x"])
    alone = paired(folder / "Training")
    assert alone.splits == ("train",)
    assert_array_equal(alone.arrays("train")["word"], wanted["word"])
    (folder / "train").mkdir()
    with pytest.raises(DataError, match="both claim the split 'train'; keep one of them"):
        paired(folder).arrays("train")


def test_what_is_wrong_with_folders_is_said(folder: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; set 'folder'"):
        paired(folder / "nowhere")
    with pytest.raises(InvalidInputError, match="has no split 'tets'; its splits are train, test; did you mean 'test'"):
        paired(folder).arrays("tets")
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(folder / "train" / "images" / "7.png")
    with pytest.raises(
        DataError, match=r"part 'x': .*7.png holds uint8 of shape \(2, 2, 3\), and .*0.png uint8 of shape \(4, 5, 3\)"
    ):
        paired(folder).arrays("train")
    (folder / "train" / "images" / "7.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"7.png cannot be read"):
        paired(folder).arrays("train")
    (folder / "train" / "images" / "7.png").unlink()
    (folder / "train" / "words" / "0.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"0.npy and .*0.txt have one name"):
        paired(folder).arrays("train")
    (folder / "test" / "words" / "x.doc").write_bytes(b"")
    with pytest.raises(DataError, match=r"x.doc ends in '.doc'; files end in .npy, .png"):
        paired(folder).arrays("test")
    (folder / "test" / "words" / "x.doc").unlink()
    (folder / "test" / "tones").rename(folder / "elsewhere")
    with pytest.raises(DataError, match=r"there is no folder .*tones; each split has one for each part"):
        paired(folder).arrays("test")


def test_no_example_is_left(folder: Path) -> None:
    (folder / "train" / "words" / "2.txt").unlink()
    with pytest.raises(DataError, match="train has no example that has every part"):
        paired(folder, complete=True).arrays("train")
    (folder / "train" / "tones" / "2.wav").unlink()
    with pytest.raises(DataError, match=r"tones holds no files, and those in folders below it are not read"):
        paired(folder).arrays("train")


def test_folders_without_a_common_name(tmp_path: Path) -> None:
    for part, name in (("images", "a.npy"), ("words", "b.npy")):
        (tmp_path / "train" / part).mkdir(parents=True)
        np.save(tmp_path / "train" / part / name, np.zeros(2))
    parts = [{"stored": "x", "folder": "images"}, {"stored": "word", "folder": "words"}]
    data = PairedFolders(PairedFoldersConfig.from_dict({"folder": str(tmp_path), "parts": parts}))
    with pytest.raises(DataError, match=r"has no two files of one name: .*a\.npy, .*b\.npy; those of one example differ in"):
        data.arrays("train")


def test_what_windows_leaves_is_passed_over(folder: Path) -> None:
    for name in ("Thumbs.db", "desktop.ini"):
        (folder / "train" / "images" / name).write_bytes(b"clutter")
    assert len(paired(folder).arrays("train")["x"]) == 4


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfzwei", b"zwei\r\n", b"zwei\n", b"zwei"])
def test_texts_of_all_editors_are_alike(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert bytes(read_file(tmp_path / "a.txt").array) == b"zwei"


def test_pictures_of_many_kinds(tmp_path: Path) -> None:
    colours = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    turned = Image.Exif()
    turned[0x112] = 6  # upright when turned by 90 degrees
    colours.save(tmp_path / "turned.png", exif=turned)
    assert_array_equal(read_file(tmp_path / "turned.png").array, np.rot90(np.asarray(colours), -1))
    Image.new("P", (2, 2), 1).save(tmp_path / "palette.gif", transparency=1)
    assert read_file(tmp_path / "palette.gif").array.shape == (2, 2, 4)
    assert (read_file(tmp_path / "palette.gif").array[..., 3] == 0).all()
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "ink.tiff")
    assert_array_equal(read_file(tmp_path / "ink.tiff").array[0, 0], [255, 0, 0])
    Image.fromarray(np.full((2, 2), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png cannot be read: its pixels have mode 'I;16', more than 8 bits a channel"):
        read_file(tmp_path / "deep.png")
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt cannot be read: it is no text in UTF-8: .*; save it as such"):
        read_file(tmp_path / "latin.txt")


# --- JSON lines ---


def lines(folder: Path, *examples: Any, **fields: Any) -> JsonLinesPairs:
    text = "\n".join(example if isinstance(example, str) else json.dumps(example) for example in examples)
    (folder / "train.jsonl").write_text(text + "\n\n", encoding="utf-8")
    parts = [{"stored": "x", "field": "image"}, {"stored": "word", "field": "text"}, {"stored": "v", "field": "vector"}]
    return JsonLinesPairs(JsonLinesPairsConfig.from_dict({"folder": str(folder), "parts": parts, **fields}))


def test_lines_name_files_or_hold_texts_and_vectors(folder: Path) -> None:
    first = {"image": "train/images/1.png", "text": "ein Käfer", "vector": [1, 2.5], "class": 3}
    second = {"image": str(folder / "train/images/2.png"), "text": None, "vector": [0, 0], "class": 4}
    data = lines(folder, first, second, label="class")
    assert isinstance(data, ArrayDataset)
    assert data.splits == ("train",)
    arrays = data.arrays("train")
    assert_array_equal(arrays["x"][:, 0, 0, 0], [10, 20])
    assert bytes(arrays["word"][0]).decode() == "ein Käfer"
    assert_array_equal(arrays["word.present"], [True, False])
    assert_array_equal(arrays["v"], [[1, 2.5], [0, 0]])
    assert arrays["label"].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", r"train.jsonl, line 2 is no JSON"),
        ("[1]", r"train.jsonl, line 2 is a list, and no object"),
        ({"image": "train/images/77.png"}, r"train.jsonl, line 2: there is no file .*77.png"),
        ({"image": {"a": 1}}, r"line 2: \{\"a\": 1\} is no path, text or list of numbers"),
        ({"vector": [1, "a"]}, r"line 2: \[1, \"a\"\] is no path"),
        ({"vector": [1, 2]}, r"line 2: 'class' is None, and no whole number"),
        ({"vector": [1, 2], "class": 2**40}, r"line 2: 'class' is 1099511627776, and no whole number of 32 bits"),
        ({"vector": [1, float("nan")]}, r"line 2 is no JSON: NaN is no number; leave the part out where it is unknown"),
        ({"text": "train.jsonl"}, r"line 2: .*train\.jsonl ends in '\.jsonl'; files end in"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(folder: Path, line: Any, message: str) -> None:
    good = {"image": "train/images/1.png", "text": "a", "vector": [1, 2], "class": 1}
    with pytest.raises(DataError, match=message):
        lines(folder, good, line, label="class").arrays("train")


def test_lines_end_where_json_lines_end(folder: Path) -> None:
    """A text may hold what Python takes for the end of a line; and editors put a mark first."""
    text = json.dumps({"image": "train/images/1.png", "text": "a\u2028b", "vector": [1]}, ensure_ascii=False)
    data = lines(folder, "\ufeff" + text + "\r")
    assert bytes(data.arrays("train")["word"][0]).decode() == "a\u2028b"


def test_a_field_that_no_line_has(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no line of .*train\.jsonl has the field 'image'; the first has picture, text"):
        lines(folder, {"picture": "a.png", "text": "a"}).arrays("train")
    data = lines(folder, {})
    (folder / "train.jsonl").write_bytes(b'{"text": "caf\xe9"}')
    with pytest.raises(DataError, match=r"train\.jsonl is no text in UTF-8"):
        data.arrays("train")


def test_no_lines(tmp_path: Path) -> None:
    parts = [{"stored": "x", "field": "image"}, {"stored": "word", "field": "text"}]
    config = JsonLinesPairsConfig.from_dict({"folder": str(tmp_path), "parts": parts})
    with pytest.raises(DataError, match=r"has no file of lines, such as train\.jsonl"):
        JsonLinesPairs(config)
    with pytest.raises(DataError, match="there is no folder"):
        JsonLinesPairs(config.replace(folder=str(tmp_path / "nowhere")))
    (tmp_path / "train.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"train\.jsonl has no line"):
        JsonLinesPairs(config).arrays("train")
    with pytest.raises(InvalidInputError, match="has no split 'test'"):
        JsonLinesPairs(config).arrays("test")


def test_files_of_lines_may_be_spelled_as_they_come(tmp_path: Path) -> None:
    for name in ("Train.JSONL", "val.jsonl", "extra.jsonl", ".hidden.jsonl"):
        (tmp_path / name).write_text('{"a": [1.0], "b": [2.0]}\n')
    parts = [{"stored": "x", "field": "a"}, {"stored": "b", "field": "b"}]
    data = JsonLinesPairs(JsonLinesPairsConfig.from_dict({"folder": str(tmp_path), "parts": parts}))
    assert data.splits == ("train", "extra", "validation")
    assert data.arrays("validation")["b"].tolist() == [[2.0]]
    (tmp_path / "training.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"Train\.JSONL and training\.jsonl .* both claim the split 'train'; keep one"):
        JsonLinesPairs(data.config)
