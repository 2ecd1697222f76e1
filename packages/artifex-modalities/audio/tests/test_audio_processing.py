"""What is done to recordings before they are stored, and what is wrong with signals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from artifex.core.errors import InvalidInputError
from artifex.modalities.audio import loudness, normalize_loudness, resample, trim_silence
from artifex.modalities.audio.constraints import clipping, discontinuities, silence
from artifex.modalities.audio.processing import _k_weighting, loud_stretch

LIBROSA = dict(np.load(Path(__file__).parent / "frozen" / "librosa.npz"))


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (16000, 44100), (8000, 16000), (48000, 8000), (11025, 8000)])
def test_resampled_tones_are_the_tones(old: int, new: int) -> None:
    """Below nine tenths of what the lower rate holds they come back; above it nothing does: 100 decibels are 1e-5."""
    limit = min(old, new) / 2
    for frequency in (0.02 * limit, 0.5 * limit, 0.9 * limit):
        x = np.sin(2 * np.pi * frequency * np.arange(old // 2) / old)
        made = resample(x, old, new)
        wanted = np.sin(2 * np.pi * frequency * np.arange(len(made)) / new)
        assert len(made) == -(-len(x) * new // old)
        middle = slice(len(made) // 4, -len(made) // 4)
        np.testing.assert_allclose(made[middle], wanted[middle], atol=1e-4)
    if new < old:
        folded = resample(np.sin(2 * np.pi * 1.1 * limit * np.arange(old // 2) / old), old, new)
        assert np.abs(folded[len(folded) // 4 : -len(folded) // 4]).max() < 1e-4
    same = np.zeros(7)
    assert resample(same, old, old) is same
    with pytest.raises(InvalidInputError, match="rates are samples a second, from 1; got 0 and 8000"):
        resample(same, 0, 8000)


def test_loudness_is_the_standards() -> None:
    """BS.1770: its coefficients at 48 kHz; a full 997 Hz sine is -3.01; pyloudnorm with filters near them, to 0.1."""
    (shelf, poles), (_, high_poles) = _k_weighting(48000)
    np.testing.assert_allclose(shelf, [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-9)
    np.testing.assert_allclose(poles, [1, -1.69065929318241, 0.73248077421585], atol=1e-9)
    np.testing.assert_allclose(high_poles, [1, -1.99004745483398, 0.99007225036621], atol=1e-9)
    for rate in (16000, 44100, 48000):
        t = np.arange(2 * rate) / rate
        sine = np.sin(2 * np.pi * 997 * t)
        bend = 0.01 if rate > 40000 else 0.05  # the bilinear transform's, at low rates
        assert loudness(sine, rate) == pytest.approx(-3.01, abs=bend)
        assert loudness(np.stack([sine, sine]) / 10, rate) == pytest.approx(-20, abs=bend)
    seconds = np.arange(96000) / 48000
    chirp = 0.3 * np.sin(2 * np.pi * 2000 * seconds * (1 + seconds))
    assert loudness(chirp, 48000) == pytest.approx(float(LIBROSA["loudness"]), abs=0.1)


def test_gates_leave_silence_out() -> None:
    t = np.arange(32000) / 16000
    tone = 0.1 * np.sin(2 * np.pi * 997 * t)
    assert loudness(np.r_[tone, np.zeros(64000)], 16000) == pytest.approx(loudness(tone, 16000), abs=0.4)  # blocks half in
    assert loudness(np.zeros(16000), 16000) == -np.inf
    assert loudness(normalize_loudness(tone, 16000, -30.0), 16000) == pytest.approx(-30, abs=1e-6)
    assert not normalize_loudness(np.zeros(16000), 16000).any()
    with pytest.raises(InvalidInputError, match=r"loudness needs 0.4 seconds, 6400 samples; got 100"):
        loudness(np.zeros(100), 16000)


def test_silence_is_trimmed_as_librosa_does() -> None:
    start, stop = LIBROSA["kept"]
    faint = 1e-5 * np.sin(np.arange(9000) ** 1.5)
    quiet = np.r_[faint, np.tile(LIBROSA["signal"], 2), faint]
    np.testing.assert_array_equal(trim_silence(quiet), quiet[start:stop])
    assert trim_silence(np.zeros(5000)).size == trim_silence(np.zeros(0)).size == 0
    click = np.zeros(5000)
    click[400] = 1.0
    assert trim_silence(click, frame=64, hop=256).size == 0  # between two frames, as by librosa's rule
    assert trim_silence(1e-200 * click).size == 0  # of which no square is left


@pytest.mark.reference
def test_silence_of_a_thousand_signals_is_trimmed_as_librosa_does() -> None:
    """Bursts of all levels between silences, at thresholds that differ; from one sample on.

    librosa takes what is below 1e-5 for 1e-5, of which silence far below a faint sound would stay: it is given loud ones.
    """
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(0)
    for case in range(1000):
        parts = [10 ** rng.uniform(-4, 0) * rng.normal(size=rng.integers(1, 6000)) for _ in range(rng.integers(1, 6))]
        x = np.concatenate([part * (rng.random() < 0.8) for part in parts])
        below = float(rng.uniform(5, 80))
        _, (start, stop) = librosa.effects.trim(1e6 * x, top_db=below)
        if x.any():  # of which librosa keeps all
            assert loud_stretch(x, below=below) == (start, stop), case
            np.testing.assert_array_equal(trim_silence(x, below=below), x[start:stop])


def test_violations_are_where_they_are() -> None:
    rng = np.random.default_rng(0)
    x = 0.5 * np.sin(np.arange(4000) / 9)
    assert clipping(x) == []
    assert silence(x, 8000) == []
    assert discontinuities(x) == []
    loud = np.clip(3 * x, -1, 1)
    found = clipping(loud)
    assert {place for v in found for place in range(v.start, v.stop)} == set(np.flatnonzero(np.abs(loud) == 1))
    for _ in range(100):
        at = int(rng.integers(100, 3900))
        broken = x.copy()
        broken[at:] += 1.0
        assert [(v.start, v.stop) for v in discontinuities(broken)] == [(at - 1, at + 1)]
        quiet = x.copy()
        quiet[at : at + 900] = 1e-4 * rng.normal(size=len(quiet[at : at + 900]))
        expected = silence(quiet, 8000)
        assert len(expected) == (1 if min(900, 4000 - at) >= 800 else 0)
        assert all(abs(v.start - at) <= 1 for v in expected)
    assert discontinuities(np.zeros(1)) == []
    assert clipping(np.array([]), shortest=1) == []


def test_signals_that_are_none() -> None:
    with pytest.raises(InvalidInputError, match=r"one signal is needed, \(samples,\); got shape \(2, 3\)"):
        clipping(np.zeros((2, 3)))
    with pytest.raises(InvalidInputError, match="sample 1 is not a finite number"):
        silence(np.array([0.0, np.nan]), 8000)
    with pytest.raises(InvalidInputError, match="limit has to be positive"):
        clipping(np.zeros(3), limit=0)


@pytest.mark.parametrize(
    ("rule", "given", "message"),
    [
        (silence, {"sample_rate": 0}, "sample_rate and shortest have to be positive, .*; got 0, 0.1 and -60.0"),
        (silence, {"sample_rate": -8000}, "got -8000, 0.1 and -60.0"),
        (silence, {"sample_rate": 8000, "shortest": 0}, "got 8000, 0 and -60.0"),
        (silence, {"sample_rate": 8000, "below": np.nan}, "got 8000, 0.1 and nan"),
        (clipping, {"limit": np.nan}, "limit has to be positive and shortest at least 1; got nan and 3"),
        (clipping, {"shortest": 0}, "got 1.0 and 0"),
        (discontinuities, {"around": -1}, "around has to be a whole number from 1, .*; got -1, 10.0 and 0.05"),
        (discontinuities, {"around": 0}, "got 0, 10.0 and 0.05"),
        (discontinuities, {"around": 2.5}, "got 2.5, 10.0 and 0.05"),
        (discontinuities, {"times": np.nan}, "got 50, nan and 0.05"),
        (discontinuities, {"least": -1}, "got 50, 10.0 and -1"),
        (loudness, {"sample_rate": 0}, "sample_rate is samples a second, from 1; got 0"),
        (trim_silence, {"frame": 0}, "below, frame and hop have to be positive; got 60.0, 0 and 512"),
        (trim_silence, {"hop": -1}, "got 60.0, 2048 and -1"),
    ],
)
def test_odd_values_are_told(rule, given: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        rule(np.sin(np.arange(4000.0)), **given)
