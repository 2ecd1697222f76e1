"""Runs on texts and sounds, from the preset's name to a file that people read or listen to; too short to say much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from artifex.core.testing import user_environment
from artifex.evaluation.suites import read_suite
from artifex.modalities.audio import AudioModality
from artifex.modalities.audio.datasets import Tones
from artifex.training import load_run, read_run_config


def artifex(*arguments: str, folder: Path) -> None:
    """The command, in a process of its own."""
    command = [Path(sys.executable).with_name("artifex"), *arguments]
    done = subprocess.run(command, cwd=folder, env=user_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.nightly
def test_a_transformer_writes_text(tmp_path: Path) -> None:
    settings = ("training.epochs=null", "training.steps=3", "training.evaluate_every=null", "model.num_layers=1")
    artifex("train", "transformer-text", "--output", "run", *(part for s in settings for part in ("--set", s)), folder=tmp_path)
    artifex("sample", "run", "-n", "2", "--seed", "1", folder=tmp_path)
    text = (tmp_path / "run" / "samples" / "seed_1.txt").read_text(encoding="utf-8")
    one, other = text.removeprefix("=== 1 of 2 ===\n").split("\n\n=== 2 of 2 ===\n")
    assert len(one + other) >= 24  # a text has 96 bytes, four a character at most, unless its end is drawn: 1 of 257 tokens


@pytest.mark.nightly
def test_byte_pairs_are_kept_with_the_run(tmp_path: Path) -> None:
    """What the data set's tokeniser learns stands in the modality's config, where the trainer asks modalities to fit."""
    settings = ["training.epochs=null", "training.steps=3", "training.evaluate_every=null", "model.num_layers=1"]
    settings += ["data.dataset.tokenizer.kind=byte_pair", "data.dataset.tokenizer.vocab_size=300", "model.vocab_size=300"]
    artifex("train", "transformer-text", "--output", "run", *(part for s in settings for part in ("--set", s)), folder=tmp_path)
    _, _, modality = load_run(tmp_path / "run")
    assert len(modality.config.tokenizer.merges) >= 43
    assert modality.to_host(modality.preprocess_text(["The assert statement"])) == ["The assert statement"]


@pytest.mark.nightly
def test_a_wavenet_writes_sound(tmp_path: Path) -> None:
    settings = ("training.epochs=null", "training.steps=2", "training.evaluate_every=null", "data.dataset.n_train=20")
    artifex("train", "wavenet-tones", "--output", "run", *(part for s in settings for part in ("--set", s)), folder=tmp_path)
    artifex("sample", "run", "-n", "3", "--seed", "1", folder=tmp_path)
    sound, rate = soundfile.read(tmp_path / "run" / "samples" / "seed_1.wav")
    assert rate == 4000
    assert len(sound) == 3 * 400 + 2 * 1000
    assert sound.std() > 0.001


def test_the_wavenets_data_are_what_they_were() -> None:
    """The preset's figure was measured without a modality: it changes no sample."""
    config = read_run_config("wavenet-tones")
    stored = Tones(config.data.dataset).arrays("test")
    prepared = AudioModality(config.data.modality).prepare(stored, train=True)
    assert prepared.keys() == stored.keys()
    for key, values in stored.items():
        np.testing.assert_array_equal(prepared[key], values)


@pytest.mark.parametrize(("suite", "preset"), [("python-reference", "transformer-text"), ("tones", "wavenet-tones")])
def test_suites_measure_what_the_presets_train_on(suite: str, preset: str) -> None:
    (task,) = read_suite(suite).tasks
    data = read_run_config(preset).data
    assert task.modality == data.modality
    assert task.dataset.replace(**({"overlap": 2} if preset == "transformer-text" else {})) == data.dataset
