"""Metrics of sounds, against SciPy, closed forms and other libraries; the same however they are cut into batches."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from scipy import fft, linalg, signal

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.metrics import FeatureExtractor, MergedMetric, StreamedMetric
from artifex.core.plugins import resolve
from artifex.modalities.audio.mel import mel_filters
from artifex.modalities.audio.metrics import (
    FRECHET_DISTANCE,
    AudioEvaluationSuite,
    MeanOverPairs,
    MelStatistics,
    MelStatisticsConfig,
    log_spectral_distance,
    mel_cepstral_distortion,
    multi_resolution_stft,
    pesq,
    si_sdr,
    snr,
    stoi,
)
from artifex.modalities.audio.plugin import artifex_metrics

RNG = np.random.default_rng(0)
REFERENCES = RNG.normal(size=(1000, 600)) * RNG.uniform(0.01, 0.4, (1000, 1))
SAMPLES = REFERENCES * RNG.uniform(0.3, 2, (1000, 1)) + RNG.normal(size=(1000, 600)) * RNG.uniform(0.001, 0.2, (1000, 1))
LONG = [np.random.default_rng(i).normal(size=(100, 3000)) * 0.1 for i in (1, 2)]


def scipys_power(x: np.ndarray, n_fft: int, hop: int, width: int | None = None, mode: str = "constant") -> np.ndarray:
    """By ``scipy.signal.stft``, whose scale is undone: frames times bins."""
    width = width or n_fft
    padded = np.pad(x, ((0, 0), (n_fft // 2, n_fft // 2)), mode=mode)
    window = np.zeros(n_fft)
    window[(n_fft - width) // 2 : (n_fft - width) // 2 + width] = signal.get_window("hann", width)
    _, _, spectrum = signal.stft(padded, window=window, nperseg=n_fft, noverlap=n_fft - hop, boundary=None, padded=False)
    return np.swapaxes(np.abs(spectrum * window.sum()) ** 2, 1, 2)


def test_ratios_are_their_definitions() -> None:
    made = snr(SAMPLES, REFERENCES), si_sdr(SAMPLES, REFERENCES)
    for i in range(1000):
        s, r = SAMPLES[i], REFERENCES[i]
        assert made[0][i] == pytest.approx(20 * np.log10(linalg.norm(r) / linalg.norm(s - r)), abs=1e-9)
        nearest = r * linalg.lstsq(r[:, None], s)[0][0]
        assert made[1][i] == pytest.approx(20 * np.log10(linalg.norm(nearest) / linalg.norm(s - nearest)), abs=1e-9)
    np.testing.assert_allclose(si_sdr(3 * SAMPLES, REFERENCES), made[1], atol=1e-9)


@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=pytest.mark.nightly)])
def test_spectral_distances_are_their_definitions(n: int) -> None:
    """Spectra by SciPy's transform."""
    s, r = (np.random.default_rng(i).normal(size=(n, 3000)) * 0.1 for i in (1, 2))
    levels = [10 * np.log10(np.maximum(scipys_power(x, 1024, 256), 1e-10)) for x in (s, r)]
    wanted = np.sqrt(((levels[0] - levels[1]) ** 2).mean(axis=2)).mean(axis=1)
    np.testing.assert_allclose(log_spectral_distance(s, r), wanted, atol=1e-9)
    filters = mel_filters(16000, 1024, 40)
    cepstra = [fft.dct(np.log(scipys_power(x, 1024, 256) @ filters.T))[..., 1:14] / (2 * 40) for x in (s, r)]
    distortion = 10 / np.log(10) * np.sqrt(2 * ((cepstra[0] - cepstra[1]) ** 2).sum(axis=2)).mean(axis=1)
    np.testing.assert_allclose(mel_cepstral_distortion(s, r), distortion, atol=1e-9)
    total = np.zeros(len(s))
    for n_fft, hop, width in ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240)):
        mine, theirs = (np.sqrt(np.maximum(scipys_power(x, n_fft, hop, width, "reflect"), 1e-7)) for x in (s, r))
        total += [linalg.norm(a - b) / linalg.norm(b) + np.abs(np.log(a / b)).mean() for a, b in zip(mine, theirs, strict=True)]
    np.testing.assert_allclose(multi_resolution_stft(s, r), total / 3, atol=1e-9)


PAIRS = {m.__name__: m for m in (snr, si_sdr, log_spectral_distance, mel_cepstral_distortion, multi_resolution_stft)}


