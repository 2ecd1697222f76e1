"""What installing one modality brings: fewer than 60 packages, and none that only another modality needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
SKLEARN = {"scikit-learn", "cloudpickle", "joblib", "narwhals", "threadpoolctl"}
OWN = {
    "text": {"regex"},
    "audio": {"soundfile", "cffi", "pycparser"},
    "tabular": {"pandas", "python-dateutil", "six", "tzdata", *SKLEARN},
    "timeseries": set(),
    "protein": {"gemmi"},
    "molecular": {"pillow", "rdkit"},
    "multimodal": {"pillow", *SKLEARN},
    "image": {"pillow", *SKLEARN},
}
"""What each needs beside the core, with what that needs in turn."""


def resolved(*folders: Path) -> set[str]:
    """Names of all packages that these distributions need, as uv resolves them for this interpreter."""
    lines = "\n".join(f"-e {folder}" for folder in folders)
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "-"]
    found = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return {re.split(r"[=<>@ ;]", line)[0] for line in found.stdout.splitlines() if line and not line.startswith("-e")}


def test_every_modality_is_weighed() -> None:
    folders = {path.parent.name for path in (PACKAGES / "artifex-modalities").glob("*/pyproject.toml")}
    assert folders == OWN.keys()


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("uv") is None, reason="resolves with uv")
@pytest.mark.parametrize("modality", OWN)
def test_one_modality_is_light(modality: str) -> None:
    core, whole = (resolved(PACKAGES / "artifex-core", *more) for more in ((), (PACKAGES / "artifex-modalities" / modality,)))
    assert len(whole) + 2 < 60  # with the core and the modality
    assert whole - core <= OWN[modality]
    assert not any(name.startswith("artifex") for name in whole)
