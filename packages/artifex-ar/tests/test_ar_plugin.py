"""What the distribution registers, and that finding it out imports no jax."""

from __future__ import annotations

import importlib
import inspect
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
    if plugin.distribution == "artifex-ar"
]


def targets() -> list[str]:
    fields = ("model", "config", "loss", "metric", "component")
    return [target for _, entry in OURS for field in fields if (target := getattr(entry, field, ""))]


@pytest.mark.parametrize("target", targets())
def test_every_target_exists(target: str):
    found = plugins.resolve(target)
    assert callable(found) or isinstance(found, StreamedMetric | MergedMetric)


def test_the_cores_table_of_names_agrees():
    listed = {key for key, distribution in index.DISTRIBUTION_OF.items() if distribution == "artifex-ar"}
    kinds = {kind for kind, _ in listed}
    assert listed == {(kind, plugins.entry_key(entry)) for kind, entry in OURS if kind in kinds}


def test_metrics_take_what_they_need():
    for kind, entry in OURS:
        if kind == "metric" and inspect.isfunction(function := plugins.resolve(entry.metric)):
            parameters = inspect.signature(function).parameters.values()
            assert tuple(p.name for p in parameters if p.default is p.empty) == entry.needs


def test_importing_them_imports_no_jax():
    modules = ("artifex.ar", "artifex.ar.plugin", "artifex.generative_models.models.autoregressive")
    code = f"import sys, {', '.join(modules)}; print('jax' in sys.modules, 'flax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", ["artifex.ar", "artifex.generative_models.models.autoregressive"])
def test_every_public_name_is_there(name: str):
    module = importlib.import_module(name)
    assert sorted(module.__all__) == dir(module)
    assert all(getattr(module, public) is not None for public in module.__all__)


def test_the_documented_long_path_hands_on_the_same_objects():
    from artifex import ar
    from artifex.generative_models.models import autoregressive as long_path

    assert all(getattr(long_path, public) is getattr(ar, public) for public in long_path.__all__)
