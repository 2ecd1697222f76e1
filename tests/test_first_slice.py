"""The first slice as its users meet it: ``artifex train vae-digits`` and what can go wrong with it, on real digits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from flax import nnx
from PIL import Image

from artifex.core import load_model, plugins
from artifex.core.cli import main
from artifex.core.storage import flat_weights
from artifex.core.testing import user_environment
from artifex.modalities.image import ImageModality
from artifex.modalities.image.datasets import Digits, DigitsConfig
from artifex.training import load_run, read_run_config

SHORT = ("--set", "training.epochs=20", "--set", "callbacks.3.every=100")
DAILY = ("vae-digits", "vae-fashion-mnist")
"""Presets that are started every day; the others, some of which take long to compile, at night."""
presets = [
    name if name in DAILY else pytest.param(name, marks=pytest.mark.nightly) for name in plugins.registry().names("preset")
]
INDEPENDENT_BERNOULLI = 25.2  # nats: the best that knows each pixel's mean and nothing else


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_a_process(*arguments: str, cwd: Path) -> SimpleNamespace:
    """The installed command, as a user's shell starts it."""
    command = [str(Path(sysconfig.get_path("scripts")) / "artifex"), *arguments]
    done = subprocess.run(command, cwd=cwd, env=user_environment(), capture_output=True, text=True, check=False)
    return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture
def artifex(tmp_path, monkeypatch, capsys):
    """Run the command in this process and in ``tmp_path``, which spares the seconds that JAX takes to import."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> SimpleNamespace:
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = stopped.code or 0
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of one short run, trained once for all tests here. They leave it as it is."""
    cwd = tmp_path_factory.mktemp("first")
    done = in_a_process("train", "vae-digits", *SHORT, cwd=cwd)
    assert done.code == 0, done.err
    assert done.out.startswith("done: step 260  loss ")
    assert "Traceback" not in done.err
    assert "Warning" not in done.err
    assert names(cwd) == ["runs"]
    return cwd / "runs" / "vae-digits-1"


@pytest.fixture
def copy(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_model(first: Path, second: Path) -> None:
    """To the last bit."""
    a, b = (flat_weights(load_model(folder / "model")) for folder in (first, second))
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)


def test_the_run_folder_is_complete(trained):
    assert {path.name for path in trained.iterdir()} == {
        "config.yaml", "environment.json", "metrics.jsonl", "tensorboard", "checkpoints", "samples", "model",
        "report.html", "summary.json",
    }  # fmt: skip
    assert list((trained / "tensorboard").glob("events.out.tfevents.*"))
    assert {path.name for path in (trained / "model").iterdir()} == {"config.yaml", "weights.safetensors"}
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == ["200", "260"]


def test_the_model_has_learnt(trained):
    evaluations = [line["eval/loss"] for line in log(trained) if "eval/loss" in line]
    assert evaluations[-1] < evaluations[0]
    # a bound on the negative log likelihood; 20 of the preset's 150 epochs give about 21 nats
    assert evaluations[-1] < INDEPENDENT_BERNOULLI - 2


