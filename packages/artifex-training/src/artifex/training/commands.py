"""``artifex train``, ``sample`` and ``report``. What they need of JAX is imported when they run, not for their help."""

from __future__ import annotations

import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from artifex.core.errors import InvalidInputError, RunInUseError

if TYPE_CHECKING:
    from artifex.training.runs import Run


def train(
    run: Annotated[
        str, typer.Argument(help="A preset's name, a run file, or with --resume a run folder.", metavar="NAME|FILE|RUN")
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field: --set training.epochs=5. May be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; by default the next free runs/NAME-N.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run folder.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Show shapes, parameters, memory and the first batch's loss; write nothing.")
    ] = False,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="This is one of several processes that train together (jax.distributed).")
    ] = False,
) -> None:
    """Train a model as a run file or preset says, into a run folder.

    Ctrl-C and SIGTERM end it after the step at hand, with a checkpoint to resume from; the exit code is then 130 or 143.
    """
    if resume and output is not None:
        raise InvalidInputError("--resume goes on in the run's own folder; leave --output out")
    from artifex.training.processes import joined
    from artifex.training.run_config import read_run_config
    from artifex.training.runs import build_run, can_resume, check_folder, new_folder

    if resume:
        if not can_resume(Path(run)):
            raise InvalidInputError(
                f"{run} cannot be resumed: it is no run folder, or its run kept no checkpoint; `artifex train NAME` starts one"
            )
        if not dry and not distributed:
            _check_is_free(Path(run))  # before the long work; it is held from the start of training on
    config = read_run_config(run, settings or ())
    with _exit_code_of_a_signal(), joined(distributed):
        if output is not None and not distributed:
            check_folder(output)  # before the long work; it is made after it
        built = build_run(config)
        for note in built.notes:
            _say(note, err=True)
        if dry:
            from artifex.training.dry_run import dry_run

            _say(str(dry_run(built)))
        elif resume:
            _resume(built, Path(run))
        else:
            existed = output is not None and output.is_dir()
            _start(built, new_folder(config.name, output), existed=existed)


def _check_is_free(folder: Path) -> str:
    """Raise where another process works in ``folder``."""
    from artifex.training.full_disk import explaining_a_full_disk
    from artifex.training.run_lock import hold

    with explaining_a_full_disk(folder), hold(folder):
        return ""


@contextmanager
def _exit_code_of_a_signal() -> Iterator[None]:
    """End as shells have it: with 128 and the signal's number, once all processes have parted."""
    from artifex.training.processes import ended_alike

    try:
        yield
    except KeyboardInterrupt as stop:
        if not ended_alike(stop):
            raise  # the others still wait for this process
        raise typer.Exit(128 + next(iter(stop.args), signal.SIGINT)) from stop


def _say(text: str, *, err: bool = False) -> None:
    """Write to the terminal, in the first process alone."""
    from artifex.training.processes import is_first

    if is_first():
        typer.echo(text, err=err)


def _start(built: Run, folder: Path, *, existed: bool) -> None:
    """Train in a new folder. When not one step could be done, leave nothing behind."""
    from artifex.training.processes import is_first

    _say(f"run folder: {folder}", err=True)
    try:
        _train(built, folder, resume=False)
    except RunInUseError:
        raise  # what is in the folder is the other's
    except BaseException:
        if built.trainer.step == 0 and is_first():
            shutil.rmtree(folder)
            if existed:
                folder.mkdir()
        raise


def _resume(built: Run, folder: Path) -> None:
    from artifex.training.checkpoints import CHECKPOINTS, latest_step
    from artifex.training.processes import ask_first

    if built.is_finished(folder):
        length = "epochs" if built.config.training.steps is None else "steps"
        now = getattr(built.config.training, length)
        longer = f"artifex train --resume {shlex.quote(str(folder))} --set training.{length}={2 * now}"
        _say(f"{folder} is finished ({now} {length}); to train it longer: {longer}")
        return
    ask_first(lambda: _check_is_free(folder))
    if fresh := latest_step(folder / CHECKPOINTS) is None:
        _say(f"{folder} has no checkpoint yet: it starts anew", err=True)
    if note := built.jump(folder):
        _say(note, err=True)
    _train(built, folder, resume=not fresh)


