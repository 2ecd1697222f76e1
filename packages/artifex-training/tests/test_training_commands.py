"""``artifex train`` and ``artifex sample`` as they are typed."""

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml

from artifex.core.errors import InvalidInputError
from artifex.training.checkpoints import latest_step
from artifex.training.samples import condition_for


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_train_sample_resume_and_longer(artifex, tmp_path):
    trained = artifex("train", "tiny-run")
    assert trained.code == 0, trained.err
    folder = tmp_path / "runs" / "tiny-run-1"
    assert "run folder: runs/tiny-run-1" in trained.err
    assert trained.out.splitlines()[0].startswith("done: step 15  loss ")
    assert trained.out.splitlines()[1:] == ["  samples: runs/tiny-run-1/samples", "  model: runs/tiny-run-1/model"]

    drawn = artifex("sample", folder, "-n", "5", "--seed", "3")
    assert drawn.out == f"5 samples with seed 3: {folder}/samples/seed_3.txt\n"
    first = np.loadtxt(folder / "samples" / "seed_3.txt")
    assert first.shape == (5, 3)
    for stem in ("mine", "mine.txt", "v1.5"):
        assert artifex("sample", folder, "-n", "5", "--seed", "3", "-o", tmp_path / stem).code == 0
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "mine.txt"), first)
    assert (tmp_path / "v1.5.txt").exists()
    assert not (tmp_path / "mine.txt.txt").exists()
    assert artifex("sample", folder, "-n", "5", "--seed", "3", "-o", tmp_path / "mine.npy").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "mine.npy").reshape(5, -1), first, atol=1e-4)  # the text is rounded
    (tmp_path / "many").mkdir()
    assert artifex("sample", folder, "-n", "5", "--seed", "3", "-o", tmp_path / "many").code == 0
    refused = artifex("sample", folder, "-n", "5", "-o", tmp_path / "mine.jpeg")
    assert refused.code == 2
    assert "written as .txt or .npy" in refused.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "mine.npy", "mine.txt", "runs", "v1.5.txt"]
    assert [path.name for path in (tmp_path / "many").iterdir()] == ["seed_3.txt"]
    refused = artifex("sample", folder, "--condition", "3")
    assert refused.code == 2
    assert "Tiny takes no condition; leave --condition out" in refused.err
    refused = artifex("sample", folder, "--prior", folder)
    assert refused.code == 2
    assert "Tiny has a prior of its own and takes no other; leave --prior out" in refused.err
    artifex("sample", folder, "-n", "5", "--seed", "4", "-o", tmp_path / "other")
    assert not np.array_equal(np.loadtxt(tmp_path / "other.txt"), first)

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = artifex("train", "--resume", folder)
    assert again.code == 0
    command = f"artifex train --resume {folder} --set training.epochs=10"
    assert again.out == f"{folder} is finished (5 epochs); to train it longer: {command}\n"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    longer = artifex("train", "--resume", folder, "--set", "training.epochs=6")
    assert longer.out.startswith("done: step 18")
    assert yaml.safe_load((folder / "config.yaml").read_text())["training"]["epochs"] == 6
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps[-1] == 18

    assert artifex("train", folder, "-o", tmp_path / "again").out.startswith("done: step 18")  # the folder is a run file too


