"""What the distribution registers, how lightly, and its documented long path."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

from artifex.core.metrics import MergedMetric, StreamedMetric
from artifex.core.plugins import registry, resolve
from artifex.core.plugins.entries import ComponentEntry, DatasetEntry, Entry, MetricEntry, ModalityEntry
from artifex.core.testing import user_environment
from artifex.modalities.image import plugin


def test_everything_is_registered() -> None:
    found = registry()
    assert found.get("modality", "image") in plugin.artifex_modalities()
    for name in ("digits", "idx", "image_folder", "npz", "huggingface"):
        assert found.get("dataset", name).modality == "image"
    for name in ("psnr", "ssim"):
        assert found.get("metric", name).higher_is_better


@pytest.mark.parametrize(
    "entry",
    [*plugin.artifex_modalities(), *plugin.artifex_datasets(), *plugin.artifex_metrics(), *plugin.artifex_components()],
    ids=lambda entry: entry.name,
)
def test_every_target_exists_and_every_config_describes_itself(entry: Entry) -> None:
    assert entry.summary
    if isinstance(entry, MetricEntry):
        target = resolve(entry.metric)
        assert callable(target) or isinstance(target, StreamedMetric | MergedMetric)
        return
    target = {ModalityEntry: "modality", DatasetEntry: "dataset", ComponentEntry: "component"}[type(entry)]
    assert callable(resolve(getattr(entry, target)))
    fields = resolve(entry.config).json_schema()["properties"]
    assert all("description" in field for field in fields.values())


def test_plugin_and_configs_import_no_jax() -> None:
    code = (
        "import sys; from artifex.modalities.image import ImageModalityConfig, datasets as d, plugin as p;"
        "p.artifex_datasets(); ImageModalityConfig(height=2, width=2); d.DigitsConfig(); d.IdxConfig(folder='.');"
        "heavy = {'jax', 'flax', 'sklearn', 'datasets'} & set(sys.modules); sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=user_environment())


def test_the_long_path_hands_on_the_same_objects() -> None:
    short = importlib.import_module("artifex.modalities.image")
    long = importlib.import_module("artifex.generative_models.modalities.image")
    assert set(long.__all__) == set(short.__all__)
    for name in short.__all__:
        assert getattr(long, name) is getattr(short, name)


def test_shared_levels_stay_namespaces() -> None:
    for level in ("artifex", "artifex.modalities", "artifex.generative_models"):
        spec = importlib.util.find_spec(level)
        assert spec is not None
        assert spec.origin is None
