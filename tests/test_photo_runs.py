"""Runs on folders of pictures, as they are typed: a damaged picture on the way, and classes asked for by name."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from artifex.core.cli import main
from artifex.core.errors import InvalidInputError
from artifex.modalities.image import ImageModality, ImageModalityConfig
from artifex.training import Trainer, TrainerConfig
from artifex.training.checkpoints import latest_step
from artifex.vae import VAE, DecoderConfig, EncoderConfig, VAEConfig

RUN = """
model:
  kind: conditional_vae
  n_classes: 3
  encoder: {input_shape: [4, 4, 1], hidden_dims: [4], latent_dim: 2}
  decoder: {hidden_dims: [4]}
data:
  dataset: {kind: image_folder, folder: photos, height: 4, width: 4, channels: grayscale}
  modality: {kind: image, height: 4, width: 4}
training: {epochs: 3, batch_size: 3, log_every: 1}
callbacks: [{kind: checkpoint, every: 1}]
"""


@pytest.fixture
def artifex(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., SimpleNamespace]:
    """The command in this process and in a folder with 24 photographs, of classes that are called 2, 10 and cat."""
    for i in range(24):
        path = tmp_path / "photos" / "Train" / ("2", "10", "cat")[i % 3] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 10 * i, np.uint8)).save(path)
    (tmp_path / "run.yaml").write_text(RUN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["artifex"])

    def run(*arguments: str) -> SimpleNamespace:
        code = 0
        try:
            main(list(arguments))
        except SystemExit as stopped:
            code = stopped.code or 0
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


def test_what_is_said_of_a_damaged_picture_works_when_it_is_done(
    artifex: Callable[..., SimpleNamespace], tmp_path: Path
) -> None:
    """The advice was to remove the file, after which the run could not be resumed."""
    whole = artifex("train", "run.yaml", "-o", "whole")
    assert whole.code == 0, whole.err
    damaged = tmp_path / "photos/Train/cat/20.png"  # behind the first sixteen, which are looked at before a run begins
    kept = damaged.read_bytes()
    damaged.write_bytes(kept[:30])
    failed = artifex("train", "run.yaml", "-o", "run")
    assert failed.code == 2
    assert f"cannot read the image {damaged}: " in failed.err
    assert "Traceback" not in failed.err
    assert latest_step(tmp_path / "run/checkpoints") is not None
    (advice,) = re.findall(r"(--set \S+)", failed.err)
    resumed = artifex("train", "--resume", "run", *shlex.split(advice))
    assert resumed.code == 0, resumed.err
    assert f"artifex: warning: cannot read the image {damaged}: " in resumed.err
    assert "takes its place" in resumed.err
    assert resumed.out.startswith("done: step 24")

    # The other advice: a whole picture in its place.
    damaged.write_bytes(kept)
    mended = artifex("train", "--resume", "run", "--set", "training.epochs=4")
    assert mended.code == 0, mended.err
    assert "warning" not in mended.err


def test_classes_are_asked_for_by_name(artifex: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    assert artifex("train", "run.yaml", "-o", "run").code == 0
    assert json.loads((tmp_path / "run/classes.json").read_text(encoding="utf-8")) == ["2", "10", "cat"]
    for name in ("2", "10", "cat"):
        drawn = artifex("sample", "run", "-n", "2", "--seed", "0", "--condition", name)
        assert drawn.code == 0, drawn.err
    for name in ("0", "3", "Cat", "99999999999", "-1", "[", "cat: x"):
        refused = artifex("sample", "run", "--condition", name)
        assert refused.code == 2
        assert f"--condition {name!r} is no class of this run" in refused.err
        assert "its classes are 2, 10, 2 cat" in refused.err
    assert "did you mean 'cat'?" in artifex("sample", "run", "--condition", "Cat").err

    (tmp_path / "photos/Train/cat").rename(tmp_path / "photos/Train/a cat")
    changed = artifex("train", "--resume", "run", "--set", "training.epochs=4")
    assert changed.code == 2
    assert "its classes were 2, 10, cat and are 2, 10, a cat now" in changed.err


def test_floats_up_to_255_are_refused_before_the_first_step():
    """They would train, on pictures that are white all over."""
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype(np.float32)
    encoder = EncoderConfig(input_shape=(8, 8, 1), hidden_dims=(8,), latent_dim=2)
    model = VAE(VAEConfig(encoder=encoder, decoder=DecoderConfig(hidden_dims=(8,))), rngs=nnx.Rngs(0))
    trainer = Trainer(
        model, TrainerConfig(steps=1, batch_size=8), seed=0, modality=ImageModality(ImageModalityConfig(height=8, width=8))
    )
    for data in (images, [{"x": image} for image in images]):
        with pytest.raises(InvalidInputError, match=r"x\[\d+\] holds .* lie in \[0, 1\].*divide them by 255"):
            trainer.fit(data)
    trainer.fit(images / 255)
    assert trainer.step == 1