def test_a_dry_run_shows_the_run_and_writes_nothing(artifex, tmp_path):
    shown = artifex("train", "tiny-run", "--dry-run")
    assert shown.code == 0, shown.err
    for line in ("batch x: (8, 3) float32", "parameters: 17 in 4 arrays", "steps: 15 (3 an epoch)", "first batch, loss: "):
        assert line in shown.out
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "tiny-rum"], "preset called 'tiny-rum'; did you mean 'tiny-run'?"),
        (["train", "missing.yaml"], "there is no run file missing.yaml"),
        (
            ["train", "tiny-run", "--set", "model.latent_dmi=3"],
            "model.latent_dmi: no such field in TinyConfig; did you mean 'latent_dim'?",
        ),
        (["train", "tiny-run", "--set", "training.epochs=many"], "training.epochs: "),
        (["train", "tiny-run", "--set", "training.epochs"], "write it as --set training.log_every=10"),
        (["train", "tiny-run", "--set", "model.size=4"], "set model.size to fit"),
        (["train", "tiny-run", "--set", "data.dataset.folder=nowhere"], "nowhere; set data.dataset.folder"),
        (["train", "tiny-run", "--set", "training.batch_size=25"], "the data hold 24 examples"),
        (["train", "tiny-run", "--output", "file"], "file is a file"),
        (["train", "tiny-run", "--output", "full"], "full is not empty"),
        (["train", "--resume", "full"], "full cannot be resumed"),
        (["train", "--resume", "full", "-o", "new"], "leave --output out"),
        (["train", "tiny-run", "--set", "callbacks.0={kind: wandb, project: p}"], "pip install artifex-training[wandb]"),
        (["train", "tiny-run", "--set", "callbacks.0={kind: mlflow, experiment: e}"], "pip install artifex-training[mlflow]"),
        (["sample", "full"], "full is no run folder"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(artifex, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no extra is installed
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    before = tree(tmp_path)
    failed = artifex(*arguments)
    assert failed.code == 2
    assert message in failed.err
    assert "Traceback" not in failed.err
    assert len(failed.err.splitlines()) <= 5
    assert failed.out == ""
    assert tree(tmp_path) == before


@pytest.mark.parametrize("given", ["new", "empty"])
def test_a_run_that_cannot_begin_leaves_no_folder(artifex, tmp_path, monkeypatch, given):
    from artifex.core.errors import RunError
    from artifex.training.callbacks import MetricsFile

    def fail(self, trainer):
        raise RunError("no room for metrics")

    monkeypatch.setattr(MetricsFile, "on_start", fail)
    (tmp_path / "empty").mkdir()
    failed = artifex("train", "tiny-run", "-o", given)
    assert failed.code == 2
    assert "no room for metrics" in failed.err
    assert tree(tmp_path) == ["empty"]


def test_bad_numbers_are_told_with_the_step(artifex, tmp_path):
    failed = artifex("train", "tiny-run", "-o", "run", "--set", "data.dataset.bad_value=true")
    assert failed.code == 2
    assert "the loss is not finite at step" in failed.err
    assert (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_between_two_steps(artifex, tmp_path, monkeypatch, number, code):
    """From outside it comes among the tests of recovery."""
    from artifex.training.callbacks import MetricsFile

    monkeypatch.setattr(MetricsFile, "on_evaluate", lambda *arguments: os.kill(os.getpid(), number))
    monkeypatch.setattr("signal.getsignal", lambda number: signal.default_int_handler)  # pytest may run in the background
    stopped = artifex("train", "tiny-run", "-o", "run")
    assert stopped.code == code
    assert "stopped at step 3; go on: artifex train --resume run" in stopped.err
    assert latest_step(tmp_path / "run" / "checkpoints") == 3


def test_help_names_every_option(artifex, tmp_path):
    for command, options in [
        ("train", ("--set", "--output", "--resume", "--dry-run", "NAME|FILE|RUN")),
        ("sample", ("--n-samples", "--seed", "--output", "--prior", "--condition", "RUN")),
    ]:
        shown = artifex(command, "--help")
        assert shown.code == 0
        for option in options:
            assert option in shown.out
    assert tree(tmp_path) == []


class Conditional:
    def generate(self, n_samples=1, *, condition=None, rngs=None):
        raise NotImplementedError


def test_a_condition_is_a_class_or_a_vector_for_all_samples():
    assert condition_for(Conditional(), "3", 2).tolist() == [3, 3]
    np.testing.assert_array_equal(condition_for(Conditional(), "[0.5, 2]", 3), np.float32([[0.5, 2]] * 3))
    for text in ("three", "true", "[[1]]", "{a: 1}", "0.5"):
        with pytest.raises(InvalidInputError, match="neither a class, such as 3, nor a vector"):
            condition_for(Conditional(), text, 2)
    assert condition_for(Conditional(), "2147483647", 1).tolist() == [2**31 - 1]
    for text in ("2147483648", "99999999999", "-1"):
        with pytest.raises(InvalidInputError, match=f"--condition {text} is no class; classes are numbered from 0"):
            condition_for(Conditional(), text, 2)


def test_a_condition_may_be_a_class_s_name():
    animals = ("cat", "no", "1: 30", "[dog]")
    for i, name in enumerate(animals):
        assert condition_for(Conditional(), name, 2, animals).tolist() == [i, i]
        assert condition_for(Conditional(), str(i), 1, animals).tolist() == [i]
    np.testing.assert_array_equal(condition_for(Conditional(), "[0.5, 2]", 1, animals), np.float32([[0.5, 2]]))
    with pytest.raises(
        InvalidInputError, match=r"'cats' is no class of this run; did you mean 'cat'\? its classes are 0 cat, 1 no, "
    ):
        condition_for(Conditional(), "cats", 1, animals)
    for text in ("4", "-1", "bird:", "{", "2.0"):
        with pytest.raises(
            InvalidInputError, match=re.escape(f"{text!r} is no class of this run; its classes are 0 cat, 1 no, ")
        ):
            condition_for(Conditional(), text, 1, animals)


def test_where_classes_are_called_by_numbers_a_number_is_a_name():
    """Class 2 of the folders 1, 2 and 10 is the second; by its number it would be the third."""
    numbers = ("1", "2", "10")
    assert [int(condition_for(Conditional(), name, 1, numbers)[0]) for name in numbers] == [0, 1, 2]
    with pytest.raises(InvalidInputError, match="'0' is no class of this run; its classes are 1, 2, 10"):
        condition_for(Conditional(), "0", 1, numbers)
    many = tuple(map(str, range(1000)))
    with pytest.raises(InvalidInputError, match=r"18, 19 and 980 more \(classes.json\)"):
        condition_for(Conditional(), "1000", 1, many)


COSINE = ("--set", "training.optimizer.scheduler.scheduler_type=cosine")


def test_a_finished_schedule_that_is_made_longer_says_how_the_rate_jumps(artifex):
    assert artifex("train", "tiny-run", "-o", "run", "--set", "training.epochs=4", *COSINE).code == 0
    rates = [json.loads(line).get("learning_rate") for line in Path("run/metrics.jsonl").read_text().splitlines()]
    last = [rate for rate in rates if rate is not None][-1]
    longer = artifex("train", "--resume", "run", "--set", "training.epochs=8")
    assert longer.code == 0
    said = re.search(
        r"the learning rate goes up from (\S+) to (\S+): its schedule now ends at step 24 instead of 12", longer.err
    )
    assert float(said[1]) == pytest.approx(last, rel=0.05)
    middle = 0.01 * (1 + np.cos(np.pi * 12 / 24)) / 2
    assert float(said[2]) == pytest.approx(middle, rel=0.05)
    assert "for a gentler start set a lower learning_rate" in longer.err


def test_a_rate_that_does_not_jump_is_not_spoken_of(artifex):
    assert artifex("train", "tiny-run", "-o", "run", "--set", "training.epochs=4").code == 0
    assert "learning rate goes up" not in artifex("train", "--resume", "run", "--set", "training.epochs=8").err
