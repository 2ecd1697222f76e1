"""What the distribution registers, how lightly, and its documented long path."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from artifex.core.metrics import MergedMetric, StreamedMetric
from artifex.core.plugins import registry, resolve
from artifex.core.plugins.entries import Entry, LossEntry, MetricEntry
from artifex.core.testing import user_environment
from artifex.modalities.multimodal import plugin

ENTRIES = [
    *plugin.artifex_modalities(),
    *plugin.artifex_datasets(),
    *plugin.artifex_components(),
    *plugin.artifex_losses(),
    *plugin.artifex_metrics(),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_target_exists_and_every_config_describes_itself(entry: Entry) -> None:
    assert entry.summary
    kind = type(entry).__name__.removesuffix("Entry").lower()
    target = resolve(getattr(entry, kind))
    assert callable(target) or isinstance(target, StreamedMetric | MergedMetric)
    assert any(found == entry for found, _ in registry().entries(kind))
    if not isinstance(entry, MetricEntry | LossEntry):
        fields = resolve(entry.config).json_schema()["properties"]  # type: ignore[attr-defined]
        assert all("description" in field for field in fields.values())


def test_plugin_and_configs_import_no_jax() -> None:
    code = (
        "import sys; from artifex.modalities.multimodal import MultiModalModalityConfig, WavesConfig, plugin as p;"
        "p.artifex_datasets(); WavesConfig();"
        "heavy = {'jax', 'flax', 'sklearn', 'PIL'} & set(sys.modules); sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=user_environment())


def test_the_long_path_hands_on_the_same_objects() -> None:
    short = importlib.import_module("artifex.modalities.multimodal")
    long = importlib.import_module("artifex.generative_models.modalities.multi_modal")
    assert set(long.__all__) == set(short.__all__)
    for name in short.__all__:
        assert getattr(long, name) is getattr(short, name)
