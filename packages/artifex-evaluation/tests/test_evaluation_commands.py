"""The commands on run folders: figures, exit codes, baselines, comparison, history, JUnit, GitHub, suites."""

import errno
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from artifex.core.cli import main
from artifex.core.storage import save_model
from artifex.evaluation.store import ResultIndex, _append, latest_result, read_results


@pytest.fixture
def artifex(capsys):
    """Run a command; returns exit code, output and errors."""

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_evaluate_a_run(artifex, make_run):
    run = make_run(shift=0.1)
    code, out, err = artifex("evaluate", run)
    assert code == 0, out + err
    for name in ("loss", "divergence", "energy_distance", "rms", "noisy_nats"):
        assert re.search(rf"^{name} +\S+ ", out, re.MULTILINE), name
    assert "n=200" in out  # the test split
    (result,) = read_results(run)
    assert result["loss"].signature.data.startswith("density/test:")
    page = (run / "evaluation.html").read_text()
    assert "Samples beside data" in page
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def test_the_figures_of_training_are_shown(artifex, make_run):
    run = make_run()
    lines = [{"step": 1, "loss": 3.0}, {"step": 2, "eval/loss": 1.25}, {"step": 3, "loss": 2.0}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, _ = artifex("evaluate", run, "--metrics", "rms")
    assert code == 0
    assert "in training, at step 2: eval/loss 1.25" in out


def test_evaluation_of_the_run_file_and_options(artifex, make_run):
    run = make_run(evaluation={"metrics": ["radius", "loss"], "n_samples": 50, "n_references": 40})
    code, out, _ = artifex("evaluate", run)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["radius", "loss"]
    assert "n=50" in out
    assert "n=40" in out
    code, out, _ = artifex("evaluate", run, "-m", "rms,loss", "--split", "validation", "--n-references", "30", "--why")
    assert code == 0
    assert "n=30" in out
    assert "does not apply" not in out  # nothing was chosen from


def test_why_others_do_not_apply_is_said_once_a_reason(artifex, make_run):
    run = make_run()
    code, out, _ = artifex("evaluate", run, "--n-references", "60", "-n", "60", "--why")
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("does not apply, ")]
    assert "does not apply, it measures models of the family 'nobody', and this one is of 'stranger': broken, missing" in lines
    assert any("below 1000000 examples, and there are 60: of_many" in line for line in lines)
    assert len({line.rpartition(":")[0] for line in lines}) == len(lines)
    assert "broken, missing" in (run / "evaluation.html").read_text()


def test_extractors_of_the_run_file_and_of_the_command(artifex, make_run):
    run = make_run(evaluation={"metrics": ["squares_frechet"], "extractors": {"squares": {"power": 3}}})
    for options, power in (((), 3), (("--extractor", "squares.power=4"), 4)):
        assert artifex("evaluate", run, *options)[0] == 0
        assert latest_result(run)["squares_frechet"].signature.features == f"squares:power {power}"
    for options, said in (
        (("--extractor", "squares=4"), "cannot be read; write it as"),
        (("--extractor", "squares.powre=4"), "did you mean 'power'"),
        (("--extractor", "squares.power=many"), "squares: not a valid SquaresConfig"),
        (("--extractor", "squarez.power=4"), "no extractor 'squarez'"),
        (("--extractor", "squares.power=4", "-m", "rms"), "no metric of rms compares features of 'squares'"),
    ):
        code, _, err = artifex("evaluate", run, *options)
        assert (code, said in err) == (2, True), err
    code, _, err = artifex("evaluate", make_run("other", evaluation={"extractors": {"squares": {"powre": 3}}}))
    assert code == 2
    assert "config.yaml" in err
    assert "did you mean 'power'" in err


