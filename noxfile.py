"""What can be run on this repository: ``nox -l`` lists it, ``nox -s NAME`` runs it, arguments after ``--`` are handed on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path

import nox

ROOT = Path(__file__).parent
CACHE = ROOT / ".cache"
WHEELS = CACHE / "wheels" / str(time.time_ns())  # a new place each time: uv keeps a wheel it has seen in a folder
PYTHONS = ("3.11", "3.12", "3.13")
SHARED_LEVELS = (
    "artifex",
    "artifex/benchmarks",
    "artifex/benchmarks/metrics",
    "artifex/data",
    "artifex/generative_models",
    "artifex/generative_models/extensions",
    "artifex/generative_models/modalities",
    "artifex/generative_models/models",
    "artifex/modalities",
)

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "lint", "types"]
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")  # the interpreters are the ones that are here
# Importing JAX takes three times as long where what Python has compiled may not be kept, and the tests start many processes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("PYTHONPYCACHEPREFIX", str(CACHE / "pycache"))  # also for installed packages: uv compiles nothing


def distributions() -> dict[str, Path]:
    """Name and folder of every distribution, the core first."""
    folders = sorted(file.parent for file in ROOT.glob("packages/**/pyproject.toml"))
    named = {tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"]: folder for folder in folders}
    return {"artifex-core": named.pop("artifex-core"), **named}


DISTRIBUTIONS = distributions()


def group(name: str, folder: Path = ROOT) -> list[str]:
    """Requirements of a dependency group (PEP 735)."""
    return nox.project.dependency_groups(nox.project.load_toml(folder / "pyproject.toml"), name)


def install(session: nox.Session, *requirements: str, only: tuple[str, ...] = tuple(DISTRIBUTIONS)) -> None:
    """Install ``requirements`` and our distributions, editable, at the versions of constraints.txt."""
    editable = [part for name in only for part in ("-e", str(DISTRIBUTIONS[name].relative_to(ROOT)))]
    session.install("-c", "constraints.txt", *requirements, *editable)


def compilation_cache() -> dict[str, str]:
    """Where JAX keeps what it has compiled, so that a second run of the tests compiles nothing."""
    return {"JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(CACHE / "jax"))}


@nox.session
def demo(session: nox.Session) -> None:
    """Train a VAE on real digits and leave a run folder with samples to look at."""
    install(session, only=("artifex-core", "artifex-training", "artifex-vae", "artifex-modalities-image"))
    session.run("artifex", "train", "vae-digits", *session.posargs)


def workers(session: nox.Session) -> tuple[str, ...]:
    """Two processes with half of the tests each, so that most programs are compiled once; who is done first takes over some."""
    return () if any(part.startswith("-n") for part in session.posargs) else ("-n", "2", "--dist", "worksteal")


def tests(session: nox.Session) -> None:
    """Every test, in two processes. Arguments for pytest go after ``--``."""
    install(session, *group("tests"))
    session.run("pytest", *workers(session), *session.posargs, env=compilation_cache())


nox.session(tests)  # the interpreter that runs nox
for version in PYTHONS:  # tests-3.12 and so on: another one
    nox.session(tests, name=f"tests-{version}", python=version)


@nox.session
def nightly(session: nox.Session) -> None:
    """The slow proofs: trainings to known figures, every preset, every model's conformance. Programs are as users get them."""
    session.install("--no-deps", "qm9pack==1.0.3")  # for its files: its loader alone needs what it asks for
    install(session, "gemmi>=0.7", "rdkit>=2025.3", *group("tests"))
    whole = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    session.run("pytest", *workers(session), "-m", "nightly", *session.posargs, env=compilation_cache() | whole)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every distribution to a wheel."""
    session.install("-c", "constraints.txt", *group("build"))
    shutil.rmtree(WHEELS.parent, ignore_errors=True)
    for folder in DISTRIBUTIONS.values():
        session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(WHEELS), str(folder), silent=True)


@nox.session(requires=["wheels"], reuse_venv=False)
@nox.parametrize("name", list(DISTRIBUTIONS), ids=list(DISTRIBUTIONS))
def alone(session: nox.Session, name: str) -> None:
    """One distribution as its users get it: its wheel installed by itself, its tests run from a temporary folder."""
    folder = DISTRIBUTIONS[name]
    is_meta = not (folder / "src").is_dir()
    requirements = [] if is_meta else group("test", folder)
    session.install("-c", "constraints.txt", "--find-links", str(WHEELS), name, *requirements)
    if is_meta:
        session.run("artifex", "list")
        return
    with tempfile.TemporaryDirectory(prefix="artifex-alone-") as temporary:
        elsewhere = shutil.copytree(folder / "tests", Path(temporary).resolve() / "tests")
        settings = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(elsewhere), "-o", "cache_dir=.pytest_cache")
        with session.chdir(elsewhere):
            session.run("pytest", *settings, str(elsewhere), *session.posargs, env=compilation_cache())


@nox.session(requires=["wheels"])
def changed(session: nox.Session) -> None:
    """``alone`` for each distribution that has changed since main or, on main, its last commit; ``-- HEAD~3`` for another."""
    names = changed_since(session.posargs[0] if session.posargs else base())
    session.log(f"changed: {', '.join(names) or 'no distribution'}")
    for name in names:
        session.notify(f"alone({name})", posargs=())


def base() -> str:
    """Where this work began: where it left main, or the commit before the last."""
    meeting, here = git("merge-base", "HEAD", "origin/main"), git("rev-parse", "HEAD")
    return meeting if meeting and meeting != here else "HEAD~1"


def changed_since(commit: str) -> list[str]:
    """Distributions with a file that differs from ``commit``; all, where that cannot be told or what they share differs."""
    found = git("diff", "--name-only", commit, "--")
    files = None if found is None else [ROOT / line for line in found.splitlines()]
    if files is None or any(ROOT / name in files for name in ("constraints.txt", "pyproject.toml")):
        return list(DISTRIBUTIONS)
    names = {folder: name for name, folder in DISTRIBUTIONS.items()}
    touched = {next((names[folder] for folder in file.parents if folder in names), "") for file in files}
    return [name for name in DISTRIBUTIONS if name in touched]


def git(*arguments: str) -> str | None:
    """What git answers, or nothing where it fails: a shallow clone, say, or a commit that is not there."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, the star of distributions, and no ``__init__.py`` at a level that distributions share."""
    install(session, *group("lint"))
    strays = stray_packages()
    if strays:
        session.error("an __init__.py at a shared level hides every sibling distribution; remove " + ", ".join(strays))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--cache-dir", str(CACHE / "import-linter"))