def test_the_samples_are_a_grid_of_digits(trained):
    with Image.open(trained / "samples" / "step_0000260.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape[0] == pixels.shape[1]  # 64 samples, eight by eight
    assert pixels.shape[0] >= 8 * 8 * 2
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert 0.1 < (pixels > 127).mean() < 0.6  # ink, as on the digits themselves


def test_the_config_is_complete_and_makes_the_same_run_again(artifex, trained, tmp_path):
    written = yaml.safe_load((trained / "config.yaml").read_text())
    assert written["training"]["optimizer"]["scheduler"]["scheduler_type"] == "cosine"
    assert written["training"]["ema_decay"] is None
    assert written["data"]["modality"]["height"] == 8
    done = artifex("train", trained / "config.yaml", "-o", "again")
    assert done.code == 0, done.err
    assert (tmp_path / "again" / "config.yaml").read_text() == (trained / "config.yaml").read_text()
    first, again = (
        [{k: v for k, v in line.items() if not k.endswith("_per_second")} for line in log(f)]
        for f in (trained, tmp_path / "again")
    )
    assert again == first
    assert_same_model(trained, tmp_path / "again")


def test_the_model_folder_is_all_that_a_reconstruction_needs(trained, tmp_path):
    _, model, modality = load_run(trained)
    assert isinstance(modality, ImageModality)
    alone = load_model(shutil.copytree(trained / "model", tmp_path / "elsewhere"))
    batch = {"x": Digits(DigitsConfig()).arrays("test")["x"]}
    x = np.asarray(modality.prepare(batch, rngs=nnx.Rngs(0), train=False)["x"])
    reconstruction = np.asarray(alone.reconstruct(x))
    np.testing.assert_array_equal(reconstruction, np.asarray(model.reconstruct(x)))
    left_by_the_mean = np.mean((x.mean(0, keepdims=True) - x) ** 2)
    assert np.mean((reconstruction - x) ** 2) < 0.7 * left_by_the_mean  # 0.58 at this length


def test_samples_from_the_folder_alone(artifex, copy, tmp_path):
    first = artifex("sample", copy, "-n", 9, "--seed", 1, "-o", "a.png")
    assert first.code == 0, first.err
    assert first.out == "9 samples with seed 1: a.png\n"
    artifex("sample", copy, "-n", 9, "--seed", 1, "-o", "b")
    artifex("sample", copy, "-n", 9, "--seed", 2, "-o", "c")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    shown = artifex("sample", copy).out
    assert Path(shown.rsplit(": ", 1)[1].strip()).parent == copy / "samples"


def test_resume_goes_on_and_a_finished_run_is_left_alone(artifex, copy):
    finished = artifex("train", "--resume", copy)
    assert finished.code == 0
    assert "is finished (20 epochs)" in finished.out
    longer = artifex("train", "--resume", copy, "--set", "training.epochs=21")
    assert longer.code == 0, longer.err
    assert longer.out.startswith("done: step 273")
    steps = [line["step"] for line in log(copy)]
    assert steps == sorted(steps)
    assert steps[-1] == 273


def test_a_run_that_was_killed_is_resumed_from_its_checkpoint_to_the_same_end(artifex, trained, copy):
    shutil.rmtree(copy / "checkpoints" / "260")
    shutil.rmtree(copy / "model")
    assert artifex("sample", copy, "-n", 4).code == 0  # from step 200
    resumed = artifex("train", "--resume", copy)
    assert resumed.code == 0, resumed.err
    assert resumed.out.startswith("done: step 260")
    assert_same_model(trained, copy)


@pytest.mark.parametrize("preset", presets)
def test_every_preset_is_a_run_that_could_start(artifex, preset, tmp_path):
    config = read_run_config(preset)
    assert config.name == preset
    needs = getattr(config.data.dataset, "folder", None) or getattr(config.data.dataset, "data_dir", None)
    shown = artifex("train", preset, "--dry-run")
    first_stage = getattr(config.model, "pretrained", None)
    if needs is not None and not Path(needs).exists():
        assert str(needs) in shown.err  # data that do not ship: the message says which
    elif first_stage is not None:
        assert f"{first_stage}; train one first" in shown.err
    else:
        assert shown.code == 0, shown.err
        assert re.search(r"^first batch, \S+: -?[0-9.e+-]+$", shown.out, re.MULTILINE)  # several losses have names of their own
    assert names(tmp_path) == []


IDX = "data.dataset={kind: idx, folder: nowhere}"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["vae-digits", "--set", "model.encoder.latent_dmi=3"], ["model.encoder.latent_dmi", "did you mean 'latent_dim'?"]),
        (["vae-digits", "--set", "model.encoder.latent_dim=wide"], ["model.encoder.latent_dim", "integer", "'wide'"]),
        (["vae-digits", "--set", "training.epochs=true"], ["training.epochs", "number"]),
        (["vae-digit"], ["'vae-digit'", "did you mean 'vae-digits' or"]),
        (["vae-digits", "--set", IDX], ["nowhere"]),
        (["vae-digits", "--output", "file"], ["file is a file", "--output"]),
        (["vae-digits", "--output", "file/run"], ["file is a file", "--output"]),
        (["vae-digits", "--set", "data.modality.height=28", "--set", "data.modality.width=28"], ["28", "8"]),
        (["vae-digits", "--set", "model.decoder.output_shape=[4, 4, 1]"], ["model", "output_shape"]),
        (["vae-digits", "--set", "training.batch_size=5000"], ["batch_size is 5000", "choose 1 to"]),
        (["vae-digits", "--set", "data.modality={kind: imag}"], ["data.modality", "did you mean 'image'?"]),
        (["run.yaml"], ["run.yaml", "latent_dmi", "did you mean 'latent_dim'?"]),
        (["missing.yaml"], ["no run file missing.yaml"]),
    ],
    ids=lambda value: "-".join(value)[-40:] if isinstance(value, list) else None,
)
def test_a_mistake_is_one_screen_that_says_what_and_where(artifex, tmp_path, arguments, parts):
    (tmp_path / "file").write_text("")
    fields = read_run_config("vae-digits").to_dict()
    fields["model"]["encoder"]["latent_dmi"] = 3
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(fields))
    before = names(tmp_path)
    failed = artifex("train", *arguments)
    assert failed.code == 2, failed.err
    for part in parts:
        assert part in failed.err
    assert "Traceback" not in failed.err
    assert len(failed.err.splitlines()) <= 6
    assert max(map(len, failed.err.splitlines())) <= 400
    assert failed.out == ""
    assert names(tmp_path) == before


def test_a_traceback_comes_with_debug(artifex):
    failed = artifex("train", "vae-digit", "--debug")
    assert failed.code == 2
    assert failed.err.startswith("Traceback")
    assert "vae-digit" in failed.err.splitlines()[-1]


def test_a_mistake_in_a_process_of_its_own(tmp_path):
    failed = in_a_process("train", "vae-digits", "--set", "model.encoder.latent_dmi=3", cwd=tmp_path)
    assert failed.code == 2
    assert failed.err.startswith("artifex: preset vae-digits: not a valid RunConfig\n  model.encoder.latent_dmi: no such field")
    assert names(tmp_path) == []


def test_a_full_device_leaves_nothing(artifex, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("artifex.training.runs.write_atomically", full)
    failed = artifex("train", "vae-digits", "--set", "training.epochs=1", "-o", "run")
    assert failed.code == 2
    said, way_on = failed.err.splitlines()[-2:]
    assert said.startswith(f"artifex: the disk is full: {Path('run') / 'config.yaml'} could not be written (")
    assert way_on == "  Free some space."
    assert names(tmp_path) == []


def test_help_is_quick_and_imports_no_jax(tmp_path):
    program = (
        "import sys; from artifex.core.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'jax', 'flax', 'optax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=user_environment(), check=False
    )
    assert done.returncode == 0
    assert "--resume" in done.stdout