@pytest.mark.parametrize("name", PAIRS)
def test_edges(name: str) -> None:
    x, silent = LONG[0][:2], np.zeros((2, 3000))
    equal, nothing, against_nothing, from_nothing = (
        PAIRS[name](*pair) for pair in ((x, x), (silent, silent), (x, silent), (silent, x))
    )
    if name in ("snr", "si_sdr"):
        assert (equal > 250).all()  # infinite, or what rounding leaves
        assert (from_nothing == (0 if name == "snr" else -np.inf)).all()
        assert (np.isnan(against_nothing) if name == "si_sdr" else against_nothing == -np.inf).all()
        assert (np.isnan(nothing) if name == "si_sdr" else nothing == np.inf).all()
    else:
        np.testing.assert_array_equal([equal, nothing], 0)
        assert np.isfinite([against_nothing, from_nothing]).all()
        assert (np.array([against_nothing, from_nothing]) > 0).all()
    assert PAIRS[name](x[:1], x[:1]).shape == (1,)
    for wrong in (x[:1], x[:, :-1], x[0]):
        with pytest.raises(InvalidInputError, match="are needed; got"):
            PAIRS[name](wrong, x)


def test_short_signals_for_mirrored_frames_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="signals of 1000 samples are too short for frames of 2048; they need 1025"):
        multi_resolution_stft(np.zeros((1, 1000)), np.zeros((1, 1000)))


@pytest.mark.parametrize("name", PAIRS)
def test_batches_change_nothing(name: str) -> None:
    metric = MeanOverPairs(PAIRS[name], name)
    assert isinstance(metric, StreamedMetric)
    s, r = LONG
    whole = float(metric(s, r))
    for size in (1, 7, 64):
        cuts = [slice(i, i + size) for i in range(0, len(s), size)]
        total = sum(metric.statistics({"samples": s[c], "references": r[c]}).sum(axis=0) for c in cuts)
        assert float(metric.finalize(total)) == pytest.approx(whole, abs=1e-9)
    assert whole == pytest.approx(np.mean(PAIRS[name](s, r)))


def test_pairs_without_a_number_are_left_out() -> None:
    metric = MeanOverPairs(si_sdr, "si-sdr")
    s, r = np.stack([LONG[0][0]] * 2), np.stack([LONG[1][0], np.zeros(3000)])
    assert float(metric(s, r)) == pytest.approx(si_sdr(s[:1], r[:1])[0])
    assert np.isnan(metric(s[1:], r[1:]))


@pytest.mark.parametrize("n", [50, pytest.param(1000, marks=pytest.mark.nightly)])
def test_frechet_distance_is_scipys_and_merges(n: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(n):
        x, y = (rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=5) for _ in range(2))
        covariances = np.cov(x.T), np.cov(y.T)
        root = linalg.sqrtm(covariances[0] @ covariances[1]).real
        wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
        whole = FRECHET_DISTANCE.finalize(FRECHET_DISTANCE.state({"samples": x + 300, "references": y + 300}))
        assert whole == pytest.approx(wanted, rel=1e-6)
    assert isinstance(FRECHET_DISTANCE, MergedMetric)
    for size in (1, 7, 64):
        state: dict = {}
        for i in range(0, 60, size):
            state = FRECHET_DISTANCE.merge(state, FRECHET_DISTANCE.state({"samples": x[i : i + size] + 300}))
            state = FRECHET_DISTANCE.merge(FRECHET_DISTANCE.state({"references": y[i : i + size] + 300}), state)
        assert FRECHET_DISTANCE.finalize(state) == pytest.approx(whole, rel=1e-6)
    same = FRECHET_DISTANCE.state({"samples": x[:4], "references": x[:4]})  # fewer examples than features
    assert FRECHET_DISTANCE.finalize(same) == pytest.approx(0, abs=1e-6)


def test_frechet_distances_that_cannot_be() -> None:
    with pytest.raises(InvalidInputError, match="needs samples and references; there are no references"):
        FRECHET_DISTANCE.finalize(FRECHET_DISTANCE.state({"samples": np.zeros((3, 3))}))
    with pytest.raises(InvalidInputError, match="a covariance needs two at least"):
        FRECHET_DISTANCE.finalize(FRECHET_DISTANCE.state({"samples": np.zeros((1, 3)), "references": np.zeros((2, 3))}))
    with pytest.raises(InvalidInputError, match="use one extractor for both"):
        FRECHET_DISTANCE.finalize(FRECHET_DISTANCE.state({"samples": np.zeros((2, 3)), "references": np.zeros((2, 2))}))
    with pytest.raises(InvalidInputError, match="features have to be finite"):
        FRECHET_DISTANCE.state({"samples": np.full((2, 2), np.nan)})


