"""The data sets: what is in them, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from artifex.ar import Characters, CharactersConfig, Tones, TonesConfig
from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import ArrayDataset


def test_a_file_is_cut_into_windows_of_its_bytes(tmp_path: Path):
    file = tmp_path / "text"
    file.write_bytes(bytes(range(200)))
    made = Characters(CharactersConfig(file=file, length=8, overlap=2))
    assert isinstance(made, ArrayDataset)
    train, validation, test = (made.arrays(split)["x"] for split in ("train", "validation", "test"))
    assert_array_equal(train[1], np.arange(4, 12))
    assert train.max() == 179
    assert_array_equal(validation, [np.arange(180, 188)])
    assert_array_equal(test, [np.arange(190, 198)])
    assert train.dtype == np.int32


def test_without_a_file_the_text_is_pythons_own():
    train = Characters(CharactersConfig(length=100)).arrays("train")["x"]
    assert len(train) > 4000
    text = bytes(train.astype(np.uint8).ravel()).decode(errors="replace")
    assert 'The "assert" statement' in text


def test_texts_that_do_not_serve_are_refused(tmp_path: Path):
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(DataError, match="the text has 3 bytes, of which 2 are the split 'train': too few for a window of 8"):
        Characters(CharactersConfig(file=tmp_path / "short", length=8)).arrays("train")
    with pytest.raises(DataError, match="nowhere cannot be read"):
        Characters(CharactersConfig(file=tmp_path / "nowhere")).arrays("train")
    with pytest.raises(InvalidInputError, match="characters have no split 'valid'"):
        Characters(CharactersConfig()).arrays("valid")
    with pytest.raises(ValueError, match="overlap is 9"):
        CharactersConfig(length=8, overlap=9)


def test_tones_have_the_pitch_of_their_class():
    config = TonesConfig(n_test=16)
    made = Tones(config).arrays("test")
    spectrum = np.abs(np.fft.rfft(made["x"] * np.hanning(1000), n=8000))  # one hertz a bin
    for row, label in zip(spectrum, made["label"], strict=True):
        assert abs(np.argmax(row) - config.frequency(int(label))) < 4
    assert np.abs(made["x"]).max() <= 1
    assert np.any(made["x"] != Tones(config).arrays("validation")["x"][:16])
    assert_array_equal(made["x"], Tones(config).arrays("test")["x"])


def test_tones_that_cannot_be_held_are_refused():
    with pytest.raises(ValueError, match="the highest overtone has 4842 hertz, which 8000 samples a second cannot hold"):
        TonesConfig(overtones=11)
    with pytest.raises(InvalidInputError, match="tones have no split 'valid'"):
        Tones(TonesConfig()).arrays("valid")
