"""The data sets: what is in them, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from artifex.core.errors import InvalidInputError
from artifex.modalities.audio.datasets import Tones, TonesConfig


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
    with pytest.raises(InvalidInputError, match="tones has no split 'valid'; its splits are train, test, validation"):
        Tones(TonesConfig()).arrays("valid")
