"""What artifex-training registers."""

from artifex.core.plugins import CallbackEntry, CommandEntry, ComponentEntry, hookimpl

ARTIFEX_API = (1, 1)

_CALLBACKS = {
    "checkpoint": ("Checkpoint", "Checkpoints of the whole training state, in the background."),
    "collapse": ("Collapse", "A warning when an adversarial run collapses, with what was seen."),
    "early_stop": ("EarlyStop", "Ends the run when a figure no longer improves."),
    "metrics_file": ("MetricsFile", "metrics.jsonl, one JSON object a line."),
    "mlflow": ("MLflow", "Figures to MLflow (extra: mlflow)."),
    "progress": ("Progress", "Progress on the terminal."),
    "sample_grid": ("SampleGrid", "Samples to look at, along the way."),
    "tensorboard": ("TensorBoard", "TensorBoard events."),
    "wandb": ("Wandb", "Figures to Weights & Biases (extra: wandb)."),
}


@hookimpl
def artifex_callbacks():
    return [
        CallbackEntry(
            name=name,
            callback=f"artifex.training.callbacks.{name}:{cls}",
            config=f"artifex.training.callbacks.{name}:{cls}Config",
            summary=summary,
        )
        for name, (cls, summary) in _CALLBACKS.items()
    ]


@hookimpl
def artifex_commands():
    return [
        CommandEntry(name="train", target="artifex.training.commands:train", summary="Train a model into a run folder."),
        CommandEntry(name="report", target="artifex.training.commands:report", summary="Make report.html of a run."),
        CommandEntry(name="sample", target="artifex.training.commands:sample", summary="Draw samples from a trained run."),
    ]


@hookimpl
def artifex_components():
    home = "artifex.training.unfinished"
    return [
        ComponentEntry(
            slot="run_model",
            name="newest_checkpoint",
            component=f"{home}:NewestCheckpoint",
            config=f"{home}:NewestCheckpointConfig",
            summary="The model of a run that goes on or was cut off, from its newest checkpoint.",
        )
    ]
