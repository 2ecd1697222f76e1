"""What the distribution registers, and that finding it out imports no jax."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from artifex.core import plugins
from artifex.core.metrics import MergedMetric, StreamedMetric
from artifex.core.plugins import index

OURS = [
    (kind, entry)
    for kind in plugins.KINDS
    for entry, plugin in plugins.registry().entries(kind)
    if plugin.distribution == "artifex-geometric"
]
FIELDS = ("model", "config", "component", "dataset", "loss", "metric")
TARGETS = [target for _, entry in OURS for field in FIELDS if (target := getattr(entry, field, ""))]
MODULES = ["artifex.geometric", "artifex.geometric.datasets", "artifex.generative_models.models.geometric"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_exists(target: str) -> None:
    found = plugins.resolve(target)
    assert callable(found) or isinstance(found, StreamedMetric | MergedMetric)


def test_the_cores_table_of_names_agrees() -> None:
    listed = {key for key, distribution in index.DISTRIBUTION_OF.items() if distribution == "artifex-geometric"}
    kinds = {kind for kind, _ in listed}
    assert listed == {(kind, plugins.entry_key(entry)) for kind, entry in OURS if kind in kinds}


@pytest.mark.parametrize("module", ["artifex.geometric", "artifex.generative_models.models.geometric"])
def test_importing_it_imports_no_jax(module: str) -> None:
    code = f"import sys, {module}, artifex.geometric.plugin; print('jax' in sys.modules, 'flax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_there(name: str) -> None:
    module = importlib.import_module(name)
    assert sorted(module.__all__) == dir(module)
    assert all(getattr(module, public) is not None for public in module.__all__)
