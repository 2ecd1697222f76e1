"""Entry of the ``artifex`` command.

An unrelated project on PyPI is called ``artifex`` and installs a regular package of that name, which hides the namespace
that our distributions share and can overwrite files in it. This module lies outside the namespace, so that the diagnosis
always runs. It starts ``artifex.core.cli``, in which nothing imports this module.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
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