def test_mel_statistics_tell_sounds_apart() -> None:
    extract = MelStatistics(MelStatisticsConfig(sample_rate=8000))
    assert isinstance(extract, FeatureExtractor)
    assert extract.signature == "mel statistics|rate:8000|n_fft:1024|mels:20 librosa"
    white = [np.random.default_rng(i).normal(size=(40, 4000)) * 0.1 for i in range(2)]
    red = signal.lfilter([1], [1, -0.9], white[1], axis=1) / 3
    same, other = (
        FRECHET_DISTANCE.finalize(FRECHET_DISTANCE.state({"samples": extract(white[0]), "references": extract(y)}))
        for y in (white[1], red)
    )
    assert other > 20 * same
    np.testing.assert_allclose(extract(white[0])[5:9], extract(white[0][5:9]), atol=1e-12)
    with pytest.raises(InvalidInputError, match="signals have shape"):
        extract(np.zeros(4000))


def speech_like(seed: int, n: int = 2) -> np.ndarray:
    """Noise in bursts, as syllables are."""
    rng = np.random.default_rng(seed)
    t = np.arange(16000) / 16000
    return signal.lfilter([1], [1, -0.9], rng.normal(size=(n, 16000)), axis=1) * (0.02 + 0.1 * np.sin(2 * np.pi * 3 * t) ** 2)


def test_speech_metrics_are_their_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    import pesq as theirs_pesq
    import pystoi

    clean, noisy = speech_like(0), speech_like(0) + 0.05 * np.random.default_rng(3).normal(size=(2, 16000))
    np.testing.assert_allclose(stoi(noisy, clean), [pystoi.stoi(r, s, 16000) for s, r in zip(noisy, clean, strict=True)])
    assert (stoi(clean, clean) > 0.999).all()
    np.testing.assert_allclose(
        pesq(noisy, clean), [theirs_pesq.pesq(16000, r, s, "wb") for s, r in zip(noisy, clean, strict=True)]
    )
    np.testing.assert_allclose(
        pesq(noisy, clean, sample_rate=8000), [theirs_pesq.pesq(8000, r, s, "nb") for s, r in zip(noisy, clean, strict=True)]
    )
    assert np.isnan(pesq(np.zeros((1, 16000)), np.zeros((1, 16000)))).all()
    with pytest.raises(InvalidInputError, match="PESQ is of 8000 or 16000 samples a second, got 44100"):
        pesq(noisy, clean, sample_rate=44100)
    with pytest.raises(InvalidInputError, match=r"STOI needs about 0.4 seconds of speech"):
        stoi(noisy[:, :3000], clean[:, :3000])
    for name, function in (("pystoi", stoi), ("pesq", pesq)):
        with pytest.raises(InvalidInputError, match="are needed"):
            function(noisy, clean[:1])
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(DataError, match=f"this metric needs the library '{name}': pip install"):
            function(noisy, clean)


def test_the_suite_says_it_all() -> None:
    clean = speech_like(0, 4)
    clean = 0.5 * clean / np.abs(clean).max()
    figures = AudioEvaluationSuite().evaluate(1.1 * clean, clean)
    assert figures["snr"] == pytest.approx(20)
    assert figures["clipped"] == figures["silent"] == 0
    assert figures["frechet_mel_statistics"] == pytest.approx(20 * np.log10(1.1) ** 2 * 4, rel=1e-6)
    assert set(figures) >= set(AudioEvaluationSuite().pairs)
    alone = AudioEvaluationSuite().evaluate(np.concatenate([np.zeros((1, 16000)), np.ones((1, 16000))]))
    assert alone == {"clipped": 0.5, "silent": 0.5, "jumps": 0.0}
    unpaired = AudioEvaluationSuite().evaluate(clean, speech_like(1, 3), paired=False)
    assert "snr" not in unpaired
    assert unpaired["frechet_mel_statistics"] > 0
    with pytest.raises(InvalidInputError, match="sample_rate is samples a second, from 1; got 0"):
        AudioEvaluationSuite(0)
    with pytest.raises(InvalidInputError, match="samples have shape"):
        AudioEvaluationSuite().evaluate(np.zeros(3))


def test_every_registered_metric_computes() -> None:
    clean = speech_like(0, 3)
    batch = {"samples": clean + 0.01 * np.random.default_rng(1).normal(size=clean.shape), "references": clean}
    for entry in artifex_metrics():
        metric = resolve(entry.metric)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if isinstance(metric, StreamedMetric):
                figure = metric.finalize(metric.statistics(batch).sum(axis=0))
            else:
                features = MelStatistics(MelStatisticsConfig())
                figure = metric.finalize(metric.state({name: features(x) for name, x in batch.items()}))
        assert np.isfinite(figure)