def test_a_metric_that_fails_is_3_and_the_others_are_kept(artifex, make_run):
    run = make_run()
    code, out, _ = artifex("evaluate", run, "--metrics", "rms", "--metrics", "of_many", "--github")
    assert code == 3
    assert "rms" in latest_result(run)
    assert "of_many  failed" in out
    assert "::error title=of_many of run::" in out


def test_a_regression_is_1(artifex, make_run, tmp_path):
    before, after = make_run("before", 0.0), make_run("after", 0.5)
    assert artifex("evaluate", before, "-m", "noisy_nats,loss")[0] == 0
    junit = tmp_path / "junit.xml"
    code, out, _ = artifex("evaluate", after, "-m", "noisy_nats,loss", "--baseline", before, "--junit", junit, "--github")
    assert code == 1
    assert "noisy_nats: " in out
    assert "regression" in out
    assert "::error title=noisy_nats::" in out
    suite = ElementTree.parse(junit).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("errors")) == ("2", "0")
    assert suite.find("testcase[@name='noisy_nats']/failure") is not None
    code, out, _ = artifex("evaluate", before, "-m", "noisy_nats,loss", "--baseline", before)
    assert code == 0
    assert "no change that is more than chance" in out


def test_a_baseline_that_has_nothing_to_compare_is_2(artifex, make_run):
    before, after = make_run("before"), make_run("after")
    assert artifex("evaluate", before, "-m", "rms")[0] == 0
    code, _, err = artifex("evaluate", after, "-m", "radius", "--baseline", before)
    assert code == 2
    assert f"{before} has no figure of radius; it has rms" in err
    assert "radius" in latest_result(after)
    code, _, err = artifex("compare", before, after)
    assert (code, "no figure of radius" in err) == (2, True)
    code, out, err = artifex("evaluate", after, "-m", "radius,rms", "--baseline", before)
    assert code == 0
    assert "has no figure of radius: not compared" in err
    assert "rms: " in out


def test_a_fault_of_ours_is_no_regression(artifex, make_run, monkeypatch):
    from artifex.evaluation import report

    def broken(*arguments, **named):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(report, "write_evaluation", broken)
    for options in ((), ("--debug",)):
        code, _, err = artifex("evaluate", make_run(f"run{len(options)}"), "-m", "rms", *options)
        assert code == 70
        assert "unforeseen" in err


def test_timings_fail_on_the_same_machine_alone(artifex, make_run):
    """The lines of a baseline say that a sample took next to nothing, four times; here it takes what it takes."""
    before, after = make_run("before"), make_run("after", evaluation={"n_samples": 1000})
    assert artifex("evaluate", before, "-m", "radius", "-n", "1000")[0] == 0
    lines = (before / "evaluations.jsonl").read_text()
    fields = json.loads(lines)
    assert fields["seconds_per_sample"] > 0
    quick = [{**fields, "evaluation": str(i), "seconds_per_sample": 1e-12 + 1e-15 * i} for i in range(5)]
    (before / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in quick))
    code, out, _ = artifex("evaluate", after, "-m", "radius", "--baseline", before)
    assert code == 1
    assert "slower" in out
    elsewhere = [{**line, "machine": "another"} for line in quick]
    (before / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in elsewhere))
    third = make_run("third", evaluation={"n_samples": 1000})
    code, out, _ = artifex("evaluate", third, "-m", "radius", "--baseline", before)
    assert code == 0
    assert "on another machine: no verdict" in out


def test_compare_and_history(artifex, make_run, tmp_path):
    runs = [make_run(name, shift) for name, shift in (("a", 0.0), ("b", 1.0))]
    for run in runs:
        assert artifex("evaluate", run, "-m", "noisy_nats,radius")[0] == 0
    code, out, err = artifex("compare", *runs, "-o", tmp_path / "c.html")
    assert "report: " in err, err
    assert code == 1
    assert "#1" in out
    assert "#2" in out
    assert "mean rank" in out
    ElementTree.fromstring((tmp_path / "c.html").read_text().removeprefix("<!DOCTYPE html>\n"))
    code, out, err = artifex("history", "radius", "--runs", tmp_path)
    assert code == 0, err
    assert [line.split()[2] for line in out.splitlines()] == ["a", "b"]
    assert (tmp_path / "history-radius.html").is_file()
    code, _, err = artifex("history", "psnr", "--runs", tmp_path)
    assert code == 2
    assert "noisy_nats, radius" in err


