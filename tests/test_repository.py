"""What the repository promises about itself: the star in the declared dependencies, and constraints that serve everywhere."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def installed_with(name: str) -> set[str]:
    """All distributions that an installation of ``name`` brings, itself among them: what each declares, extras as asked."""
    found: set[tuple[str, str]] = set()
    waiting = {(name, "")}
    while waiting:
        distribution, extra = waiting.pop()
        found.add((distribution, extra))
        for line in metadata.requires(distribution) or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting |= {(canonicalize_name(needed.name), asked) for asked in ("", *needed.extras)} - found
    return {distribution for distribution, _ in found}


@pytest.mark.parametrize("name", sorted(name for name in projects if name.startswith("artifex-modalities-")))
def test_a_modality_brings_few_packages_and_no_other_modality(name: str) -> None:
    brought = installed_with(name)
    assert {other for other in brought if other.startswith("artifex-")} == {name, "artifex-core"}
    assert len(brought) < 60, sorted(brought)


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


def test_the_hooks_before_a_commit_have_the_ruff_that_nox_has() -> None:
    pinned = re.search(r"^ruff==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert pinned
    assert [repo["rev"] for repo in hooks if "ruff" in repo["repo"]] == [f"v{pinned[1]}"]


def test_every_workflow_runs_sessions_that_there_are() -> None:
    listed = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE))
    for file in (ROOT / ".github/workflows").glob("*.yml"):
        jobs = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values()
        matrices = [job.get("strategy", {}).get("matrix", {}).get("session", []) for job in jobs]
        named = {name for names in matrices for name in names}
        named |= set(re.findall(r"nox -s (\w+)", file.read_text(encoding="utf-8")))
        assert named, file.name
        assert named <= listed, file.name


def test_no_two_distributions_share_a_regular_package() -> None:
    """An ``__init__.py`` in a folder that two of them fill would hide the one or the other."""
    sources = {name: folder / "src" for name, (folder, _) in projects.items()}
    owners: dict[Path, set[str]] = {}
    for name, source in sources.items():
        for file in source.rglob("*.py"):
            for level in file.relative_to(source).parents[:-1]:
                owners.setdefault(level, set()).add(name)
    regular = {file.parent.relative_to(s) for s in sources.values() for file in s.rglob("__init__.py")}
    assert Path("artifex/generative_models/core/configuration") in regular
    assert {str(level): owners[level] for level in regular if len(owners[level]) > 1} == {}
