"""A plugin with the smallest of everything, so that these tests need no family and no modality."""

import importlib
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
import yaml

from artifex.core import plugins
from artifex.core.testing import user_environment

PLUGIN = """
from artifex.core.plugins import DatasetEntry, ExtensionEntry, MetricEntry, ModalityEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)
_PARTS = "artifex_tiny.parts"


@hookimpl
def artifex_models():
    return [ModelEntry(name="tiny", model=f"{_PARTS}:Tiny", config=f"{_PARTS}:TinyConfig", family="tiny")]


@hookimpl
def artifex_datasets():
    return [DatasetEntry(name="tiny_data", dataset=f"{_PARTS}:TinyData", config=f"{_PARTS}:TinyDataConfig")]


@hookimpl
def artifex_modalities():
    return [ModalityEntry(name="tiny_modality", modality=f"{_PARTS}:TinyModality", config=f"{_PARTS}:TinyModalityConfig")]


@hookimpl
def artifex_metrics():
    return [
        MetricEntry(name=name, metric=f"{_PARTS}:{name}", needs=needs, higher_is_better=False, family=family)
        for name, needs, family in (
            ("tiny_error", ("model", "references"), "tiny"),
            ("tiny_radius", ("samples",), "tiny"),
            ("tiny_broken", ("samples",), "nobody"),
        )
    ]


@hookimpl
def artifex_extensions():
    return [ExtensionEntry(name="tiny_extension", extension=f"{_PARTS}:TinyExtension", config=f"{_PARTS}:TinyExtensionConfig")]


@hookimpl
def artifex_presets():
    return [PresetEntry(name="tiny-run", file="artifex_tiny:tiny.yaml", summary="A run of no account.")]
"""

PRESET = """
model: {kind: tiny}
data:
  dataset: {kind: tiny_data}
  modality: {kind: tiny_modality}
training: {epochs: 5, batch_size: 8, log_every: 2, optimizer: {learning_rate: 1e-2}}
callbacks:
  - {kind: progress}
  - {kind: metrics_file}
  - {kind: checkpoint, every: 4}
  - {kind: sample_grid, every: 6, n_samples: 2}
"""


@dataclass
class Tiny:
    """The installed plugin, and ways to use it."""

    site: Path

    def fields(self, **changes):
        """The preset's fields, with whole sections or (as ``training__steps``) single fields changed."""
        fields = yaml.safe_load(PRESET)
        fields["training"]["optimizer"]["learning_rate"] = 0.01
        for path, value in changes.items():
            *sections, last = path.split("__")
            place = fields
            for section in sections:
                place = place[section]
            place[last] = value
        return fields

    def config(self, **changes):
        """A run's config, as :meth:`fields`."""
        from artifex.training import RunConfig

        return RunConfig.from_dict(self.fields(**{"name": "tiny-run"} | changes))

    def popen(self, *arguments, before=(), devices=None, environment=None, **options):
        """The installed ``artifex`` command in a process of its own, seeing this plugin and the engine alone.

        ``before`` is put before the command; the CPU poses as ``devices``, if that is given.
        """
        variables = user_environment() | {
            "PYTHONPATH": str(self.site),
            "ARTIFEX_DISABLE_PLUGINS": "vae,image",
            "COLUMNS": "120",
            **(environment or {}),
        }
        if devices is not None:
            variables["JAX_NUM_CPU_DEVICES"] = str(devices)
        command = [*before, str(Path(sysconfig.get_path("scripts")) / "artifex"), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=variables, text=True, **(pipes | options))


@pytest.fixture(scope="session")
def _site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    info, package = site / "artifex_tiny-1.0.dist-info", site / "artifex_tiny"
    info.mkdir()
    package.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: artifex-tiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[artifex]\ntiny = artifex_tiny.plugin\n")
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(dedent(PLUGIN))
    (package / "parts.py").write_text(Path(__file__).with_name("tiny_parts.py").read_text(encoding="utf-8"))
    (package / "tiny.yaml").write_text(PRESET)
    sys.path.insert(0, str(site))
    yield site
    sys.path.remove(str(site))


@pytest.fixture
def tiny(_site, monkeypatch):
    """The plugin, and the engine's own, as all that is installed."""
    points = [
        SimpleNamespace(name=name, value=module, dist=dist, load=lambda module=module: importlib.import_module(module))
        for name, module, dist in [
            ("tiny", "artifex_tiny.plugin", SimpleNamespace(name="artifex-tiny", version="1.0")),
            ("training", "artifex.training.plugin", SimpleNamespace(name="artifex-training", version="0.1.0")),
        ]
    ]
    registry = plugins.Registry(plugins.load_plugins(points, disable=""))
    assert not registry.failures, registry.failures
    monkeypatch.setattr(plugins, "registry", lambda: registry)
    return Tiny(_site)


@pytest.fixture
def artifex(tiny, tmp_path, monkeypatch, capsys):
    """Run the ``artifex`` command in this process and in ``tmp_path``: its exit code, standard output and standard error."""
    from artifex.core.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["artifex"])

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = stopped.code or 0
        return SimpleNamespace(code=code, **dict(zip(("out", "err"), capsys.readouterr(), strict=True)))

    return run


@pytest.fixture(autouse=True)
def _no_user_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith("ARTIFEX_")]:
        monkeypatch.delenv(name)
