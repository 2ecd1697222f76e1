"""``artifex evaluate``, ``benchmark``, ``compare`` and ``history``. What they need of JAX is imported when they run.

Exit codes: 0 all is well, 1 a regression and nothing else, 2 a mistake of the user's, 3 a metric failed and the others are
shown, 70 a fault of ours.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artifex.core.errors import InvalidInputError

if TYPE_CHECKING:
    from artifex.evaluation.regression import Change
    from artifex.evaluation.results import EvaluationResult
    from artifex.evaluation.store import Record
    from artifex.evaluation.subjects import Subject

REGRESSION, FAILED = 1, 3

Metrics = Annotated[list[str] | None, typer.Option("--metrics", "-m", help="Metrics by name, with commas or repeated.")]
Junit = Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit's XML, too.")]
Github = Annotated[bool, typer.Option("--github", help="Print annotations for GitHub's log.")]
Extractor = Annotated[
    list[str] | None,
    typer.Option("--extractor", help="Change a field of an extractor of features: --extractor inception.weights=FILE."),
]
Samples = Annotated[int | None, typer.Option("--n-samples", "-n", min=1, help="Samples drawn.")]


def evaluate(
    subject: Annotated[Path, typer.Argument(help="A run's folder, or a model's.", metavar="RUN|MODEL_FOLDER")],
    data: Annotated[
        str | None, typer.Option("--data", help="Instead of the run's: .npy, .npz, a YAML file, a preset, a run's folder.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split of the references; test where there is one.")] = None,
    metrics: Metrics = None,
    baseline: Annotated[Path | None, typer.Option("--baseline", metavar="RUN", help="Tell regressions from this run.")] = None,
    n_samples: Samples = None,
    n_references: Annotated[int | None, typer.Option("--n-references", min=1, help="References taken, the first ones.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Examples at a time.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Of samples and noise; by default the run's.")] = None,
    extractor: Extractor = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Threads for metrics of host objects: molecules, texts, tables.")
    ] = 1,
    why: Annotated[bool, typer.Option("--why", help="Say of each other metric why it does not apply.")] = False,
    junit: Junit = None,
    github: Github = False,
) -> None:
    """Measure a run or a model: every metric that applies, with intervals.

    Killed and started again, it goes on where it was. Results are appended to RUN/evaluations.jsonl, the report is
    RUN/evaluation.html.
    """
    from artifex.evaluation.pipeline import EvaluationPipeline
    from artifex.evaluation.store import write_results
    from artifex.evaluation.subjects import read_subject

    known = None if baseline is None else _known(baseline)  # before the long work, and before this run's own line is written
    found = read_subject(subject, data=data, split=split)
    if found.step is not None:
        typer.echo(f"{subject} has no model yet: its checkpoint of step {found.step} is measured", err=True)
    changed = {"n_samples": n_samples, "n_references": n_references, "batch_size": batch_size}
    config = found.evaluation.replace(**{key: value for key, value in changed.items() if value is not None})
    chosen_seed = found.seed if seed is None else seed
    columns = subject / "evaluation" / "columns"
    pipeline = EvaluationPipeline(
        config,
        seed=chosen_seed,
        folder=columns,
        progress=_progress(),
        mesh=_all_devices(),
        workers=workers,
        extractors=_extractors(extractor, _names(metrics) or config.metrics),
    )
    of = found.dataset
    result = pipeline.evaluate(
        found.model,
        of.data,
        of.modality,
        metrics=_names(metrics),
        holdout=of.holdout,
        training=of.train,
        density=of.density,
        name=found.name,
        data_name=of.name,
    )
    _tell_training(subject)
    typer.echo(result.table())
    for reason, names in result.reasons().items() if why else ():
        typer.echo(f"does not apply, {reason}: {', '.join(names)}")
    write_results(subject, result)  # which a full disk prevents, once the figures are shown
    changes = [] if known is None else _changes(*known, result, baseline)
    for change in changes:
        typer.echo(str(change))
    slower = known is not None and _tell_timing(known[1], result)
    typer.echo(f"report: {_report(subject, found, pipeline, result, changes)}", err=True)
    _end([result], changes, junit, github, slower=slower)


def _report(folder: Path, found: Subject, pipeline: Any, result: EvaluationResult, changes: Sequence[Change]) -> Path:
    from artifex.evaluation.report import write_evaluation

    of = found.dataset
    material = pipeline.material(found.model, of.data, of.modality, holdout=of.holdout, training=of.train, density=of.density)
    train = None if of.train is None else pipeline.material(None, of.train, of.modality)
    return write_evaluation(folder, result, material, train=train, changes=changes)


def _tell_training(folder: Path) -> None:
    """The last figures of the run's own evaluation, where it has any."""
    import json

    file = folder / "metrics.jsonl"
    for line in reversed(file.read_text(encoding="utf-8").splitlines() if file.is_file() else []):
        fields = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
        if figures := {k: v for k, v in fields.items() if k.startswith("eval/") and isinstance(v, int | float)}:
            shown = "  ".join(f"{name} {value:.5g}" for name, value in figures.items())
            typer.echo(f"in training, at step {fields.get('step')}: {shown}")
            return


