"""What the distribution registers, how lightly, its documented paths, its adapter, and a run from a CSV file to a CSV file."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import nnx

from artifex.core import protocols
from artifex.core.errors import InvalidTypeError
from artifex.core.plugins import registry, resolve
from artifex.core.plugins.entries import MetricEntry, ModalityEntry
from artifex.core.testing import user_environment
from artifex.modalities.tabular import TabularModality, TabularModelAdapter, plugin


def test_everything_is_registered() -> None:
    found = registry()
    assert found.get("modality", "tabular") in plugin.artifex_modalities()
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
    given = {
        need: pd.DataFrame({"a": rng.normal(size=120), "b": rng.choice(list("xyz"), 120), "c": rng.choice(list("uv"), 120)})
        for need in ("samples", "references", "training", "holdout")
    }
    for entry in plugin.artifex_metrics():
        for target in filter(None, (entry.metric, entry.of_a_half)):
            figure = np.asarray(resolve(target)(**{need: given[need] for need in entry.needs}))
            assert figure.shape in ((), (120,)), target
            assert not ((figure < entry.lowest) | (figure > entry.highest)).any(), target  # one of no columns is NaN


def test_plugin_and_configs_import_nothing_heavy() -> None:
    code = (
        "import sys; from artifex.modalities.tabular import TabularModalityConfig, plugin as p; p.artifex_metrics();"
        "TabularModalityConfig(); from artifex.generative_models import modalities;"
        "heavy = {'jax', 'flax', 'sklearn', 'pandas', 'scipy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=user_environment())


def test_the_long_paths_hand_on_the_same_objects() -> None:
    short = importlib.import_module("artifex.modalities.tabular")
    long = importlib.import_module("artifex.generative_models.modalities.tabular")
    assert set(long.__all__) == set(short.__all__)
    for name in short.__all__:
        assert getattr(long, name) is getattr(short, name)
    assert importlib.import_module("artifex.generative_models.modalities").TabularModality is TabularModality


class Shifted(nnx.Module):
    """Gives what it is given, and lately what it was given."""

    def __call__(self, x, *, rngs=None):
        return {"x": x}

    def generate(self, n_samples=1, *, rngs=None):
        return jnp.zeros((n_samples, 2))

    def reconstruct(self, x):
        return x

    def log_prob(self, x):
        return x[:, 0]


def test_the_adapter_carries_a_model_from_tables_to_tables() -> None:
    table = pd.DataFrame({"age": [20, 30, 40], "smokes": [True, False, True]})
    adapter = TabularModelAdapter(TabularModality.fit(table))
    assert isinstance(adapter, protocols.ModelAdapter)
    model = adapter.adapt_model(Shifted())
    assert isinstance(model, protocols.Reconstructs)
    assert not isinstance(model, protocols.Encodes)
    pd.testing.assert_frame_equal(model.reconstruct(table), table)
    assert model.generate(2)["age"].tolist() == [30, 30]
    assert model.generate(2).dtypes.tolist() == table.dtypes.tolist()
    np.testing.assert_allclose(model.log_prob(table), model(table)["x"][:, 0])
    np.testing.assert_allclose(adapter.preprocess(adapter.modality.encode(table))["x"], adapter.preprocess(table)["x"])
    with pytest.raises(InvalidTypeError, match="takes a TabularModality, got int"):
        TabularModelAdapter(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidTypeError, match="a model with __call__ and generate"):
        adapter.adapt_model(object())  # pyright: ignore[reportArgumentType]


RUN = """
name: people
model: {kind: edm, input_shape: [4], backbone: {kind: mlp, hidden_dims: [8]}}
data:
  dataset: {kind: table_file, file: people.csv}
  modality: {kind: tabular, numerical: quantile}
training: {steps: 2, batch_size: 8, optimizer: {optimizer_type: adam, learning_rate: 1.0e-3}}
callbacks: [{kind: checkpoint}]
"""


def test_from_a_csv_file_to_a_csv_file_by_the_run_folder_alone(tmp_path, monkeypatch) -> None:
    pytest.importorskip("artifex.training")
    pytest.importorskip("artifex.diffusion")
    from artifex.training.runs import load_run

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.integers(18, 90, 60), "town": rng.choice(["Bern", "Chur", "Genf"], 60)})
    monkeypatch.chdir(tmp_path)
    table.to_csv("people.csv", index=False)
    (tmp_path / "run.yaml").write_text(RUN)
    run_command("train", "run.yaml", "-o", "run")
    (tmp_path / "people.csv").unlink()  # nothing but the folder is needed from here on
    _, _, modality = load_run("run")
    assert [column.column for column in modality.columns] == ["age", "town"]
    run_command("sample", "run", "-n", "5", "-o", "made")
    made = pd.read_csv("made.csv")
    assert list(made.columns) == ["age", "town"]
    assert made["age"].dtype == np.int64
    assert made["age"].between(table["age"].min(), table["age"].max()).all()
    assert set(made["town"]) <= {"Bern", "Chur", "Genf"}


def run_command(*arguments: str) -> None:
    """``artifex`` with these arguments."""
    from artifex.core.cli import main

    with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert ended.value.code in (None, 0)
