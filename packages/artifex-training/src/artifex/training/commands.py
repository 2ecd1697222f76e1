"""``artifex train`` and ``artifex sample``. What they need of JAX is imported when they run, not for their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from artifex.core.errors import InvalidInputError


def train(
    run: Annotated[str, typer.Argument(help="A preset's name, a run file, or with --resume a run folder.", metavar="NAME|FILE|RUN")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a field: --set training.steps=1000. May be repeated.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; by default the next free runs/NAME-N.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run folder.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Show shapes, parameters, memory and the first batch's loss; write nothing.")] = False,
) -> None:
    """Train a model as a run file or preset says, into a run folder."""
    if resume and output is not None:
        raise InvalidInputError("--resume goes on in the run's own folder; leave --output out")
    if resume and not (Path(run) / "checkpoints").is_dir():
        raise InvalidInputError(f"{run} cannot be resumed: it is no run folder with checkpoints; `artifex train NAME` starts a run")
    from artifex.training.run_config import read_run_config
    from artifex.training.runs import build_run, new_folder

    config = read_run_config(run, settings or ())
    if output is not None:
        _refuse_unusable(output)
    built = build_run(config)
    for note in built.notes:
        typer.echo(note, err=True)
    if dry:
        from artifex.training.dry_run import dry_run

        typer.echo(str(dry_run(built)))
        return
    folder = Path(run) if resume else new_folder(config.name, output)
    typer.echo(f"run folder: {folder}", err=True)
    metrics = built.start(folder, resume=resume)
    if built.trainer.stop_reason is not None:
        typer.echo(f"stopped at step {built.trainer.step}: {built.trainer.stop_reason}", err=True)
    figures = "  ".join(f"{name} {value:.5g}" for name, value in metrics.items() if name.split("/")[-1] == "loss")
    typer.echo(f"done: step {built.trainer.step}  {figures}\n  {folder / 'samples'}  samples\n  {folder / 'model'}  the model")


def sample(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    n_samples: Annotated[int, typer.Option("--n-samples", "-n", min=1, help="How many.")] = 64,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the draw; by default a fresh one, which is shown.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File without suffix; by default RUN/samples/seed_S.")] = None,
) -> None:
    """Draw samples from a trained run."""
    import secrets

    from flax import nnx

    from artifex.training.runs import load_run
    from artifex.training.samples import save_samples
    from artifex.training.seeds import key_for

    chosen = secrets.randbelow(2**32) if seed is None else seed
    _, model, modality = load_run(run)
    samples = model.generate(n_samples, rngs=nnx.Rngs(key_for(chosen, "sample")))
    path = save_samples(modality, samples, output if output is not None else run / "samples" / f"seed_{chosen}")
    typer.echo(f"{n_samples} samples with seed {chosen}: {path}")


def _refuse_unusable(output: Path) -> None:
    """Find out before the long work whether the folder can be used; :func:`new_folder` checks again when it makes it."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InvalidInputError(f"{output} exists and is not an empty folder; choose another, or go on with its run: artifex train --resume {output}")
