"""What is installed, what runs on which hardware, and what is wrong: the findings behind ``artifex doctor``."""

from __future__ import annotations

import base64
import csv
import hashlib
import sys
import warnings
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from textwrap import indent
from typing import Any

from artifex.core import plugins

__all__ = ["Findings", "damaged", "examine"]

LIBRARIES = ("artifex-core", "jax", "jaxlib", "flax", "optax", "safetensors", "grain", "pydantic", "pluggy")
REINSTALL = "pip install --force-reinstall --no-deps artifex-core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found. ``str`` of it is for people, :meth:`as_dict` for programs."""

    python: str
    """Version."""
    system: str
    """``linux``, ``darwin``, ``win32``."""
    libraries: dict[str, str | None]
    """Version of each library that matters; None where it is not installed."""
    plugins: tuple[plugins.Plugin, ...]
    """Those that are loaded."""
    disabled: tuple[plugins.Plugin, ...]
    """Those that ``ARTIFEX_DISABLE_PLUGINS`` switches off."""
    hardware: Any
    """The :class:`artifex.core.hardware.HardwareSpecs`; None where the devices cannot be read."""
    problems: tuple[str, ...]
    """One line each, with the fix."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        versions = (f"{name} {version}" if version else f"{name} is not installed" for name, version in self.libraries.items())
        shown = [f"{plugin.name}: {plugin}" for plugin in self.plugins]
        shown += [f"{plugin.name}: {plugin}, switched off by ARTIFEX_DISABLE_PLUGINS" for plugin in self.disabled]
        sections = {
            f"Python {self.python} on {self.system}": versions,
            "Plugins": shown or ["none"],
            "Hardware": [] if self.hardware is None else [str(self.hardware)],
            "Problems" if self.problems else "No problems found.": self.problems,
        }
        return "\n".join(line for head, rows in sections.items() for line in (head, *(indent(row, "  ") for row in rows)))


def examine() -> Findings:
    """Look at everything. Starts JAX; what goes wrong on the way is a problem among the findings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", plugins.PluginWarning)  # the same problems are listed
        registry = plugins.registry()
    problems = [*map(str, registry.failures), *registry.conflicts(), *damaged()]
    specs = None
    try:
        from artifex.core.hardware import HardwareDetector

        specs = HardwareDetector().detect_hardware()
    except Exception as error:  # any fault of a driver is a finding, not a reason to stop
        problems.append(f"devices cannot be read: {type(error).__name__}: {error}")
    return Findings(
        python=sys.version.split()[0],
        system=sys.platform,
        libraries={name: _version(name) for name in LIBRARIES},
        plugins=tuple(registry.plugins.values()),
        disabled=tuple(registry.disabled),
        hardware=specs,
        problems=tuple(problems),
    )


def damaged() -> list[str]:
    """Files that artifex-core installed and that are gone or were overwritten since, one finding each."""
    try:
        core = metadata.distribution("artifex-core")
    except metadata.PackageNotFoundError:
        return []
    found = []
    # Distribution.files leaves out what is missing, so the RECORD is read here.
    for name, digest, *_ in csv.reader((core.read_text("RECORD") or "").splitlines()):
        if not digest.startswith("sha256="):  # compiled files come and go
            continue
        path = Path(str(core.locate_file(name)))
        if not path.exists():
            found.append(f"{name} of artifex-core is missing; {REINSTALL}")
        elif digest != _sha256(path.read_bytes()):
            found.append(f"{name} of artifex-core was overwritten; {REINSTALL}")
    return found


def _sha256(content: bytes) -> str:
    """The digest as an installer's RECORD spells it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