def benchmark(
    suite: Annotated[str, typer.Argument(help="A registered suite, or a YAML file.", metavar="SUITE")],
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Run folders, each measured on the task whose data set it was trained on; TASK=FOLDER to say which.",
            metavar="[MODELS]...",
        ),
    ] = None,
    metrics: Metrics = None,
    extractor: Extractor = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of results; by default benchmarks/SUITE.")
    ] = None,
    junit: Junit = None,
    github: Github = False,
) -> None:
    """Measure models on a suite of data sets. Without models: its training data, in the place of a perfect model's samples."""
    from artifex.evaluation.report import write_comparison
    from artifex.evaluation.store import write_results
    from artifex.evaluation.suites import BenchmarkSuite, ComparisonResult, read_suite
    from artifex.evaluation.suites.running import measured_runs, measured_training_data

    names = _names(metrics)
    config = read_suite(suite)
    folder = output or Path("benchmarks") / (config.name or "suite")
    chosen = BenchmarkSuite(config, folder=folder, progress=_progress(), extractors=_extractors(extractor, names))
    found = measured_runs(chosen, models, names) if models else measured_training_data(chosen, names)
    comparison = ComparisonResult(found)
    for tasks in found.values():
        for task, result in tasks.items():
            homes = {folder / task: result} | {folder / task / f"seed-{n}": part for n, part in result.by_seed.items()}
            for home, part in homes.items():
                home.mkdir(parents=True, exist_ok=True)
                write_results(home, part)
    typer.echo(comparison.table())
    typer.echo(f"report: {write_comparison(folder / 'comparison.html', comparison)}", err=True)
    _end([result for tasks in found.values() for result in tasks.values()], [], junit, github)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of evaluated runs, the baseline first.", metavar="A B...")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Page to write; by default comparison.html.")] = None,
    junit: Junit = None,
    github: Github = False,
) -> None:
    """Compare the results of runs, and tell which changes from the first are real."""
    from artifex.evaluation.report import write_comparison
    from artifex.evaluation.store import latest_result
    from artifex.evaluation.suites import ComparisonResult

    if len(runs) < 2:
        raise InvalidInputError("two runs at least are compared: artifex compare A B")
    results = {str(run): latest_result(run) for run in runs}
    comparison = ComparisonResult({name: {"": result} for name, result in results.items()})
    known = _known(runs[0])
    changes = {name: _changes(*known, result, runs[0]) for name, result in list(results.items())[1:]}
    typer.echo(comparison.table())
    for name, found in changes.items():
        typer.echo(f"\n{name}")
        for change in found:
            typer.echo(f"  {change}")
    typer.echo(f"report: {write_comparison(output or Path('comparison.html'), comparison, changes)}", err=True)
    _end(list(results.values())[1:], [change for found in changes.values() for change in found], junit, github)


def history(
    metric: Annotated[str, typer.Argument(help="A metric's name.", metavar="METRIC")],
    runs: Annotated[Path, typer.Option("--runs", help="Folder below which the runs lie.")] = Path("runs"),
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Page with a plot to write.")] = None,
) -> None:
    """Show a metric over all runs, oldest first, with a plot."""
    from artifex.evaluation.report import write_history
    from artifex.evaluation.store import ResultIndex

    index = ResultIndex(runs)
    rows = index.history(metric)
    if not rows:
        known = ", ".join(index.metrics()) or "nothing: `artifex evaluate RUN` comes first"
        raise InvalidInputError(f"no run below {runs} has a figure of {metric!r}; there is {known}")
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["time"]))
        shown = "nan" if row["value"] is None else f"{row['value']:.5g}"
        interval = "" if row["low"] is None else f"[{row['low']:.5g}, {row['high']:.5g}]"
        typer.echo(f"{when}  {row['run']}  {shown}  {interval}".rstrip())
    typer.echo(f"report: {write_history(output or runs / f'history-{metric}.html', metric, rows)}", err=True)