def test_different_signatures_are_not_compared(artifex, make_run):
    runs = [make_run(name) for name in ("a", "b")]
    artifex("evaluate", runs[0], "-m", "rms")
    artifex("evaluate", runs[1], "-m", "rms", "--n-references", "50")
    code, _, err = artifex("compare", *runs)
    assert code == 2
    assert "streamed over 200" in err
    assert "streamed over 50" in err


def test_a_model_s_folder_and_data_of_one_s_own(artifex, shifted, tmp_path, points):
    folder = save_model(shifted(0.2), tmp_path / "model")
    np.save(tmp_path / "points.npy", points)
    code, _, err = artifex("evaluate", folder)
    assert code == 2
    assert "--data" in err
    code, out, err = artifex("evaluate", folder, "--data", tmp_path / "points.npy", "-m", "rms")
    assert code == 0, err
    assert "n=500" in out
    (tmp_path / "data.yaml").write_text("dataset: {kind: density, density: two_moons, n_test: 60}\n")
    code, out, _ = artifex("evaluate", folder, "--data", tmp_path / "data.yaml", "-m", "rms")
    assert code == 0
    assert "n=60" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "nowhere"], "neither a run's folder nor a model's"),
        (["compare", "one"], "two runs at least"),
        (["history", "loss", "--runs", "nowhere"], "no folder nowhere"),
        (["benchmark", "no-such-suite"], "no-such-suite"),
        (["benchmark", "missing.yaml"], "no suite file"),
    ],
)
def test_mistakes_are_2(artifex, arguments, said, stranger):
    code, _, err = artifex(*arguments)
    assert code == 2
    assert said in err


def test_a_run_without_a_model_and_one_not_evaluated(artifex, make_run, tmp_path):
    run = make_run()
    code, _, err = artifex("compare", run, run)
    assert code == 2
    assert "has not been evaluated" in err
    for file in (run / "model").iterdir():
        file.unlink()
    code, _, err = artifex("evaluate", run)
    assert code == 2
    assert "--resume" in err
    assert artifex("evaluate", make_run("x"), "--split", "nothing")[0] == 2
    assert artifex("evaluate", make_run("y", evaluation={"nonsense": 1}))[0] == 2


SUITE = {
    "name": "small",
    "seed": 1,
    "tasks": [
        {"name": name, "dataset": {"kind": "density", "density": name, "n_train": 100, "n_test": 100}, "n_samples": 100}
        for name in ("rings", "two_moons")
    ],
}


