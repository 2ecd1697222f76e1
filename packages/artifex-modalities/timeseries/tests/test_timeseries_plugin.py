"""What the distribution registers, how lightly, its documented paths, and a run from a CSV file to a CSV file."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings

import numpy as np
import pytest

from artifex.core.plugins import registry, resolve
from artifex.core.plugins.entries import MetricEntry, ModalityEntry
from artifex.core.testing import user_environment
from artifex.modalities.timeseries import TimeseriesModality, plugin


def test_everything_is_registered() -> None:
    found = registry()
    assert found.get("modality", "timeseries") in plugin.artifex_modalities()
    assert {entry.name for entry in plugin.artifex_datasets()} <= set(found.names("dataset"))
    assert {entry.name for entry in plugin.artifex_metrics()} <= set(found.names("metric"))


@pytest.mark.parametrize(
    "entry", [*plugin.artifex_modalities(), *plugin.artifex_datasets(), *plugin.artifex_metrics()], ids=lambda entry: entry.name
)
def test_every_target_exists_and_every_config_describes_itself(entry) -> None:
    assert entry.summary
    if isinstance(entry, MetricEntry):
        assert callable(resolve(entry.metric))
        return
    assert callable(resolve(entry.modality if isinstance(entry, ModalityEntry) else entry.dataset))
    assert all("description" in field for field in resolve(entry.config).json_schema()["properties"].values())


def test_every_metric_takes_what_its_entry_says() -> None:
    rng = np.random.default_rng(0)
    given = {need: [rng.normal(size=(16, 2)) for _ in range(20)] for need in ("samples", "references")}
    for entry in plugin.artifex_metrics():
        figure = resolve(entry.metric)(**{need: given[need] for need in entry.needs})
        assert np.shape(figure) in ((), (20,)), entry.name


def test_plugin_and_configs_import_nothing_heavy() -> None:
    code = (
        "import sys; from artifex.modalities.timeseries import TimeseriesModalityConfig, plugin as p; p.artifex_metrics();"
        "TimeseriesModalityConfig(length=3); from artifex.generative_models import modalities;"
        "heavy = {'jax', 'flax', 'sklearn', 'scipy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=user_environment())


def test_the_long_paths_hand_on_the_same_objects() -> None:
    short = importlib.import_module("artifex.modalities.timeseries")
    long = importlib.import_module("artifex.generative_models.modalities.timeseries")
    assert set(long.__all__) == set(short.__all__)
    for name in short.__all__:
        assert getattr(long, name) is getattr(short, name)
    assert importlib.import_module("artifex.generative_models.modalities").TimeseriesModality is TimeseriesModality


RUN = """
name: waves
model: {kind: edm, input_shape: [8, 1], backbone: {kind: unet1d, hidden_dims: [8], blocks_per_level: 1}}
data:
  dataset: {kind: series_file, file: waves.csv, step: t, window: 8}
  modality: {kind: timeseries, length: 8}
training: {steps: 2, batch_size: 8, optimizer: {optimizer_type: adam, learning_rate: 1.0e-3}}
callbacks: [{kind: checkpoint}, {kind: sample_grid, every: 2, n_samples: 3}]
"""


def test_from_a_csv_file_to_a_csv_file_by_the_run_folder_alone(tmp_path, monkeypatch) -> None:
    pytest.importorskip("artifex.training")
    pytest.importorskip("artifex.diffusion")
    from artifex.training.runs import load_run

    monkeypatch.chdir(tmp_path)
    values = 100 + np.sin(np.arange(120) / 3)
    (tmp_path / "waves.csv").write_text("t,level\n" + "".join(f"{t},{v}\n" for t, v in enumerate(values)))
    (tmp_path / "run.yaml").write_text(RUN)
    run_command("train", "run.yaml", "-o", "run")
    (tmp_path / "waves.csv").unlink()  # nothing but the folder is needed from here on
    _, _, modality = load_run("run")
    assert modality.channels[0].centre == pytest.approx(values[:84].mean(), abs=0.1)  # of windows of the first 70 %
    run_command("sample", "run", "-n", "5", "-o", "made")
    lines = (tmp_path / "made.csv").read_text().splitlines()
    assert lines[0] == "series,step,level"
    assert len(lines) == 1 + 5 * 8
    assert (tmp_path / "made.svg").read_text().count("<path") == 5
    assert ">level<" in (tmp_path / "made.svg").read_text()
    run_command("sample", "run", "-n", "2", "-o", "named.csv")
    assert sorted(path.name for path in tmp_path.glob("*named*")) == ["named.csv", "named.svg"]
    assert sorted(path.suffix for path in (tmp_path / "run" / "samples").iterdir()) == [".csv", ".svg"]
    assert "image/svg+xml" in (tmp_path / "run" / "report.html").read_text()


def run_command(*arguments: str) -> None:
    """``artifex`` with these arguments."""
    from artifex.core.cli import main

    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert ended.value.code in (None, 0)
