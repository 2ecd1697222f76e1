"""Fixtures that several tests of the core share: registries made of fakes, and real distributions in a folder of their own."""

import base64
import hashlib
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from types import ModuleType, SimpleNamespace

import pytest

from artifex.core import plugins
from artifex.core.testing.strict import user_environment


@dataclass
class FakePoint:
    """An entry point that loads ``module``, or raises it when it is an exception."""

    name: str
    module: object
    distribution: str = ""
    version: str = "1.0"

    def __post_init__(self):
        self.value = f"{self.name}.plugin"
        self.dist = SimpleNamespace(name=self.distribution or f"dist-{self.name}", version=self.version)

    def load(self):
        if isinstance(self.module, BaseException):
            raise self.module
        return self.module


def plugin_module(name="fake_plugin", api=(1, 1), **members):
    """A module as a plugin's author would write it; ``members`` that are lists become hooks that return them."""
    module = ModuleType(name)
    if api is not None:
        module.ARTIFEX_API = api
    for member, value in members.items():
        setattr(module, member, plugins.hookimpl(lambda value=value: value) if isinstance(value, list) else value)
    return module


@pytest.fixture
def fake_point():
    return FakePoint


@pytest.fixture
def fake_module():
    return plugin_module


@pytest.fixture
def use_registry(monkeypatch):
    """Make a registry of the given hooks (``artifex_models=[...]``) the one that everything sees."""

    def use(**hooks):
        made = plugins.Registry(plugins.load_plugins([FakePoint("fake", plugin_module(**hooks))], disable=""))
        assert not made.failures, made.failures
        monkeypatch.setattr(plugins, "registry", lambda: made)
        return made

    return use


@dataclass
class Site:
    """A folder that stands before site-packages on the path of the processes that it starts."""

    folder: Path
    environment: dict = field(default_factory=dict)

    def install(self, name, files, *, version="1.0", entry_points="", metadata=True):
        """Install a distribution as an installer leaves it: its files, and METADATA, RECORD and entry points beside them."""
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        texts = {path: dedent(text) for path, text in files.items()}
        if metadata:
            texts[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        if entry_points:
            texts[f"{info}/entry_points.txt"] = dedent(entry_points)
        for path, text in texts.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text, encoding="utf-8")
        record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in texts.items())
        (self.folder / info / "RECORD").write_text(f"{record}{info}/RECORD,,\n", encoding="utf-8")

    def install_plugin(self, name, body, *, point="", version="1.0", **files):
        """Install a distribution with one plugin module; ``files`` are further modules beside it."""
        package = name.replace("-", "_")
        sources = {f"{package}/{file}.py": text for file, text in files.items()}
        prelude = "from artifex.core.plugins import *\n\nARTIFEX_API = (1, 1)\n\n"
        self.install(
            name,
            {f"{package}/__init__.py": "", f"{package}/plugin.py": prelude + dedent(body)} | sources,
            version=version,
            entry_points=f"[artifex]\n{point or package} = {package}.plugin\n",
        )

    def python(self, code, *arguments, **environment):
        return self._run([sys.executable, "-c", dedent(code), *arguments], environment)

    def artifex(self, *arguments, **environment):
        """Run the installed ``artifex`` command with our own families switched off: what else is installed must not matter."""
        return self._run([str(Path(sysconfig.get_path("scripts")) / "artifex"), *arguments], environment)

    def _run(self, command, environment):
        variables = user_environment() | {"PYTHONPATH": str(self.folder), "ARTIFEX_DISABLE_PLUGINS": "artifex-*"}
        variables |= {"COLUMNS": "200", **self.environment, **environment}
        return subprocess.run(command, env=variables, capture_output=True, text=True, cwd=self.folder, timeout=120, check=False)


def _digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def site(tmp_path):
    """An empty folder for real distributions, and the processes that see them."""
    folder = tmp_path / "site"
    folder.mkdir()
    return Site(folder)