def test_benchmark(artifex, make_run, tmp_path):
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(SUITE))
    run = make_run(shift=0.1)
    folder = tmp_path / "out"
    code, out, err = artifex("benchmark", tmp_path / "suite.yaml", run, "-o", folder, "-m", "divergence,energy_distance")
    assert code == 0, err
    assert "rings divergence" in out
    assert "two_moons" not in out
    assert (folder / "comparison.html").is_file()
    assert ResultIndex(folder).history("divergence")
    code, out, _ = artifex("benchmark", tmp_path / "suite.yaml", f"two_moons={run}", "-o", folder, "-m", "energy_distance")
    assert code == 0
    assert "two_moons energy_distance" in out
    code, out, _ = artifex("benchmark", tmp_path / "suite.yaml", "-o", folder, "-m", "energy_distance")
    assert code == 0
    assert "training data" in out
    (tmp_path / "seeds.yaml").write_text(yaml.safe_dump({**SUITE, "seed": 0, "seeds": [0, 1], "tasks": SUITE["tasks"][:1]}))
    seeds = tmp_path / "seeds"
    code, out, _ = artifex("benchmark", tmp_path / "seeds.yaml", run, "-o", seeds, "-m", "energy_distance")
    assert code == 0
    assert "over seeds" in out
    rows = {row["run"]: row["value"] for row in ResultIndex(seeds).history("energy_distance")}
    assert rows.keys() == {"rings", "rings/seed-0", "rings/seed-1"}
    assert rows["rings"] == pytest.approx((rows["rings/seed-0"] + rows["rings/seed-1"]) / 2)
    bad = {**SUITE, "tasks": SUITE["tasks"] * 2}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(bad))
    code, _, err = artifex("benchmark", tmp_path / "bad.yaml")
    assert code == 2
    assert "a name of its own" in err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.npy", b"", "cannot be read"),
        ("text.npy", b"hello", "no whole file of numbers"),
        ("zip.npz", b"PK\x03\x04 and no more", "cannot be read"),
        ("flat.npy", np.zeros(5), r"x has shape \(5,\).*\(N, 1\)"),
        ("one.npy", np.float32(3), r"x has shape \(\)"),
        ("words.npy", np.array([["a"], ["b"]]), "x has dtype <U1; numbers are needed"),
        ("gap.npy", np.array([[1, 2], [3, np.nan], [np.inf, 4]]), "in 2 of 3 examples, the first of them example 1"),
        ("odd.npz", {"x": np.zeros((4, 2)), "label": np.zeros(3)}, "4 of them in 'x'; 'label' has 3"),
        ("count.npz", {"x": np.zeros((4, 2)), "n": np.int64(4)}, r"n has shape \(\)"),
        ("empty.npy", np.zeros((0, 2)), "no references"),
        ("gone.npy", None, "there is no file"),
        ("folder", None, "is a folder, but no run's"),
    ],
)
def test_data_that_are_none_are_one_message(artifex, make_run, tmp_path, name, content, said):
    file = tmp_path / name
    match content:
        case bytes():
            file.write_bytes(content)
        case dict():
            np.savez(file, **content)
        case None:
            (tmp_path / "folder").mkdir()
        case _:
            np.save(file, content)
    code, out, err = artifex("evaluate", make_run(), "--data", file)
    assert code == 2, out + err
    assert re.search(said, err), err
    assert not out


def test_data_of_another_shape_fail_metric_by_metric_and_are_reported(artifex, make_run, tmp_path):
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32))
    code, out, err = artifex("evaluate", make_run(), "--data", tmp_path / "wide.npy")
    assert code == 3, out + err
    assert "report: " in err
    assert re.search(r"^energy_distance +failed: .*\(60, 2\).*\(60, 3\)", out, re.MULTILINE), out


def test_a_figure_that_is_lost_is_a_regression(artifex, make_run, stranger, monkeypatch):
    run, baseline = make_run("now"), make_run("before")
    assert artifex("evaluate", baseline, "-m", "radius")[0] == 0
    monkeypatch.setattr(stranger, "radius", lambda samples: np.full(len(samples), np.nan))
    code, out, _ = artifex("evaluate", run, "-m", "radius", "--baseline", baseline)
    assert code == 1
    assert "no longer a finite number): regression" in out


def test_figures_are_shown_where_they_cannot_be_written(artifex, make_run, monkeypatch):
    def full(path, lines):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = make_run()
    monkeypatch.setattr("artifex.evaluation.store._append", full)
    code, out, err = artifex("evaluate", run, "-m", "radius")
    assert code == 2
    assert re.search(r"^radius +\S+ ", out, re.MULTILINE)
    assert "No space left on device" in err


def test_a_full_disk_is_said_with_the_file(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "lines").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        _append(tmp_path / "lines", b"{}\n")
    assert error.value.filename == str(tmp_path / "lines")
