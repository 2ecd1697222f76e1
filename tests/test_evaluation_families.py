"""``artifex evaluate`` on a run of a preset of each family, no option given: the metrics that apply, and none that do not."""

import json
import shutil

import pytest

from artifex.core.cli import main

VECTORS = {
    "energy_distance",
    "maximum_mean_discrepancy",
    "sample_coverage",
    "sample_density",
    "sample_precision",
    "sample_recall",
    "sliced_wasserstein",
}
DENSITY = ("data.dataset.n_train=20000", "data.dataset.n_test=600", "data.dataset.n_validation=200")
CLOUDS = {"cloud_coverage", "minimum_matching_distance", "one_nearest_neighbor_accuracy"}
VAE = {"active_units", "bits_per_dimension", "distortion", "elbo", "log_likelihood", "mutual_information_gap", "rate"}
FLOW = {"divergence", "inversion_error", "loss", "negative_log_likelihood"}
RUNS = {
    "vae": ("vae-digits", ("training.epochs=2",), {"loss", "psnr"} | VAE),
    "flow": ("nsf-two-moons", ("training.steps=50", *DENSITY), VECTORS | FLOW),
    "gan": ("dcgan-digits", ("training.steps=20",), {"relative_spread"}),
    "diffusion": ("edm-two-moons", ("training.steps=50", *DENSITY), VECTORS | {"divergence", "loss", "mean_log_prob"}),
    "ebm": ("ebm-two-moons", ("training.steps=20", *DENSITY), VECTORS | {"energy_gap"}),
    "ar": ("pixel-cnn-digits", ("training.steps=10", "training.epochs=null"), {"bits_per_element", "loss"}),
    "classes": ("conditional-vae-digits", ("training.epochs=2",), {"loss", "psnr"} | VAE),
    "codes": ("vqvae-digits", ("training.epochs=2",), {"codebook_perplexity", "loss", "psnr"}),
    "classifier": ("jem-digits", ("training.epochs=1",), {"energy_gap"}),
    "voxels": ("voxel-vae-solids", ("training.steps=10",), {"loss"}),
    "geometric": ("point-cloud-vae-solids", ("training.steps=10",), CLOUDS | {"loss"}),
}  # fmt: skip
OF_THE_MODALITY = "artifex-modalities-"
"""Whatever the image package registers for two sets of images is its own affair: here only that it is of images is checked."""


@pytest.mark.nightly
@pytest.mark.parametrize("family", RUNS)
def test_metrics_of_a_preset(family, tmp_path, capsys):
    preset, settings, expected = RUNS[family]
    folder = tmp_path / "run"
    quiet = [part for setting in (*settings, "callbacks=[{kind: metrics_file}]") for part in ("--set", setting)]
    for command in (["train", preset, "--output", str(folder), *quiet], ["evaluate", str(folder)]):
        with pytest.raises(SystemExit) as end:
            main(command)
        assert not end.value.code
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    found = {line["name"] for line in lines}
    of_images = {line["name"] for line in lines if OF_THE_MODALITY in line["signature"]["version"]}
    assert "failed" not in out
    assert found - of_images == expected - of_images
    assert of_images == set() or "digits" in preset
    assert all(line["value"] is not None for line in lines)
    assert (folder / "evaluation.html").is_file()


def test_a_run_that_was_cut_off_is_evaluated_at_its_newest_checkpoint(tmp_path, capsys):
    """With the figures that the finished run had, whose last checkpoint is of its end."""
    folder = tmp_path / "run"
    settings = ("training.steps=6", "training.batch_size=32", "data.dataset.n_train=64", "callbacks=[{kind: checkpoint}]")
    options = [part for setting in settings for part in ("--set", setting)]
    measured = ["evaluate", str(folder), "-m", "negative_log_likelihood", "--n-references", "40"]

    def artifex(*command):
        with pytest.raises(SystemExit) as end:
            main(list(command))
        out, err = capsys.readouterr()
        return end.value.code or 0, out + err

    assert artifex("train", "nsf-two-moons", "--output", str(folder), *options)[0] == 0
    assert artifex(*measured)[0] == 0
    shutil.rmtree(folder / "model")
    code, said = artifex(*measured)
    assert code == 0, said
    assert f"{folder} has no model yet: its checkpoint of step 6 is measured" in said
    finished, cut = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert cut["value"] == finished["value"]
    assert cut["subject"] == f"{finished['subject']} at step 6"
    shutil.rmtree(folder / "checkpoints")
    code, said = artifex(*measured)
    assert code == 2
    assert f"artifex train --resume {folder}" in said