def _names(metrics: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(name.strip() for given in metrics or () for name in given.split(",") if name.strip())


def _extractors(settings: Sequence[str] | None, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``NAME.FIELD=VALUE`` settings as nested fields; values are read as YAML."""
    from artifex.core import plugins
    from artifex.core.yamlio import load_yaml

    found: dict[str, dict[str, Any]] = {}
    for setting in settings or ():
        path, equals, value = setting.partition("=")
        name, dot, field = path.strip().partition(".")
        if not (equals and dot and name and field):
            raise InvalidInputError(f"--extractor {setting!r} cannot be read; write it as --extractor inception.weights=FILE")
        found.setdefault(name, {})[field] = load_yaml(value, source=f"the value of --extractor {setting!r}")
    registry = plugins.registry()
    compared = {registry.get("metric", name).features for name in metrics or registry.names("metric")}
    for name in found.keys() & set(registry.kinds_with_config("feature_extractor")) - compared:
        of = f"of {', '.join(metrics)}" if metrics else "that is installed"
        raise InvalidInputError(f"--extractor {name}: no metric {of} compares features of {name!r}")
    return found


def _known(folder: Path) -> tuple[EvaluationResult, list[Record]]:
    """The newest figures of a baseline, and all of them."""
    from artifex.evaluation.store import latest_result, read_records

    return latest_result(folder), read_records(folder)


def _changes(before: EvaluationResult, records: Sequence[Record], now: EvaluationResult, folder: Path | None) -> list[Change]:
    """Changes since ``before``, whose folder's figures of equal signature are the history."""
    from artifex.evaluation.regression import compare_results

    if now.metrics and not before.keys() & now.keys():  # a gate that compares nothing would let everything through
        raise InvalidInputError(
            f"nothing can be compared: {folder} has no figure of {', '.join(now)}; it has {', '.join(before)}. "
            "The figures are kept"
        )
    if missing := [name for name in now if name not in before]:
        typer.echo(f"{folder} has no figure of {', '.join(missing)}: not compared", err=True)
    history = {
        name: [r.result.value for r in records if r.result.name == name and r.result.signature == before[name].signature]
        for name in before
    }
    return compare_results(before, now, history=history)


def _tell_timing(records: Sequence[Record], result: EvaluationResult) -> bool:
    """Say how long a sample takes beside the baseline's; whether that is a regression, which needs the same machine."""
    from artifex.evaluation.regression import compare_timings
    from artifex.evaluation.store import machine

    timed = {r.evaluation: r for r in records if math.isfinite(r.seconds_per_sample)}
    if not timed or not math.isfinite(result.seconds_per_sample):
        return False
    same = [r.seconds_per_sample for r in timed.values() if r.machine == machine()]
    before = same or [r.seconds_per_sample for r in timed.values()]
    slower, said = compare_timings(before, result.seconds_per_sample, same_machine=bool(same))
    typer.echo(f"a sample takes {said}")
    return slower


def _end(
    results: Sequence[EvaluationResult],
    changes: Sequence[Change],
    junit: Path | None,
    github: bool,
    *,
    slower: bool = False,
) -> None:
    """Write for machines, and end with the code that says how it went."""
    from artifex.evaluation.ci import github_annotations, write_junit

    if junit is not None:
        write_junit(junit, results, changes)
    for line in github_annotations(results, changes) if github else ():
        typer.echo(line)
    if slower or any(change.regression for change in changes):
        raise typer.Exit(REGRESSION)
    if not all(result.ok for result in results):
        raise typer.Exit(FAILED)


def _all_devices() -> Any:
    """A mesh of all devices, where there are several."""
    import jax
    import numpy as np

    devices = jax.devices()
    return jax.sharding.Mesh(np.array(devices), ("data",)) if len(devices) > 1 else None


def _progress() -> Callable[[str, float], None] | None:
    """A line on the terminal that is written over, with the time left; nothing where standard error is a file."""
    if not sys.stderr.isatty():
        return None
    started = time.monotonic()

    def told(name: str, part: float) -> None:
        passed = time.monotonic() - started
        left = passed * (1 - part) / part if part > 0 else 0.0
        end = "\n" if part >= 1 else ""
        print(f"\r\x1b[K{part:4.0%}  {name}  {left:.0f} s left", end=end, file=sys.stderr, flush=True)

    return told
