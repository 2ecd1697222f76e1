"""Callbacks: what happens along the way of training. One a file, each a config and a class that is built from it."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.training.callbacks.base import Callback as Callback
    from artifex.training.callbacks.checkpoint import Checkpoint as Checkpoint, CheckpointConfig as CheckpointConfig
    from artifex.training.callbacks.collapse import Collapse as Collapse, CollapseConfig as CollapseConfig
    from artifex.training.callbacks.early_stop import EarlyStop as EarlyStop, EarlyStopConfig as EarlyStopConfig
    from artifex.training.callbacks.metrics_file import MetricsFile as MetricsFile, MetricsFileConfig as MetricsFileConfig
    from artifex.training.callbacks.mlflow import MLflow as MLflow, MLflowConfig as MLflowConfig
    from artifex.training.callbacks.progress import Progress as Progress, ProgressConfig as ProgressConfig
    from artifex.training.callbacks.sample_grid import SampleGrid as SampleGrid, SampleGridConfig as SampleGridConfig
    from artifex.training.callbacks.tensorboard import TensorBoard as TensorBoard, TensorBoardConfig as TensorBoardConfig
    from artifex.training.callbacks.wandb import Wandb as Wandb, WandbConfig as WandbConfig

_FILES = {
    "checkpoint": "Checkpoint",
    "collapse": "Collapse",
    "early_stop": "EarlyStop",
    "metrics_file": "MetricsFile",
    "mlflow": "MLflow",
    "progress": "Progress",
    "sample_grid": "SampleGrid",
    "tensorboard": "TensorBoard",
    "wandb": "Wandb",
}
_NAMES = {"Callback": f"{__name__}.base"}
for _file, _name in _FILES.items():
    _NAMES |= {_name: f"{__name__}.{_file}", f"{_name}Config": f"{__name__}.{_file}"}

__getattr__, __dir__, __all__ = _lazy.attach(__name__, _NAMES)