def _train(built: Run, folder: Path, *, resume: bool) -> None:
    from artifex.training.checkpoints import CHECKPOINTS, latest_step

    trainer = built.trainer
    try:
        metrics = built.start(folder, resume=resume)
    except KeyboardInterrupt:
        kept = latest_step(folder / CHECKPOINTS)
        go_on = f"; go on: artifex train --resume {shlex.quote(str(folder))}" if kept else ""
        _say(f"stopped at step {trainer.step}{go_on}", err=True)
        raise
    if trainer.stop_reason is not None:
        _say(f"stopped at step {trainer.step}: {trainer.stop_reason}", err=True)
    figures = [f"{name} {value:.5g}" for name, value in metrics.items() if name.split("/")[-1] == "loss"]
    _say("  ".join([f"done: step {trainer.step}", *figures]))
    best = int(metrics.get("best_step", trainer.step))
    if best != trainer.step:
        _say(f"  the model is that of step {best}, of the best evaluation")
    for what in ("samples", "model"):
        if (folder / what).is_dir():
            _say(f"  {what}: {folder / what}")


def sample(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    n_samples: Annotated[int, typer.Option("--n-samples", "-n", min=1, help="How many.")] = 64,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the draw; by default a fresh one, which is shown."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File or folder; by default RUN/samples. .npy: arrays. Without an ending it gets one, .npy for over 1024.",
        ),
    ] = None,
    prior: Annotated[
        Path | None,
        typer.Option("--prior", metavar="RUN", help="Run folder of the model that draws the latents, where RUN's takes one."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="How many are drawn at a time; other sizes give other samples.")
    ] = 256,
    condition: Annotated[
        str | None,
        typer.Option("--condition", help="What samples are conditioned on: a class (3, or its name) or a vector ([0.5, 1.2])."),
    ] = None,
) -> None:
    """Draw samples from a trained run."""
    import secrets

    from artifex.training.runs import class_names, load_run
    from artifex.training.samples import MOST_TOGETHER, drawn
    from artifex.training.seeds import key_for

    chosen = secrets.randbelow(2**32) if seed is None else seed
    _, model, modality = load_run(run)
    given = {} if prior is None else {"prior": _prior_of(model, prior)}
    draw = partial(
        drawn, model, key=key_for(chosen, "sample"), at_once=batch_size, condition=condition, classes=class_names(run), **given
    )
    default = f"seed_{chosen}"
    target = run / "samples" / default if output is None else output / default if output.is_dir() else output
    ending = target.suffix if target.suffix[1:2].isalpha() else ""  # v1.5 is a name
    as_arrays = modality is None or ending == ".npy" or (not ending and n_samples > MOST_TOGETHER)
    paths = _written(draw, n_samples, None if as_arrays else modality, target, ending, chosen)
    typer.echo(f"{n_samples} samples with seed {chosen}: {', '.join(map(str, paths))}")


def _written(draw: Any, n_samples: int, modality: Any, target: Path, ending: str, seed: int) -> list[Path]:
    """Draw samples and write them to ``target``, which gets an ending where it has none; and their picture, if there is one."""
    import numpy as np

    from artifex.training.full_disk import explaining_a_full_disk
    from artifex.training.samples import draw_samples, save_arrays, save_samples

    if modality is None and ending not in ("", ".npy"):
        _refuse_ending(target, ".npy")
    # under another name until they are whole
    hidden = target.with_name(f".{target.stem}-{seed}")
    path, picture = hidden.with_name(f"{hidden.name}.npy"), None
    try:
        with explaining_a_full_disk(next(folder for folder in target.absolute().parents if folder.is_dir())):
            if modality is None:
                path = save_arrays(draw(n_samples), n_samples, hidden)
            else:
                parts = draw(n_samples)
                first = next(parts)
                path = save_samples(modality, first[:1], hidden)
                if ending not in ("", path.suffix):  # found out before all are drawn
                    _refuse_ending(target, f"{path.suffix} or .npy")
                samples = np.concatenate([first, *parts])
                path, picture = save_samples(modality, samples, hidden), draw_samples(modality, samples, hidden)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    whole = target.with_suffix("") if ending else target
    made = [] if picture is None else [picture.replace(whole.with_name(whole.name + picture.suffix))]
    return [path.replace(whole.with_name(whole.name + (ending or path.suffix))), *made]


def _refuse_ending(target: Path, known: str) -> None:
    raise InvalidInputError(f"--output {target}: samples of this run are written as {known}; give it that ending, or none")


def _prior_of(model: Any, folder: Path) -> Any:
    """The trained model in ``folder``, for ``model.generate`` to draw latents from."""
    import inspect

    from artifex.training.runs import load_run

    if "prior" not in inspect.signature(model.generate).parameters:
        raise InvalidInputError(f"{type(model).__name__} has a prior of its own and takes no other; leave --prior out")
    return load_run(folder)[1]


def report(run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")]) -> None:
    """Make report.html of a run anew: a run that ends makes it by itself, one that goes on or was killed does not."""
    from artifex.training.report import write_report

    typer.echo(str(write_report(run)))
