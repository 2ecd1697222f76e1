"""Metrics of sounds, against SciPy, closed forms and other libraries; the same however they are cut into batches."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import fft, linalg, signal

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.measuring import Material, evaluation_key, measure, obstacle
from artifex.core.metrics import FeatureExtractor, MergedMetric, StreamedMetric
from artifex.core.plugins import resolve
from artifex.modalities.audio import AudioModality, AudioModalityConfig
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
from artifex.modalities.audio.processing import resample

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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_offset_takes_no_digits_of_a_difference(dtype: type) -> None:
    """Sums in extended precision of signals about 0.9 that differ by 1e-4: a float32 sum would be off by a thousandth."""
    rng = np.random.default_rng(0)
    references = (0.9 + 0.05 * rng.normal(size=(20, 4000))).astype(dtype)
    samples = (references + 1e-4 * rng.normal(size=references.shape)).astype(dtype)
    s, r = samples.astype(np.longdouble), references.astype(np.longdouble)
    expected = 10 * np.log10((r**2).sum(axis=1) / ((s - r) ** 2).sum(axis=1))
    np.testing.assert_allclose(snr(samples, references), expected.astype(float), rtol=1e-10)
    target = (s * r).sum(axis=1, keepdims=True) / (r**2).sum(axis=1, keepdims=True) * r
    expected = 10 * np.log10((target**2).sum(axis=1) / ((target - s) ** 2).sum(axis=1))
    np.testing.assert_allclose(si_sdr(samples, references), expected.astype(float), rtol=1e-6)


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
    with pytest.raises(InvalidInputError, match="PESQ is of 8000 or 16000 samples a second, and these signals have 4000"):
        pesq(noisy, clean, sample_rate=4000)
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
                figure = metric.finalize(metric.statistics({**batch, "modality": AudioModality()}).sum(axis=0))
            else:
                features = MelStatistics(MelStatisticsConfig(sample_rate=16000))
                figure = metric.finalize(metric.state({name: features(x) for name, x in batch.items()}))
        assert np.isfinite(figure)


class Noisy:
    """Reconstructs with a given error."""

    def __init__(self, error: np.ndarray):
        self.error = error

    def reconstruct(self, x: Any, **_: Any) -> Any:
        return x + np.pad(self.error, ((0, len(x) - len(self.error)), (0, 0)))  # batches are filled up


def at_rate(rate: int, name: str, clean: np.ndarray, noisy: np.ndarray, **fields: Any) -> float:
    """A registered figure of a second of sound at 48 kHz, brought to another rate, in a modality of that rate."""
    clean, noisy = (resample(x, 48000, rate).astype(np.float32) for x in (clean, noisy))
    modality = AudioModality(AudioModalityConfig(sample_rate=rate, length=rate))
    entry = next(e for e in artifex_metrics() if e.name == name)
    reconstructing = entry.compares == "pairs"
    material = Material(
        Noisy(noisy - clean) if reconstructing else None,
        {"x": clean},
        key=evaluation_key(0),
        modality=modality,
        samples=None if reconstructing else noisy,
        **fields,
    )
    assert obstacle(entry, material.facts) == ""
    return measure(entry, material).value


def speech_at_48_khz() -> tuple[np.ndarray, np.ndarray]:
    """Three seconds of sound below 8 kHz, and the same with noise."""
    clean = resample(speech_like(0, 3), 16000, 48000)
    return clean, clean + resample(0.02 * np.random.default_rng(3).normal(size=(3, 16000)), 16000, 48000)


def test_registered_stoi_is_pystois_at_the_modalitys_rate() -> None:
    """Which resamples to 10 kHz itself; 1e-6 is what float32 keeps of signals. At a rate that is not theirs it is another."""
    import pystoi

    clean, noisy = speech_at_48_khz()
    for rate in (16000, 24000):
        s, r = (resample(x, 48000, rate) for x in (clean, noisy))
        wanted, other = (np.mean([pystoi.stoi(*pair, as_if) for pair in zip(s, r, strict=True)]) for as_if in (rate, 20000))
        found = at_rate(rate, "stoi", clean, noisy)
        assert found == pytest.approx(wanted, abs=1e-6)
        assert abs(found - other) > 1e-4


def test_registered_pesq_loses_less_on_a_way_through_24_khz_than_by_scipys_filter() -> None:
    """It is defined at 16 kHz, so that the same sound at 24 kHz has the same figure, but for the transition of a filter.

    What SciPy's default filter changes is the measure; 24 kHz taken for 16 changes a thousand times more.
    """
    import pesq as library
    from scipy.signal import resample_poly

    def figure(rows: tuple[np.ndarray, np.ndarray]) -> float:
        return float(np.mean([library.pesq(16000, s, r, "wb") for s, r in zip(*rows, strict=True)]))

    both = speech_at_48_khz()
    found = [at_rate(rate, "pesq", *both) for rate in (16000, 24000)]
    through = tuple(resample_poly(x, 1, 2, axis=-1) for x in both)
    scipys = [figure(tuple(resample_poly(x, 1, 3, axis=-1) for x in both))]
    scipys += [figure(tuple(resample_poly(x, 2, 3, axis=-1) for x in through))]
    assert abs(found[1] - found[0]) < abs(scipys[1] - scipys[0])
    assert abs(figure(through) - found[0]) > 1000 * abs(scipys[1] - scipys[0])


@pytest.mark.parametrize("name", ["mel_cepstral_distortion", "frechet_mel_statistics"])
def test_registered_mel_figures_are_those_of_the_modalitys_rate(name: str) -> None:
    """Bands up to half the rate: those of their function at that rate, which at another gives another figure."""
    found = at_rate(24000, name, *speech_at_48_khz())
    clean, noisy = (resample(x, 48000, 24000) for x in speech_at_48_khz())
    if name == "mel_cepstral_distortion":
        wanted, other = (mel_cepstral_distortion(noisy, clean, sample_rate=rate).mean() for rate in (24000, 16000))
    else:
        extracts = [MelStatistics(MelStatisticsConfig(sample_rate=rate)) for rate in (24000, 16000)]
        states = [FRECHET_DISTANCE.state({"samples": e(noisy), "references": e(clean)}) for e in extracts]
        wanted, other = (FRECHET_DISTANCE.finalize(state) for state in states)
    assert found == pytest.approx(wanted, rel=1e-5)  # float32 in the modality: 6e-8 of a signal, more of its weakest bands
    assert found != pytest.approx(other, rel=1e-3)


def test_mel_cepstral_distortion_at_24_khz_is_of_librosas_bands() -> None:
    stored = dict(np.load(Path(__file__).parent / "frozen" / "librosa.npz"))
    signals = {"signal": stored["signal"], "cube": stored["signal"] ** 3}
    cepstra = [fft.dct(np.log(np.maximum(stored[f"mel_24000_{name}"], 1e-10)))[:, 1:14] / (2 * 40) for name in signals]
    wanted = 10 / np.log(10) * np.sqrt(2 * ((cepstra[0] - cepstra[1]) ** 2).sum(axis=1)).mean()
    made = mel_cepstral_distortion(*(x[None] for x in signals.values()), sample_rate=24000)
    np.testing.assert_allclose(made, wanted, rtol=1e-4)  # librosa's bands are float32


def test_a_rate_that_is_not_known_or_contradicted_is_refused() -> None:
    clean = speech_like(0)
    with pytest.raises(InvalidInputError, match="depends on the sample rate, and NoneType has none; give the audio modality"):
        resolve("artifex.modalities.audio.metrics.speech:STOI")(clean, clean)
    with pytest.raises(InvalidInputError, match="no sample_rate, and there is no audio modality to say it; set it"):
        MelStatistics(MelStatisticsConfig())(clean)
    extract = MelStatistics(MelStatisticsConfig(sample_rate=16000))
    with pytest.raises(InvalidInputError, match="has sample_rate 16000, and the signals have 24000; leave it out"):
        extract.for_modality(AudioModality(AudioModalityConfig(sample_rate=24000)))
    assert extract.for_modality(AudioModality()).signature == extract.signature


@pytest.mark.nightly
def test_stoi_of_a_thousand_random_pairs_is_pystois_and_in_range() -> None:
    """The library is the one that is called: what is proved is the wrapper, each pair by itself, in its order, at its rate."""
    import pystoi

    rng = np.random.default_rng(0)
    for rate in (8000, 16000, 24000, 44100):
        clean = np.stack([resample(speech_like(int(seed), 1)[0], 16000, rate) for seed in rng.integers(2**31, size=250)])
        noisy = clean + rng.uniform(0, 0.3, (250, 1)) * rng.normal(size=clean.shape)
        made = stoi(noisy, clean, sample_rate=rate)
        wanted = [pystoi.stoi(r, s, rate) for s, r in zip(noisy, clean, strict=True)]
        np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-12)
        assert ((made > -1) & (made <= 1 + 1e-9)).all()


@pytest.mark.nightly
def test_pesq_of_a_thousand_random_pairs_is_its_librarys_and_in_range() -> None:
    """Of all lengths from a quarter of a second to one, silence among them: the wrapper, as with STOI."""
    import pesq as theirs

    rng = np.random.default_rng(1)
    for case in range(1000):
        rate, mode = ((8000, "nb"), (16000, "wb"))[case % 2]
        clean = speech_like(case, 1)[:, : int(rng.integers(4000, 16000))]
        clean = np.zeros_like(clean) if case % 50 == 0 else clean
        noisy = clean + rng.choice([0.0, 0.001, 0.02, 0.2]) * rng.normal(size=clean.shape)
        (made,) = pesq(noisy, clean, sample_rate=rate)
        if not (clean.any() and noisy.any()):
            assert np.isnan(made)
            continue
        try:
            assert made == theirs.pesq(rate, clean[0], noisy[0], mode)
            assert 1 <= made <= 4.7
        except (theirs.NoUtterancesError, theirs.BufferTooShortError):
            assert np.isnan(made)
