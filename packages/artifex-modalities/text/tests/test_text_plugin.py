"""What the distribution registers, how lightly, and its documented long paths."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

from artifex.core.metrics import StreamedMetric
from artifex.core.plugins import registry, resolve
from artifex.core.plugins.entries import Entry, MetricEntry
from artifex.core.testing import user_environment
from artifex.modalities.text import plugin

ENTRIES = [
    *plugin.artifex_modalities(),
    *plugin.artifex_datasets(),
    *plugin.artifex_metrics(),
    *plugin.artifex_components(),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_target_exists_and_every_config_describes_itself(entry: Entry) -> None:
    assert entry.summary
    kind = next(
        kind for kind in ("modality", "dataset", "metric", "component") if type(entry).__name__ == f"{kind.title()}Entry"
    )
    assert entry in [found for found, _ in registry().entries(kind)]
    target = resolve(getattr(entry, kind))
    if isinstance(entry, MetricEntry):
        assert callable(target) or isinstance(target, StreamedMetric)
        return
    fields = resolve(entry.config).json_schema().get("properties", {})  # pyright: ignore[reportAttributeAccessIssue]
    assert all("description" in field for field in fields.values())


def test_plugin_and_configs_import_no_jax() -> None:
    code = (
        "import sys; from artifex.modalities.text import TextModalityConfig, datasets as d, plugin as p, tokenizers as t;"
        "p.artifex_datasets(); TextModalityConfig(length=2); d.PythonReferenceConfig(); t.GPT2FilesConfig(folder='.');"
        "heavy = {'jax', 'flax', 'tokenizers', 'sentencepiece', 'datasets'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=user_environment())


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("artifex.modalities.text", "artifex.generative_models.modalities.text"),
        ("artifex.modalities.text.metrics", "artifex.benchmarks.metrics.text"),
    ],
)
def test_the_long_path_hands_on_the_same_objects(short: str, long: str) -> None:
    one, other = importlib.import_module(short), importlib.import_module(long)
    assert set(one.__all__) == set(other.__all__)
    for name in one.__all__:
        assert getattr(one, name) is getattr(other, name)


def test_shared_levels_stay_namespaces() -> None:
    for level in ("artifex", "artifex.modalities", "artifex.generative_models", "artifex.benchmarks.metrics"):
        spec = importlib.util.find_spec(level)
        assert spec is not None
        assert spec.origin is None
