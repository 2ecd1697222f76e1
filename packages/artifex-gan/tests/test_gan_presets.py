"""Every preset: says what it is, parses, builds, and has a finite loss on its own data."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path

import pytest

from artifex.core import plugins

pytest.importorskip("artifex.training")  # the distribution stands without them; its presets need both
pytest.importorskip("artifex.modalities.image")

PRESETS = {entry.name: entry for entry, plugin in plugins.registry().entries("preset") if plugin.distribution == "artifex-gan"}


@pytest.mark.parametrize("name", PRESETS)
def test_its_head_gives_command_run_time_and_expected_figure(name: str):
    package, _, file = PRESETS[name].file.partition(":")
    head = [line for line in resources.files(package).joinpath(file).read_text().splitlines() if line.startswith("#")]
    assert head[0] == f"# artifex train {name}"
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
    if compiled:
        losses = dry_run(run).losses
        assert losses
        assert all(map(math.isfinite, losses.values())), losses
