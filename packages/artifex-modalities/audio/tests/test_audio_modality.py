"""Signals on their way to a model and back, models among signals, and data sets of sounds."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from flax import nnx

from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.metrics import MergedMetric, StreamedMetric
from artifex.core.plugins import registry, resolve
from artifex.core.plugins.entries import Entry, MetricEntry
from artifex.core.protocols import ChecksData, HasHostForm, ModalityProtocol, ModelAdapter, Restores
from artifex.core.testing import user_environment
from artifex.modalities.audio import (
    AudioModality,
    AudioModalityConfig,
    AudioModelAdapter,
    AudioRepresentation,
    SpectrogramConfig,
    plugin,
    resample,
    save_wav,
    trim_silence,
)
from artifex.modalities.audio.datasets import AudioFolder, AudioFolderConfig, SyntheticAudio, SyntheticAudioConfig
from artifex.modalities.audio.datasets.synthetic import note
from artifex.modalities.audio.files import read_sound, sound_info

T = np.arange(2000) / 8000
SIGNALS = np.stack([0.5 * np.sin(2 * np.pi * f * T) for f in (220, 440, 1000)]).astype(np.float32)


def modality(**fields) -> AudioModality:
    return AudioModality(AudioModalityConfig(**{"sample_rate": 8000, "length": 2000, **fields}))


@pytest.mark.parametrize("kind", AudioRepresentation)
def test_every_representation_goes_there_and_back(kind: AudioRepresentation) -> None:
    """Samples and transforms exactly, mu-law to its step; bands and cepstra keep the pitch, which is all that they promise."""
    made = modality(representation=kind)
    for protocol in (ModalityProtocol, Restores, HasHostForm, ChecksData):
        assert isinstance(made, protocol)
    again = AudioModality(AudioModalityConfig.from_dict(made.config.to_dict()))
    assert again.config == made.config
    x = jax.jit(lambda batch: made.prepare(batch, train=False))({"x": SIGNALS})["x"]
    assert x.shape[1:] == made.shape
    back = np.asarray(made.restore(x))
    assert back.shape == SIGNALS.shape
    if kind in (AudioRepresentation.RAW_WAVEFORM, AudioRepresentation.STFT, AudioRepresentation.MU_LAW):
        np.testing.assert_allclose(back, SIGNALS, atol=0.02 if kind is AudioRepresentation.MU_LAW else 1e-5)
        return
    spectra = np.abs(np.fft.rfft(back * np.hanning(2000), n=8000))  # one hertz a bin
    np.testing.assert_allclose(spectra.argmax(axis=1), [220, 440, 1000], rtol=0.12)
    assert np.abs(back).max() < 1.5


@pytest.mark.parametrize("form", ["librosa", "torchaudio"])
def test_eight_devices_prepare_what_one_does(form: str) -> None:
    made = modality(representation="mel_spectrogram", spectrogram=SpectrogramConfig(form=form, n_mels=32))
    x = np.random.default_rng(0).uniform(-1, 1, (16, 2000)).astype(np.float32)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    prepare = jax.jit(lambda x: made.prepare({"x": x}, train=False)["x"])
    np.testing.assert_allclose(np.asarray(prepare(spread)), np.asarray(prepare(x)), atol=1e-5)  # of logarithms
    np.testing.assert_allclose(np.asarray(prepare(x[3:4])), np.asarray(prepare(x))[3:4], atol=1e-5)


def test_the_documented_call() -> None:
    assert AudioModality(representation=AudioRepresentation.RAW_WAVEFORM).shape == (16000,)
    assert AudioModality(rngs=nnx.Rngs(0)).config == AudioModalityConfig()
    with pytest.raises(InvalidInputError, match="both a config and a representation are given"):
        AudioModality(AudioModalityConfig(), representation=AudioRepresentation.STFT)


def test_signals_are_cut_padded_and_scaled() -> None:
    whole = (SIGNALS * 32768).astype(np.int16)
    np.testing.assert_allclose(modality().prepare({"x": whole}, train=True)["x"], SIGNALS, atol=1 / 32768)
    mask = np.arange(2000)[None] < np.array([2000, 900, 100])[:, None]
    batch = modality(length=3000).prepare(
        {"x": np.where(mask, SIGNALS, np.nan), "mask": mask, "label": np.arange(3)}, train=True
    )
    np.testing.assert_array_equal(batch["mask"].sum(axis=1), [2000, 900, 100])
    assert np.isfinite(batch["x"]).all()
    assert batch["label"].tolist() == [0, 1, 2]
    shorter = modality(length=500).prepare({"x": SIGNALS}, train=True)["x"]
    np.testing.assert_array_equal(shorter, SIGNALS[:, :500])
    framed = modality(representation="mfcc").prepare({"x": SIGNALS, "mask": mask}, train=True)
    assert framed["mask"].shape == framed["x"].shape[:2] == (3, 16)
    np.testing.assert_array_equal(framed["mask"].sum(axis=1), [16, 8, 1])
    host = modality(length=3000).to_host(np.asarray(batch["x"]), np.asarray(batch["mask"]))
    assert [len(x) for x in host if x is not None] == [2000, 900, 100]
    assert modality().to_host(np.full((1, 2000), np.nan)) == [None]


def test_parts_are_drawn_in_training_alone() -> None:
    made = modality(length=10, crop="random")
    ramp = np.tile(np.arange(30, dtype=np.float32) / 30, (200, 1))
    drawn = np.asarray(made.prepare({"x": ramp}, rngs=nnx.Rngs(0), train=True)["x"]) * 30
    starts = np.rint(drawn[:, 0]).astype(int)
    assert set(starts) == set(range(21))  # each with a chance of 1 in 21, of 200
    np.testing.assert_allclose(drawn, starts[:, None] + np.arange(10), atol=1e-4)
    np.testing.assert_array_equal(made.prepare({"x": ramp}, train=False)["x"], ramp[:, :10])
    with pytest.raises(InvalidInputError, match=r"give nnx\.Rngs a stream 'sample'"):
        made.prepare({"x": ramp}, train=True)
    mask = np.arange(30)[None] < np.full((200, 1), 15)
    assert made.prepare({"x": ramp, "mask": mask}, rngs=nnx.Rngs(0), train=True)["mask"].all()


def test_samples_are_written_as_sound(tmp_path: Path) -> None:
    path = modality().save_samples(SIGNALS, tmp_path / "new" / "step_1.5")
    assert path == tmp_path / "new" / "step_1.5.wav"
    x, rate = soundfile.read(path)
    assert rate == 8000
    assert len(x) == 3 * 2000 + 2 * 2000  # a quarter of a second between
    np.testing.assert_allclose(x[4000:6000], SIGNALS[1], atol=1 / 32767)
    assert soundfile.info(path).subtype == "PCM_16"
    assert list(path.parent.iterdir()) == [path]
    levels = modality(representation="mu_law")
    again, _ = soundfile.read(levels.save_samples(np.full((1, 2000), 128), tmp_path / "mu"))
    assert np.abs(again).max() < 1e-3
    with pytest.raises(InvalidInputError, match=r"no samples to write to .*, expected at least one; generate some"):
        levels.save_samples(np.zeros((0, 2000)), tmp_path / "none")
    loud, _ = soundfile.read(save_wav(tmp_path / "loud.wav", np.array([3.0, -3.0, np.nan]), 8000))
    np.testing.assert_allclose(loud, [1, -1, 0], atol=1e-4)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"label": np.zeros(1)}, r"a batch of signals has the key 'x'; got the keys \['label'\]"),
        ({"x": np.zeros((2, 3, 1))}, r"got float.* of shape \(2, 3, 1\): take one channel"),
        ({"x": np.zeros((2, 3), np.int32)}, r"got int32 of shape \(2, 3\)"),
        ({"x": np.zeros((2, 3)), "mask": np.ones((2, 4), bool)}, r"mask has shape \(2, 4\), x \(2, 3\)"),
        ({"x": np.array([[0.0, 1.5]])}, r"x\[0, 1\] is 1.5, but samples are floats in \[-1, 1\]"),
        ({"x": np.array([[0.0], [np.nan]])}, r"x\[1, 0\] is nan"),
    ],
    ids=["no x", "channels", "integers", "mask", "range", "NaN"],
)
def test_stored_values_that_are_no_signals(batch: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        modality().check(batch)


def test_check_looks_at_samples_alone() -> None:
    modality().check({"x": np.array([[0.1, np.nan]]), "mask": np.array([[True, False]])})
    modality().check({"x": np.array([[32767]], np.int16)})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": 16}, "levels are of 'mu_law', and representation is 'raw_waveform'"),
        ({"spectrogram": {}}, "a spectrogram is of stft, mel_spectrogram and mfcc"),
        (
            {"representation": "stft", "spectrogram": {"n_mels": 9}},
            "spectrogram.n_mels changes nothing for representation 'stft'",
        ),
        ({"representation": "mel_spectrogram", "spectrogram": {"n_mfcc": 9}}, "spectrogram.n_mfcc changes nothing"),
        ({"representation": "mfcc", "spectrogram": {"n_mels": 9}}, "n_mfcc 20 is more than n_mels 9"),
        (
            {"representation": "mfcc", "spectrogram": {"n_fft": 64, "hop_length": 40}},
            "hop_length 40 is more than half of n_fft 64",
        ),
        ({"representation": "wav"}, "'raw_waveform', 'mu_law', 'stft', 'mel_spectrogram' or 'mfcc'"),
    ],
)
def test_configs_that_cannot_be(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AudioModalityConfig(**fields)


def test_objects_that_cannot_serve(tmp_path: Path) -> None:
    with pytest.raises(InvalidTypeError, match="AudioModality takes an AudioModalityConfig, got int"):
        AudioModality(12)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidTypeError, match=r"AudioModality takes rngs=nnx.Rngs\(seed\), got int"):
        AudioModality(rngs=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match=r"prepared signals have shape \(batch, 2000\), got \(2, 3\)"):
        modality().restore(jnp.zeros((2, 3)))
    with pytest.raises(InvalidTypeError, match="AudioModelAdapter takes an AudioModality, got str"):
        AudioModelAdapter("audio")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidTypeError, match="adapt_model takes a model with __call__ and generate, got object"):
        AudioModelAdapter(modality()).adapt_model(object())  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match=r"which has to end in '.wav'"):
        save_wav(tmp_path / "a.mp3", np.zeros(3), 8000)
    with pytest.raises(InvalidInputError, match=r"a WAV file needs one signal of floats"):
        save_wav(tmp_path / "a.wav", np.zeros((3, 2)), 8000)


class Inverting(nnx.Module):
    """In levels of mu-law: turns signals upside down."""

    def __call__(self, x, *, rngs=None):
        return {"levels": x}

    def generate(self, n_samples=1, *, level=255, rngs=None):
        return jnp.full((n_samples, 2000), level)

    def reconstruct(self, x):
        return 255 - x

    def encode(self, x):
        return x

    def decode(self, z):
        return z

    def interpolate(self, x0, x1, n_steps):
        return jnp.stack([x0] + [x1] * (n_steps - 1), axis=1)


def test_a_model_among_signals() -> None:
    adapter = AudioModelAdapter(modality(representation="mu_law"))
    assert isinstance(adapter, ModelAdapter)
    model = adapter.adapt_model(Inverting())
    np.testing.assert_allclose(model.reconstruct(SIGNALS), -SIGNALS, atol=0.02)
    np.testing.assert_allclose(model.decode(model.encode(SIGNALS)), SIGNALS, atol=0.02)
    np.testing.assert_allclose(model.interpolate(SIGNALS[:1], SIGNALS[1:2], 2)[0], SIGNALS[:2], atol=0.02)
    assert (model.generate(2) == 1).all()
    assert (model.generate(2, level=0) == -1).all()
    assert model(SIGNALS)["levels"].dtype == jnp.int32
    assert not hasattr(model, "log_prob")


def test_signals_of_unequal_length_are_padded_and_masked() -> None:
    adapter = AudioModelAdapter(modality())
    batch = adapter.preprocess([SIGNALS[0], SIGNALS[1][:700]])
    np.testing.assert_array_equal(batch["x"], [SIGNALS[0], np.r_[SIGNALS[1][:700], np.zeros(1300)]])
    np.testing.assert_array_equal(batch["mask"], np.arange(2000) < np.array([[2000], [700]]))
    assert set(adapter.preprocess(list(SIGNALS))) == {"x"}
    with pytest.raises(InvalidInputError, match="Inverting takes no mask, and these signals are shorter than"):
        adapter.adapt_model(Inverting()).reconstruct([SIGNALS[0], SIGNALS[1][:700]])
    for wrong, message in ((np.zeros((1, 2, 9)), "signals have shape"), ([], "has at least one.*got none")):
        with pytest.raises(InvalidInputError, match=message):
            adapter.preprocess(wrong)
    with pytest.raises(InvalidInputError, match=r"has at least one, all numbers \(samples,\); got float64 \(2, 9\)"):
        adapter.preprocess([np.zeros((2, 9)), np.zeros(9)])
    with pytest.raises(InvalidTypeError, match=r"signals are an array .*got 'abc'"):
        adapter.preprocess("abc")


# Data sets


def test_synthetic_sounds_are_what_their_labels_say() -> None:
    made = SyntheticAudio(SyntheticAudioConfig(n_test=40))
    arrays = made.arrays("test")
    assert np.abs(arrays["x"]).max() <= 1
    power = np.abs(np.fft.rfft(arrays["x"], axis=1)) ** 2
    low, high = power[:, 40:400].sum(axis=1), power[:, 2000:].sum(axis=1)
    kinds = {name: arrays["label"] == i for i, name in enumerate(made.classes)}
    assert (high > 3 * low)[kinds["white_noise"]].all()  # as many times more bins
    assert (high < low)[kinds["pink_noise"]].all()
    np.testing.assert_array_equal(made.arrays("test")["x"], arrays["x"])
    assert (made.arrays("validation")["x"][:40] != arrays["x"]).any()
    with pytest.raises(
        InvalidInputError, match="synthetic_audio has no split 'tset'; its splits are train, test, validation; did you"
    ):
        made.arrays("tset")
    with pytest.raises(ValueError, match="name at least one, and none twice"):
        SyntheticAudioConfig(kinds=("note", "note"))


def test_notes_have_their_pitch() -> None:
    """A loop of 36 samples and half of one: harmonics of 8000 / 36.5 hertz; most of the power is near them."""
    sound = note(np.random.default_rng(0), 8000, 8000, 220.0)
    power = np.abs(np.fft.rfft(sound)) ** 2  # one hertz a bin
    harmonics = np.rint(8000 / 36.5 * np.arange(1, 12)).astype(int)
    near = sum(power[h - 5 : h + 6].sum() for h in harmonics)
    assert near > 0.8 * power[50:2500].sum()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, name, rate, seconds in [
        ("train", "a/one.wav", 8000, 0.25),
        ("train", "b/two.flac", 16000, 0.6),
        ("Val", "a/x.ogg", 8000, 0.1),
    ]:
        path = tmp_path / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
        soundfile.write(path, np.stack([x, x], axis=1) if name == "b/two.flac" else x, rate)
    return tmp_path


def test_folders_are_read_resampled_and_cut(folder: Path) -> None:
    made = AudioFolder(AudioFolderConfig(folder=folder, sample_rate=8000, length=2000))
    assert made.splits == ("train", "validation")
    assert made.classes == ("a", "b")
    train = made.source("train")
    assert [int(train[i]["label"]) for i in range(len(train))] == [0, 1, 1, 1]  # 0.6 s are 4800 samples, in parts of 2000
    np.testing.assert_allclose(train[0]["x"], 0.5 * np.sin(2 * np.pi * 440 * T), atol=1 / 30000)
    np.testing.assert_allclose(train[1]["x"][200:-200], 0.5 * np.sin(2 * np.pi * 440 * T)[200:-200], atol=1e-3)
    assert [int(train[i]["mask"].sum()) for i in range(4)] == [2000, 2000, 2000, 800]
    assert not train[3]["x"][800:].any()
    assert made.source("validation")[-1]["x"].shape == (2000,)
    loud = AudioFolder(AudioFolderConfig(folder=folder, sample_rate=8000, length=4800, loudness=-30.0)).source("train")
    assert np.abs(loud[1]["x"]).max() < 0.1


def write_trimmed(path: Path, x: np.ndarray, rate: int = 8000) -> np.ndarray:
    """A file of floats, and what :func:`trim_silence`, which is librosa's, keeps of its first channel."""
    soundfile.write(path, x, rate, subtype="FLOAT")
    return trim_silence(np.asarray(x.reshape(len(x), -1)[:, 0], np.float32), below=40.0)


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_silence_at_the_ends_of_a_file_is_cut_off(tmp_path: Path, seconds: float) -> None:
    """Shorter than an example, and longer than several: what is left makes as many as it fills, and stays where it is."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, round(8000 * seconds))
    faint = 1e-3 * np.sin(np.arange(9000.0))  # 50 decibels below
    kept = write_trimmed(tmp_path / "a.wav", np.r_[faint, sound, faint])
    assert len(sound) <= len(kept) <= len(sound) + 2 * 2048
    whole = AudioFolderConfig(folder=tmp_path, sample_rate=8000, length=3000)
    trimmed = AudioFolder(whole.replace(trim=40.0)).source("train")
    assert [int(trimmed[i]["mask"].sum()) for i in range(len(trimmed))] == [
        min(3000, len(kept) - i) for i in range(0, len(kept), 3000)
    ]
    made = np.concatenate([one["x"][one["mask"]] for one in trimmed])
    np.testing.assert_array_equal(made, kept)
    assert not trimmed[-1]["x"][~trimmed[-1]["mask"]].any()
    for config in (whole, whole.replace(trim=60.0)):  # the faint ends are louder than 60 decibels below
        assert sum(int(one["mask"].sum()) for one in AudioFolder(config).source("train")) == 18000 + len(sound)


def test_silence_is_that_of_the_channel_that_is_taken_at_the_files_rate(tmp_path: Path) -> None:
    """The second channel sounds where the first is silent: their mean is loud throughout."""
    rng = np.random.default_rng(0)
    one, other = (np.pad(rng.uniform(-0.5, 0.5, 16000), pads) for pads in ((16000, 32000), (0, 48000)))
    kept = write_trimmed(tmp_path / "a.wav", np.stack([one, other], axis=1), rate=16000)
    config = AudioFolderConfig(folder=tmp_path, sample_rate=8000, length=40000, trim=40.0, channel="first")
    (first,) = AudioFolder(config).source("train")
    wanted = resample(kept, 16000, 8000)
    assert 8000 < len(wanted) < 8000 + 2048
    np.testing.assert_allclose(first["x"][first["mask"]], np.clip(wanted, -1, 1), atol=1e-6)
    (mean,) = AudioFolder(config.replace(channel="mean")).source("train")
    assert 16000 <= mean["mask"].sum() < 16000 + 2048


def test_a_silent_file_is_told_where_silence_is_cut_off(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(5000), 8000)
    config = AudioFolderConfig(folder=tmp_path, sample_rate=8000, length=3000)
    assert len(AudioFolder(config).source("train")) == 2
    with pytest.raises(DataError, match=r"a.wav is silent from beginning to end, .*; take it away, or leave out 'trim'"):
        AudioFolder(config.replace(trim=60.0)).source("train")
    for wrong in (0.0, -3.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="trim"):
            config.replace(trim=wrong)
        with pytest.raises(ValueError, match="loudness"):
            config.replace(loudness=1 - wrong)


@pytest.mark.parametrize(
    ("form", "subtype", "width", "tolerance"),
    # a step of 8 bits, of 24 and of 16, to which what is written is cut; a float as it is; what a codec keeps of a tone
    [
        ("wav", "PCM_U8", 1, 1 / 128),
        ("wav", "PCM_24", 2, 2**-23),
        ("wav", "FLOAT", 1, 1e-7),
        ("WAV", "PCM_16", 2, 2**-15),
        ("flac", None, 1, 2**-15),
        ("ogg", None, 1, 0.05),
        ("mp3", None, 1, 0.05),
    ],
)
def test_every_form_of_sound_file_is_read(tmp_path: Path, form: str, subtype: str | None, width: int, tolerance: float) -> None:
    x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    soundfile.write(tmp_path / f"a.{form}", np.stack([x] * width, axis=1), 16000, subtype=subtype)
    for junk in (".DS_Store", "._a.wav", "Thumbs.db", "notes.txt", "__MACOSX/._a.wav"):
        (tmp_path / junk).parent.mkdir(exist_ok=True)
        (tmp_path / junk).write_bytes(b"junk")
    data = AudioFolder(AudioFolderConfig(folder=tmp_path))
    (split,) = data.splits
    (example,) = data.source(split)
    np.testing.assert_allclose(example["x"], x, atol=tolerance)
    assert example["mask"].all()


def test_one_sample_is_an_example_and_44100_hertz_are_resampled(tmp_path: Path) -> None:
    x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(tmp_path / "long.wav", x, 44100)
    soundfile.write(tmp_path / "short.wav", np.array([0.5]), 16000)
    data = AudioFolder(AudioFolderConfig(folder=tmp_path))
    made = {int(one["mask"].sum()): one["x"] for split in data.splits for one in data.source(split)}
    assert set(made) == {1, 16000}
    np.testing.assert_allclose(made[1][:2], [0.5, 0], atol=1e-4)
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    np.testing.assert_allclose(made[16000][200:-200], wanted[200:-200], atol=1e-3)  # but for the filter's ends


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.wav cannot be read as sound"),
        (b"RIFF\x24\0\0\0WAVEjunk" * 3, r"a\.wav cannot be read as sound .*; mend it, or take it away"),
        (np.zeros(0), r"a\.wav holds no samples; take it away"),
        (np.array([0.1, np.nan]), r"a\.wav: sample 1 is not a finite number"),
        (np.array([0.1, 0.2, -20000.0]), r"a\.wav: sample 2 is -20000, and a sound lies between -1 and 1; .* by 32768"),
    ],
    ids=["no bytes", "header", "no samples", "NaN", "loud"],
)
def test_a_file_that_is_no_sound_is_named(tmp_path: Path, content: bytes | np.ndarray, message: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / "a.wav").write_bytes(content)
    else:
        soundfile.write(tmp_path / "a.wav", content, 16000, subtype="FLOAT")
    data = AudioFolder(AudioFolderConfig(folder=tmp_path))
    with pytest.raises(DataError, match=message):
        _ = [one for split in data.splits for one in data.source(split)]


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("AIFF", "PCM_16")],
)
def test_a_file_that_was_cut_short_is_refused_wherever_the_cut_lies(tmp_path: Path, container: str, subtype: str) -> None:
    """And one that is whole, whatever chunks it has, is read."""
    path = tmp_path / ("a.aiff" if container == "AIFF" else "a.wav")
    soundfile.write(path, 0.1 * np.ones((400, 2)), 16000, format=container, subtype=subtype)
    whole = path.read_bytes()
    assert read_sound(path)[0].shape == (2, 400)
    width = len(whole) // 400
    for cut in (1, width, 100 * width, 399 * width):
        path.write_bytes(whole[:-cut])
        try:
            left = soundfile.info(path).frames
        except soundfile.LibsndfileError:  # nothing but a header
            continue
        if left == 400:  # the cut took a chunk after the samples
            continue
        said = rf"{path.name} was cut short: its header promises 400 frames, and there are {left}; get it again"
        for read in (read_sound, sound_info):
            with pytest.raises(DataError, match=said):
                read(path)
        with pytest.raises(DataError, match=said):
            AudioFolder(AudioFolderConfig(folder=tmp_path)).source("train")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_that_was_cut_short_is_refused(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, 0.5 * np.sin(0.05 * np.arange(48_000)), 48_000, format="OGG", subtype=subtype)
    whole = path.read_bytes()
    assert read_sound(path)[0].shape == (1, 48_000)
    path.write_bytes(whole + b"TAG" + bytes(125))  # as a tagger of MP3 files leaves it
    assert read_sound(path)[0].shape == (1, 48_000)
    pages = [match.start() for match in re.finditer(b"OggS", whole)]
    for cut in (len(whole) - 1, len(whole) * 9 // 10, pages[-1] + 26, pages[-1] + 5, pages[-1] + 1, len(whole) // 2, 300):
        path.write_bytes(whole[:cut])
        for read in (read_sound, sound_info):
            with pytest.raises(DataError, match=r"a\.ogg (was cut short: its last page|cannot be read)"):
                read(path)


def test_a_wav_file_of_a_pipe_has_no_length_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * np.ones(400), 16000)
    whole = path.read_bytes()
    at = whole.index(b"data") + 4
    for unknown in (b"\xff\xff\xff\xff", b"\0\xf0\xff\x7f"):
        path.write_bytes(whole[:at] + unknown + whole[at + 4 :])
        assert read_sound(path)[0].shape == (1, 400)


def test_two_folders_of_one_split_are_refused(folder: Path) -> None:
    shutil.copytree(folder / "train", folder / "Training")
    with pytest.raises(DataError, match=r"Training and .*train both claim the split 'train'; keep one of them"):
        _ = AudioFolder(AudioFolderConfig(folder=folder)).splits


def test_unsplit_files_are_split_by_name(tmp_path: Path) -> None:
    for i in range(60):
        soundfile.write(tmp_path / f"{i}.wav", np.zeros(10), 8000)
    made = AudioFolder(AudioFolderConfig(folder=tmp_path, sample_rate=8000, length=10))
    sizes = {split: len(made.source(split)) for split in made.splits}
    assert sum(sizes.values()) == 60
    assert sizes["train"] > 45
    assert made.classes == ()
    assert "label" not in made.source("train")[0]


def test_a_file_alone_is_trained_on_and_larger_folders_stay_as_they_were(tmp_path: Path) -> None:
    """Of 200 names some are to be held out; whichever is alone is not."""
    for i in range(200):
        soundfile.write(tmp_path / f"{i}.wav", np.zeros(10), 8000)

    def files(folder: Path) -> dict[str, list[str]]:
        made = AudioFolder(AudioFolderConfig(folder=folder, sample_rate=8000, length=10))
        return {split: [path.name for path, _, _ in made.source(split).parts] for split in made.splits}

    whole = files(tmp_path)
    held_out = [name for split, own in whole.items() for name in own if split != "train"]
    assert len(held_out) > 1
    for name in held_out:
        alone = tmp_path.with_name(f"{tmp_path.name}_{name}")
        alone.mkdir()
        soundfile.write(alone / name, np.zeros(10), 8000)
        assert files(alone) == {"train": [name]}
    for name in whole["train"]:
        (tmp_path / name).unlink()
    left = files(tmp_path)
    assert len(left["train"]) == 1
    assert sorted(name for own in left.values() for name in own) == sorted(held_out)


def test_splits_may_be_spelled_as_they_come(tmp_path: Path) -> None:
    for name in ("Training", "test_set", "val2017"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", np.zeros(10), 8000)
    made = AudioFolder(AudioFolderConfig(folder=tmp_path, sample_rate=8000, length=10))
    assert made.splits == ("train", "test", "validation")
    assert made.classes == ()


def test_folders_that_do_not_serve(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")

    def source(path: Path = folder, split: str = "train"):
        return AudioFolder(AudioFolderConfig(folder=path, sample_rate=8000, length=2000)).source(split)

    with pytest.raises(DataError, match=r"there is no folder .*nowhere; set 'folder'"):
        source(empty / "nowhere")
    with pytest.raises(DataError, match=r"there is no sound below .*; files that are read end in \.wav"):
        source(empty)
    with pytest.raises(InvalidInputError, match="has no split 'test'; its splits are train, validation"):
        source(split="test")
    (folder / "train" / "a" / "bad.wav").write_bytes(b"RIFF junk")
    with pytest.raises(DataError, match=r"bad.wav cannot be read as sound \(.*\); mend it, or take it away"):
        source()
    soundfile.write(folder / "train" / "a" / "bad.wav", np.zeros(0), 8000)
    with pytest.raises(DataError, match=r"bad.wav holds no samples"):
        source()
    soundfile.write(folder / "train" / "a" / "bad.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"bad.wav: sample 1 is not a finite number"):
        _ = source()[0]
    (folder / "train" / "a" / "bad.wav").rename(folder / "train" / "stray.wav")
    with pytest.raises(DataError, match=r"stray.wav lies beside folders of sounds, which are read as classes"):
        source()
    (folder / "train" / "stray.wav").rename(folder / "stray.wav")
    with pytest.raises(DataError, match=r"stray.wav lies beside the splits train, validation"):
        source()


# Plugin

ENTRIES = [*plugin.artifex_modalities(), *plugin.artifex_datasets(), *plugin.artifex_metrics(), *plugin.artifex_components()]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_target_exists_and_every_config_describes_itself(entry: Entry) -> None:
    assert entry.summary
    kind = type(entry).__name__.removesuffix("Entry").lower()
    assert entry in [found for found, _ in registry().entries(kind)]
    target = resolve(getattr(entry, kind))
    if isinstance(entry, MetricEntry):
        assert isinstance(target, StreamedMetric | MergedMetric)
        return
    fields = resolve(entry.config).json_schema().get("properties", {})  # pyright: ignore[reportAttributeAccessIssue]
    assert all("description" in field or "$ref" in field or "anyOf" in field for field in fields.values())


def test_plugin_and_configs_import_no_jax() -> None:
    code = (
        "import sys; from artifex.modalities.audio import AudioModalityConfig, datasets as d, plugin as p;"
        "p.artifex_datasets(); AudioModalityConfig(); d.TonesConfig(); d.AudioFolderConfig(folder='.');"
        "heavy = {'jax', 'flax', 'scipy', 'soundfile'} & set(sys.modules); sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=user_environment())


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("artifex.modalities.audio", "artifex.generative_models.modalities.audio"),
        ("artifex.modalities.audio.metrics", "artifex.benchmarks.metrics.audio"),
    ],
)
def test_the_long_path_hands_on_the_same_objects(short: str, long: str) -> None:
    one, other = importlib.import_module(short), importlib.import_module(long)
    assert set(one.__all__) == set(other.__all__)
    for name in one.__all__:
        assert getattr(one, name) is getattr(other, name)


def test_shared_levels_stay_namespaces() -> None:
    for level in ("artifex", "artifex.modalities", "artifex.generative_models", "artifex.benchmarks.metrics"):
        spec = importlib.util.find_spec(level)
        assert spec is not None
        assert spec.origin is None