@nox.session
def index(session: nox.Session) -> None:
    """Remake the core's index of our own names from the plugins; after a plugin or a config has changed."""
    install(session)
    session.run("python", "scripts/make_index.py", *session.posargs)


def stray_packages() -> list[str]:
    """Every ``__init__.py`` in a folder that more than one distribution fills, or may."""
    sources = [folder / "src" for folder in DISTRIBUTIONS.values()]
    folders = Counter(str(path.relative_to(root)) for root in sources for path in root.rglob("*") if path.is_dir())
    shared = {*SHARED_LEVELS, *(name for name, count in folders.items() if count > 1 and not name.endswith("__pycache__"))}
    files = [root / level / "__init__.py" for root in sources for level in sorted(shared)]
    return [str(file.relative_to(ROOT)) for file in files if file.exists()]


@nox.session
def types(session: nox.Session) -> None:
    """Pyright over every ``src``. A pattern that matches no file would pass, so the number of files is checked too."""
    install(session, *group("types"))
    python = Path(session.bin) / "python"
    output = session.run("pyright", "--pythonpath", str(python), "--outputjson", silent=True, success_codes=[0, 1])
    report = json.loads(str(output)[str(output).index("{") :])
    for problem in report["generalDiagnostics"]:
        start = problem["range"]["start"] if "range" in problem else {"line": 0, "character": 0}
        file = Path(problem["file"]).relative_to(ROOT)
        rule = problem.get("rule", "syntax")
        print(f"{file}:{start['line'] + 1}:{start['character'] + 1}: {problem['severity']}: {problem['message']} ({rule})")
    summary = report["summary"]
    session.log(f"{summary['filesAnalyzed']} files, {summary['errorCount']} errors, {summary['warningCount']} warnings")
    if summary["errorCount"] or not summary["filesAnalyzed"]:
        session.error("pyright found errors" if summary["errorCount"] else "pyright found no file to check")


