"""Every preset: says what it is, parses, builds, and has a finite loss on its own data."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path

import pytest

from artifex.core import plugins
from artifex.core.errors import DataError, RunError

pytest.importorskip("artifex.training")  # the distribution stands without them; its presets need both
pytest.importorskip("artifex.modalities.image")
pytest.importorskip("artifex.modalities.tabular")
pytest.importorskip("artifex.modalities.timeseries")

PRESETS = {
    entry.name: entry for entry, plugin in plugins.registry().entries("preset") if plugin.distribution == "artifex-diffusion"
}


@pytest.mark.parametrize("name", PRESETS)
def test_its_head_gives_command_run_time_and_expected_figure(name: str):
    package, _, file = PRESETS[name].file.partition(":")
    head = [line for line in resources.files(package).joinpath(file).read_text().splitlines() if line.startswith("#")]
    assert f"# artifex train {name}" in head
    assert "Run time:" in "".join(head)
    assert "Expect" in "".join(head)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["traced", "compiled"])
@pytest.mark.parametrize("name", PRESETS)
def test_it_builds_and_its_first_batch_has_a_finite_loss(name: str, compiled: bool):
    """What ``artifex train NAME --dry-run`` does, with small batches; every day as far as shapes tell."""
    from artifex.training.dry_run import dry_run
    from artifex.training.run_config import read_run_config
    from artifex.training.runs import build_run

    config = read_run_config(name, ["training.batch_size=8"])
    assert config.name == name
    folder = getattr(config.data.dataset, "folder", None)
    if folder is not None and not Path(folder).is_dir():
        pytest.skip(f"no data in {folder}: apt-get install dataset-fashion-mnist")
    run = build_run(config)  # which traces a whole step
    pretrained = getattr(config.model, "pretrained", None)
    if compiled and pretrained is not None and not Path(pretrained).is_dir():  # test_latent_run.py trains one
        with pytest.raises(RunError, match=r"no trained autoencoder in .*; train one first"):
            dry_run(run)
    elif compiled:
        assert math.isfinite(dry_run(run).losses["loss"])


def test_missing_files_are_said_with_where_to_get_them(tmp_path):
    from artifex.training.run_config import read_run_config
    from artifex.training.runs import build_run

    config = read_run_config("guided-fashion-mnist", [f"data.dataset.folder={tmp_path / 'nowhere'}"])
    with pytest.raises(DataError, match=r"no folder .*nowhere; set 'folder' .*apt-get install dataset-fashion-mnist"):
        build_run(config)
