"""The shared path of modalities: names of whatever is installed, though no distribution has an ``__init__.py`` there."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import artifex.core
from artifex.core import plugins
from artifex.core.errors import PluginConflictError
from artifex.core.plugins import ModalityEntry, index
from artifex.generative_models import modalities


def entry(name: str, target: str) -> ModalityEntry:
    return ModalityEntry(name=name, modality=target, config="nothing:Nothing")


@pytest.fixture
def registered(monkeypatch):
    """Says what third parties register."""

    def register(*targets: str) -> None:
        entries = [(entry(str(i), target), None) for i, target in enumerate(targets)]
        monkeypatch.setattr(plugins.Registry, "entries", lambda self, kind: iter(entries))

    return register


def test_a_strangers_modality_is_found_by_its_name(registered) -> None:
    registered("collections:OrderedDict")
    assert importlib.import_module("collections").OrderedDict is modalities.OrderedDict
    assert dir(modalities) == ["OrderedDict"]


def test_two_of_one_name_are_told_apart(registered) -> None:
    registered("one:SameModality", "two:SameModality")
    with pytest.raises(PluginConflictError, match="one:SameModality, two:SameModality"):
        modalities.SameModality  # noqa: B018


def test_a_missing_distribution_is_named(monkeypatch) -> None:
    monkeypatch.setitem(index.MODALITY_HOME, "SmellModality", ("artifex.modalities.smell.modality", "artifex-modalities-smell"))
    with pytest.raises(ImportError, match=r"SmellModality is part of artifex-modalities-smell, which is not installed"):
        from artifex.generative_models.modalities import SmellModality  # noqa: F401


def test_a_name_that_nobody_has_gives_close_ones(registered) -> None:
    registered("one:ImageModality")
    with pytest.raises(ImportError, match=r"no installed .* modality called ImagModality; did you mean ImageModality"):
        from artifex.generative_models.modalities import ImagModality  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from artifex.generative_models.modalities import nothing  # noqa: F401


def test_a_siblings_module_is_found_wherever_it_is_installed(tmp_path: Path, monkeypatch) -> None:
    """As from a wheel elsewhere, or an editable install: another folder of the same namespace, on the path later than we
    are."""
    folder = tmp_path / "artifex" / "generative_models" / "modalities"
    folder.mkdir(parents=True)
    (folder / "smell.py").write_text("strength = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert importlib.import_module("artifex.generative_models.modalities.smell").strength == 3
    assert importlib.import_module("artifex.generative_models.modalities.base").Modality is not None
    assert importlib.util.find_spec("artifex.generative_models.modalities.odour") is None
    monkeypatch.delitem(sys.modules, "artifex.generative_models.modalities.smell")
    monkeypatch.delattr(modalities, "smell")


def test_all_in_one_folder_works_too(tmp_path: Path) -> None:
    """As pip unpacks wheels: this module and the folder of its name side by side, in a process that has no other artifex."""
    source = Path(artifex.core.__file__).parents[1]
    shutil.copytree(source, tmp_path / "artifex", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "artifex/generative_models/modalities/smell.py").write_text("strength = 3\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import artifex.generative_models.modalities.smell as smell;"
        "from artifex.generative_models import modalities; assert smell.strength == 3;"
        f"assert modalities.__file__.startswith({str(tmp_path)!r}), modalities.__file__;"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
