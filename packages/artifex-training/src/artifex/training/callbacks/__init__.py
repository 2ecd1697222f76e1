"""Callbacks: what happens along the way of training. One a file, each a config and a class that is built from it."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.training.callbacks.base import Callback as Callback
    from artifex.training.callbacks.checkpoint import Checkpoint as Checkpoint
    from artifex.training.callbacks.checkpoint import CheckpointConfig as CheckpointConfig
    from artifex.training.callbacks.early_stop import EarlyStop as EarlyStop
    from artifex.training.callbacks.early_stop import EarlyStopConfig as EarlyStopConfig
    from artifex.training.callbacks.metrics_file import MetricsFile as MetricsFile
    from artifex.training.callbacks.metrics_file import MetricsFileConfig as MetricsFileConfig
    from artifex.training.callbacks.mlflow import MLflow as MLflow
    from artifex.training.callbacks.mlflow import MLflowConfig as MLflowConfig
    from artifex.training.callbacks.progress import Progress as Progress
    from artifex.training.callbacks.progress import ProgressConfig as ProgressConfig
    from artifex.training.callbacks.sample_grid import SampleGrid as SampleGrid
    from artifex.training.callbacks.sample_grid import SampleGridConfig as SampleGridConfig
    from artifex.training.callbacks.tensorboard import TensorBoard as TensorBoard
    from artifex.training.callbacks.tensorboard import TensorBoardConfig as TensorBoardConfig
    from artifex.training.callbacks.wandb import Wandb as Wandb
    from artifex.training.callbacks.wandb import WandbConfig as WandbConfig

_FILES = {
    "checkpoint": "Checkpoint",
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
