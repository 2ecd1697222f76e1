"""Entry of the ``artifex`` command.

An unrelated project on PyPI is called ``artifex`` and installs a regular package of that name, which hides the namespace
that our distributions share and can overwrite files in it. This module lies outside the namespace, so that the diagnosis
always runs.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from typing import NoReturn

REINSTALL = "pip install --force-reinstall --no-deps artifex-core"


def shadowing() -> str | None:
    """File of the foreign regular package that hides the namespace ``artifex``; None when all is well."""
    spec = importlib.util.find_spec("artifex")
    return None if spec is None or spec.origin is None else spec.origin


def culprits() -> list[str]:
    """Distributions that install ``artifex/__init__.py``, ``name version`` each."""
    return sorted(
        f"{dist.name} {dist.version}"
        for dist in metadata.distributions()
        if any(str(file) == "artifex/__init__.py" for file in dist.files or ())
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


def main() -> None:
    """Run the command line, or say why it cannot run."""
    if (origin := shadowing()) is not None:
        names = culprits()
        remedy = f"pip uninstall -y {' '.join(name.split()[0] for name in names)}" if names else f"rename or remove {origin}"
        _stop(
            f"{origin} hides the namespace that the Artifex distributions share.\n"
            f"  It belongs to: {', '.join(names) or 'no installed distribution'}.\n"
            f"  Fix: {remedy}; then {REINSTALL} (its files may have been overwritten)."
        )
    core = importlib.util.find_spec("artifex.core")
    if core is None or core.origin is None:
        # A foreign distribution that was uninstalled takes the files along that it had overwritten.
        _stop(f"artifex-core is incomplete: artifex/core/__init__.py is missing.\n  Fix: {REINSTALL}")
    try:
        from artifex.core.cli import main as run
    except ImportError as error:
        _stop(
            f"artifex-core cannot be imported ({error}).\n  Fix: {REINSTALL}; its files may have been overwritten or removed."
        )
    run()


def _stop(message: str) -> NoReturn:
    print(f"artifex: {message}", file=sys.stderr)
    raise SystemExit(2)
