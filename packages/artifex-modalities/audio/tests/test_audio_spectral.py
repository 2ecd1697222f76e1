"""Spectrograms: there and back, and equal to librosa's and torchaudio's."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.fft import dct, rfft
from scipy.signal import get_window

from artifex.core.errors import InvalidInputError
from artifex.modalities.audio import griffin_lim, istft, mel_spectrogram, mfcc, mu_law_decode, mu_law_encode, stft
from artifex.modalities.audio.mel import cosine_basis, decibels, mel_filters, mel_to_power, mfcc_to_mel
from artifex.modalities.audio.metrics.pairs import power_spectrum
from artifex.modalities.audio.spectral import hann, number_of_frames

FROZEN = Path(__file__).parent / "frozen"
LIBROSA, TORCHAUDIO = (dict(np.load(FROZEN / f"{name}.npz")) for name in ("librosa", "torchaudio"))
SIGNAL = jnp.asarray(LIBROSA["signal"], jnp.float32)
SIZES = (511, 512, 1103)


def relative(made: jax.Array | np.ndarray, wanted: np.ndarray) -> float:
    """The greatest difference, over the greatest value."""
    assert made.shape == wanted.shape
    return float(np.abs(np.asarray(made) - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("n_fft", SIZES)
def test_transform_and_mel_bands_are_librosas(n_fft: int) -> None:
    """To one part in a million of the loudest; float32 has half of one in sixteen million, over 10 stages of the transform."""
    hop = n_fft // 4 if n_fft != 511 else 128
    assert relative(stft(SIGNAL, n_fft, hop), LIBROSA[f"stft_{n_fft}"]) < 1e-6
    np.testing.assert_allclose(mel_filters(8000, n_fft, 24), LIBROSA[f"filters_{n_fft}"], atol=1e-12)
    assert relative(mel_spectrogram(SIGNAL, 8000, n_fft, hop, 24), LIBROSA[f"mel_{n_fft}"]) < 1e-6
    np.testing.assert_allclose(
        power_spectrum(LIBROSA["signal"][None], n_fft, hop)[0], np.abs(LIBROSA[f"stft_{n_fft}"]) ** 2, atol=1e-9
    )


def test_cepstra_are_librosas_and_torchaudios() -> None:
    """Decibels have a hundred times the relative error of the power that they are the logarithm of."""
    assert relative(mfcc(SIGNAL, 8000, 512, 128, 24, 13), LIBROSA["mfcc"]) < 1e-5
    assert relative(mfcc(SIGNAL, 8000, 512, 128, 24, 13, "torchaudio"), TORCHAUDIO["mfcc"]) < 1e-5


def test_mel_bands_are_torchaudios() -> None:
    made = mel_spectrogram(SIGNAL, 8000, 512, 128, 24, "torchaudio")
    assert relative(made, TORCHAUDIO["mel"]) < 1e-6
    assert relative(made, LIBROSA["mel_htk"]) < 1e-6


@pytest.mark.reference
def test_mel_bands_are_librosas_live() -> None:
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(1)
    lengths = rng.integers(1200, 5000, 8)  # librosa warns of frames longer than a signal; eight, so that little is compiled
    for i in range(1000):
        n_fft = int(rng.choice(SIZES))
        x = edge_signals(rng, int(rng.choice(lengths)))[i % 20] if i % 5 == 0 else rng.normal(size=int(rng.choice(lengths)))
        wanted = librosa.feature.melspectrogram(y=x, sr=16000, n_fft=n_fft, hop_length=n_fft // 4, n_mels=32).T
        assert relative(mel_spectrogram(jnp.asarray(x, jnp.float32), 16000, n_fft, n_fft // 4, 32), wanted) < 1e-6


def edge_signals(rng: np.random.Generator, length: int) -> np.ndarray:
    """Noise of all loudnesses, an offset, ties, a constant, an impulse, a tone; ``(20, length)``, none silent."""
    x = rng.normal(size=(20, length)) * 10.0 ** rng.uniform(-4, 0, (20, 1))
    x[0] = 0.5
    x[1] += 0.9
    x[2] = np.round(x[2] / np.abs(x[2]).max())
    x[3] = np.arange(length) == length // 2
    x[4] = np.sin(2 * np.pi * 1000 * np.arange(length) / 16000)
    return x


def mel_by_hand(x: np.ndarray, rate: int, n_fft: int, hop: int, n_mels: int, form: str) -> np.ndarray:
    """Power of signals ``(B, T)`` in bands, float64: SciPy's window and transform, and triangles drawn between their corners.

    Slaney's scale has 15 mels in steps of 200 / 3 hertz up to 1 kHz, and 27 for each factor of 6.4 above.
    """
    slaney = form == "librosa"
    padded = np.pad(x, ((0, 0), (n_fft // 2, n_fft // 2)), mode="constant" if slaney else "reflect")
    frames = np.stack([padded[:, at : at + n_fft] for at in range(0, padded.shape[1] - n_fft + 1, hop)], axis=1)
    power = np.abs(rfft(frames * get_window("hann", n_fft), axis=-1)) ** 2
    if slaney:
        corners = np.linspace(0, 15 + 27 * np.log(rate / 2000) / np.log(6.4), n_mels + 2)
        corners = np.where(corners < 15, corners * 200 / 3, 1000 * 6.4 ** ((corners - 15) / 27))
        bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    else:
        corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), n_mels + 2) / 2595) - 1)
        bins = np.linspace(0, rate / 2, n_fft // 2 + 1)
    bands = [
        np.interp(bins, (a, b, c), (0, 1, 0)) * (2 / (c - a) if slaney else 1)
        for a, b, c in zip(corners, corners[1:], corners[2:], strict=False)
    ]
    return power @ np.transpose(bands)


@pytest.mark.parametrize("form", ["librosa", "torchaudio"])
def test_mel_bands_of_a_thousand_signals_are_worked_out_by_hand(form: str) -> None:
    """To one part in a million of the loudest, as librosa's and torchaudio's live and frozen ones."""
    rng = np.random.default_rng(1)
    frozen = LIBROSA["mel_512"] if form == "librosa" else TORCHAUDIO["mel"]
    assert relative(mel_by_hand(LIBROSA["signal"][None], 8000, 512, 128, 24, form)[0], frozen) < 1e-6
    for n_fft in SIZES:
        made = jax.jit(lambda x, n=n_fft: mel_spectrogram(x, 16000, n, n // 4, 32, form))
        for _ in range(17):
            x = edge_signals(rng, 1800)
            for one, wanted in zip(
                made(jnp.asarray(x, jnp.float32)), mel_by_hand(x, 16000, n_fft, n_fft // 4, 32, form), strict=True
            ):
                assert relative(one, wanted) < 1e-6


@pytest.mark.parametrize("form", ["librosa", "torchaudio"])
def test_silence_has_no_power_in_any_band(form: str) -> None:
    assert not np.asarray(mel_spectrogram(jnp.zeros(2000), 16000, 512, 128, 32, form)).any()


@pytest.mark.parametrize("pad", ["constant", "reflect"])
@pytest.mark.parametrize("n_fft", SIZES)
def test_every_length_comes_back(n_fft: int, pad: str) -> None:
    rng = np.random.default_rng(0)
    for length in (1, 2, 17, 400, n_fft - 1, n_fft, n_fft + 1, 2003):
        if pad == "reflect" and length <= n_fft // 2:
            continue
        x = jnp.asarray(rng.uniform(-1, 1, (2, length)), jnp.float32)
        back = istft(stft(x, n_fft, n_fft // 4, pad=pad), n_fft, n_fft // 4, length)
        assert back.shape == x.shape
        np.testing.assert_allclose(back, x, atol=1e-5)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(InvalidInputError, match="a signal of 100 samples is too short for frames of 512"):
        stft(jnp.zeros(100), 512, 128, pad="reflect")
    with pytest.raises(InvalidInputError, match="a signal of 0 samples"):
        stft(jnp.zeros(0), 512, 128)
    with pytest.raises(InvalidInputError, match=r"the spectrum of 100 samples has shape \(..., 1, 257\), got \(2, 257\)"):
        istft(jnp.zeros((2, 257), complex), 512, 128, 100)
    with pytest.raises(InvalidInputError, match="mel band 0 of 80 lies between two bins of frames of 64 samples"):
        mel_filters(16000, 64, 80)
    assert number_of_frames(100, 512, 128) == 1
    np.testing.assert_allclose(hann(8, 4), [0, 0, 0, 0.5, 1, 0.5, 0, 0])


def convergence(x: jax.Array, magnitude: jax.Array) -> float:
    again = jnp.abs(stft(x, 512, 128))
    return float(jnp.linalg.norm(again - magnitude) / jnp.linalg.norm(magnitude))


def test_griffin_and_lim_find_a_signal_with_the_magnitudes() -> None:
    """A tenth of the magnitudes' norm is what librosa's implementation reaches in as many rounds on such signals."""
    magnitude = jnp.abs(stft(SIGNAL, 512, 128))
    found = griffin_lim(magnitude, 512, 128, SIGNAL.size, iterations=60)
    assert convergence(found, magnitude) < 0.15
    random = griffin_lim(magnitude, 512, 128, SIGNAL.size, iterations=60, key=jax.random.key(0))
    assert convergence(random, magnitude) < 0.15
    few = griffin_lim(magnitude, 512, 128, SIGNAL.size, iterations=2)
    assert convergence(few, magnitude) > convergence(found, magnitude)
    plain = griffin_lim(magnitude, 512, 128, SIGNAL.size, iterations=60, momentum=0.0)
    assert convergence(plain, magnitude) < 0.3


def test_ways_back_from_mel_bands() -> None:
    mel = mel_spectrogram(SIGNAL, 8000, 512, 128, 24)
    power = mel_to_power(mel, 8000, 512)
    assert (power >= 0).all()
    again = np.asarray(power) @ mel_filters(8000, 512, 24).T
    assert np.abs(again - np.asarray(mel)).max() < 0.2 * float(mel.max())
    level = decibels(mel)
    np.testing.assert_allclose(10 * jnp.log10(mfcc_to_mel(mfcc(SIGNAL, 8000, 512, 128, 24, 24), 24)), level, atol=1e-3)
    assert float(level.max() - level.min()) <= 80 + 1e-4
    x = np.random.default_rng(0).normal(size=(5, 24))
    np.testing.assert_allclose(x @ cosine_basis(24, 13).T, dct(x, norm="ortho")[:, :13], atol=1e-12)


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_every_level_of_mu_law_comes_back(levels: int) -> None:
    every = jnp.arange(levels)
    np.testing.assert_array_equal(mu_law_encode(mu_law_decode(every, levels), levels), every)
    x = jnp.linspace(-1, 1, 1001)
    assert float(jnp.max(jnp.abs(mu_law_decode(every, levels)))) == 1
    step = float(jnp.max(jnp.diff(mu_law_decode(every, levels))))
    assert float(jnp.max(jnp.abs(mu_law_decode(mu_law_encode(x, levels), levels) - x))) <= step
    assert mu_law_encode(jnp.array([-7.0, 7.0]), levels).tolist() == [0, levels - 1]