@nox.session(reuse_venv=False)
def template(session: nox.Session) -> None:
    """A stranger's plugin: made from the template, installed beside the core and training alone, trained, tested, removed."""
    install(session, *group("template"), only=("artifex-core", "artifex-training"))
    with tempfile.TemporaryDirectory(prefix="artifex-template-") as temporary:
        folder = Path(temporary).resolve() / "stranger-model"
        session.run("copier", "copy", "--quiet", "--defaults", "--data", f"name={folder.name}", "templates/plugin", str(folder))
        before = installed(session)
        session.install(str(folder))
        with session.chdir(folder):
            shows_the_plugin(session, folder.name, expected=True)
            session.run("artifex", "train", "run.yaml", "--output", "run")
            if not Path("run/report.html").is_file():
                session.error("the run has no report.html")
            session.run("artifex", f"{folder.name}-summary", "run")
            session.run("pytest", "-q", "-p", "no:cacheprovider", *session.posargs, env=compilation_cache())
            session.run("uv", "pip", "uninstall", "--quiet", folder.name, external=True)
            shows_the_plugin(session, folder.name, expected=False)
        if left := sorted(installed(session) - before):
            session.error("the plugin is gone and leaves behind " + ", ".join(left))


def installed(session: nox.Session) -> set[str]:
    """All files and folders of the session's environment, but for what Python compiles.

    The folders count because an empty one that is left could still be imported.
    """
    root = Path(session.virtualenv.location)
    return {str(path.relative_to(root)) for path in root.rglob("*") if "__pycache__" not in path.parts}


def shows_the_plugin(session: nox.Session, name: str, *, expected: bool) -> None:
    """Check that ``artifex list`` has the five things that the template registers, or none of them."""
    listed = str(session.run("artifex", "list", silent=True)).split()
    entries = [name, *(f"{name}-{what}" for what in ("nll", "mean-distance", "points", "summary"))]
    wrong = [entry for entry in entries if (entry in listed) is not expected]
    if wrong:
        session.error(f"`artifex list` {'lacks' if expected else 'still shows'} {', '.join(wrong)}")


def install_with_pytorch(session: nox.Session) -> None:
    """Our distributions beside PyTorch, which comes first and through pip: uv would fetch the CUDA libraries too."""
    session.install("torch==2.13.0")
    session.install("--no-deps", "pythae==0.1.2")  # its requirements are dated; what it imports is below
    session.install("--no-deps", "diffusers==0.42.1")  # what its autoencoder imports is in the next line
    session.install("huggingface-hub==2.4.0", "importlib-metadata", "pillow", "regex", "requests", "httpx")
    session.install("transformers==5.24.0")
    session.install("zuko==1.6.0", "nflows==0.14", "normflows==1.7.3", "flowjax==19.1.2")
    session.install("--no-deps", "egnn-pytorch==0.2.8", "invariant-point-attention==0.2.2")  # which import einops alone
    session.install("--no-deps", "fcd==1.2.2")  # ChemNet; what it imports is here already
    meshes = ("libigl>=2.6", "point-cloud-utils>=0.34", "trimesh>=4.6")
    session.install("librosa==0.11.0")  # the last for Python 3.11
    install(session, "cloudpickle", "einops", "imageio", "tqdm", *meshes, *group("tests"))


@nox.session(python="3.11", venv_backend="virtualenv")
def reference(session: nox.Session) -> None:
    """Live comparisons with PyTorch libraries, MOSES, OpenMM and Hugging Face's data sets."""
    install_with_pytorch(session)
    session.install("--no-deps", "molsets==0.3.1")  # its requirements are dated, and what it imports is here already
    session.install("-c", "constraints.txt", "openmm==8.6.1", "datasets==5.2.0")
    apart = "--ignore=packages/artifex-modalities/image"  # reference_images
    session.run("pytest", "-m", "reference", apart, *session.posargs, env=compilation_cache())


