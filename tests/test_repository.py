"""What the repository promises about itself: the star in the declared dependencies, and constraints that serve everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
META = {"artifex-all", "artifex-modalities"}
projects = {
    project["name"]: (file.parent, project)
    for file in sorted(ROOT.glob("packages/**/pyproject.toml"))
    for project in [tomllib.loads(file.read_text(encoding="utf-8"))["project"]]
}


def own_dependencies(name: str) -> set[str]:
    """The distributions of ours that ``name`` declares."""
    requirements = [re.match(r"[\w.-]+", line) for line in projects[name][1].get("dependencies", [])]
    return {found.group() for found in requirements if found and found.group().startswith("artifex")}


@pytest.mark.parametrize("name", sorted(projects.keys() - META - {"artifex-core"}))
def test_a_distribution_depends_on_the_core_alone(name: str) -> None:
    assert own_dependencies(name) == {"artifex-core"}


def test_the_core_depends_on_none() -> None:
    assert own_dependencies("artifex-core") == set()


def test_the_meta_distributions_install_everything() -> None:
    modalities = {name for name in projects if name.startswith("artifex-modalities-")}
    assert own_dependencies("artifex-modalities") == modalities
    assert own_dependencies("artifex-all") | modalities | {"artifex-all"} == projects.keys()


@pytest.mark.parametrize("name", sorted(projects.keys() - META))
def test_import_name_matches_and_types_are_shipped(name: str) -> None:
    folder = (
        projects[name][0]
        / "src"
        / name.replace("artifex-modalities-", "artifex-modalities/").replace("artifex-", "artifex/", 1)
    )
    assert (folder / "py.typed").is_file()


def test_all_distributions_share_one_version() -> None:
    assert len({project["version"] for _, project in projects.values()}) == 1


def test_constraints_pin_versions_and_name_no_address() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", line) or "/" in line] == []
