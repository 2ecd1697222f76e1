"""What a run ran on: kept in its folder, and compared with what is installed where its config cannot be read."""

from __future__ import annotations

import json
import platform
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

from artifex.core import plugins
from artifex.core.devices import DeviceManager
from artifex.core.plugins.manager import UNKNOWN, normalized

__all__ = ["ENVIRONMENT", "differences", "environment"]

ENVIRONMENT = "environment.json"
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "safetensors", "numpy")
"""Recorded, but no part of a config comes from them."""


def environment() -> dict[str, Any]:
    """Python, platform, devices and versions, for whoever has to repeat the run."""
    info = DeviceManager().get_device_info()
    found = plugins.registry().plugins.values()
    ours = {plugin.distribution: plugin.version for plugin in found if plugin.version != UNKNOWN}
    others = {name: _installed(name) for name in (*LIBRARIES, "artifex-core")}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "backend": info["backend"],
        "devices": [str(device) for device in info["jax_devices"]],
        "versions": {name: version for name, version in {**others, **dict(sorted(ours.items()))}.items() if version},
    }


def differences(folder: Path) -> list[str]:
    """How the distributions that the run in ``folder`` was made with differ from those here, one line each, with the fix."""
    try:
        versions = json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8"))["versions"]
        recorded = {str(name): str(version) for name, version in versions.items() if name not in LIBRARIES}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or none that can be read: nothing to compare
        return []
    return [line for name, version in recorded.items() if (line := _difference(name, version))]


def _difference(name: str, version: str) -> str:
    """What is wrong here with the distribution ``name``, of which a run had ``version``; empty when nothing is."""
    registry, made_with = plugins.registry(), f"the run was made with {name} {version}"
    if any(normalized(plugin.distribution) == normalized(name) for plugin in registry.disabled):
        return f"{made_with}, which ARTIFEX_DISABLE_PLUGINS switches off"
    failed = [failure for failure in registry.failures if normalized(failure.plugin.distribution) == normalized(name)]
    if failed:
        return f"{made_with}, but {failed[0]}"
    loaded = {normalized(plugin.distribution): plugin.version for plugin in registry.plugins.values()}
    here = loaded.get(normalized(name)) or _installed(name)
    if here == version:
        return ""
    install = f"pip install {shlex.quote(f'{name}=={version}')}"
    return f"{made_with}, which is not installed: {install}" if here is None else f"{made_with}; {here} is installed: {install}"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except (metadata.PackageNotFoundError, ValueError, KeyError):  # not there, no name at all, or METADATA without a version
        return None