@nox.session(python="3.11", venv_backend="virtualenv")
def reference_images(session: nox.Session) -> None:
    """Live comparisons of images' networks and figures. torchvision's operators do not load here, which stops transformers."""
    session.install("torch==2.13.0")
    # their requirements are dated, and what they import is here already
    session.install("--no-deps", "torchvision==0.28.0", "pytorch-fid==0.3.0", "clean-fid==0.1.35", "torch-fidelity==0.4.0")
    session.install("--no-deps", "lpips==0.1.4", "stlpips-pytorch==0.0.2", "prdc==0.2")
    install(session, "requests", "tqdm", *group("tests"))
    session.run("pytest", "-m", "reference", "packages/artifex-modalities/image", *session.posargs, env=compilation_cache())


@nox.session
def oracles(session: nox.Session) -> None:
    """Live comparisons of metrics with libraries whose pins fight ours: SDMetrics and tslearn, beside pandas 2."""
    own = ("artifex-core", "artifex-modalities-tabular", "artifex-modalities-timeseries")
    editable = [part for name in own for part in ("-e", str(DISTRIBUTIONS[name].relative_to(ROOT)))]
    oracle = ("pandas<3", "sdmetrics==0.32.0", "tslearn==0.10.0", "dtaidistance==2.5.1", "statsmodels", "pyarrow")
    session.install("pytest>=9", "scipy", *oracle, *editable)  # without constraints.txt, which has pandas 3
    tests = [str(DISTRIBUTIONS[name].relative_to(ROOT) / "tests") for name in own[1:]]
    session.run("pytest", "-m", "reference", *(session.posargs or tests), env=compilation_cache())


@nox.session(python="3.11", venv_backend="virtualenv")
def bench(session: nox.Session) -> None:
    """Every benchmark, with its defaults; or one with its options: ``nox -s bench -- benchmarks/vae_training.py --quick``."""
    install_with_pytorch(session)
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(Path("benchmarks").glob("*.py"))}
    # what judges a trained run is given its folder by hand
    runnable = (path for path, text in texts.items() if "__main__" in text and 'add_argument("run' not in text)
    for command in [session.posargs] if session.posargs else [[str(path)] for path in runnable]:
        session.run("python", *command)


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities among the versions that are tested (pip-audit). It asks a database of advisories."""
    session.install("pip-audit>=2.9")
    pins = [
        line.partition(" ;")[0] for line in Path("constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
    ]
    newest = {pin.partition("==")[0]: pin for pin in pins}  # several lines where Pythons differ: the last is the newest line's
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("\n".join(newest.values()))
        session.run("pip-audit", "--strict", "--no-deps", "--disable-pip", "--requirement", str(requirements), *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into .cache/site, any warning an error, and run what it shows: doctests, blocks, examples."""
    install(session, *group("docs"), *group("tests"))
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    shown = ("--doctest-modules", "-m", "shown and not nightly")
    session.run("pytest", *workers(session), *shown, *session.posargs, env=compilation_cache())


@nox.session(venv_backend="uv")
def lock(session: nox.Session) -> None:
    """Remake constraints.txt from what the distributions and the tools ask for, for every Python that is supported."""
    inputs = [str((folder / "pyproject.toml").relative_to(ROOT)) for folder in DISTRIBUTIONS.values()]
    groups = [part for name in ("tests", "lint", "types", "build", "template", "docs") for part in ("--group", name)]
    options = ("--universal", "--python-version", PYTHONS[0], "--upgrade", "--no-header", "--no-annotate", "--quiet")
    output = session.run("uv", "pip", "compile", *options, *groups, *inputs, silent=True)
    pins = [line for line in str(output).splitlines() if "==" in line and not line.startswith(("#", "-", "artifex"))]
    head = "# The versions that are tested, for pip and uv alike (-c constraints.txt). Remake with: nox -s lock\n"
    Path("constraints.txt").write_text(head + "\n".join(pins) + "\n")
    session.log(f"{len(pins)} lines")
