"""Training: the trainer, optimisers, callbacks, loaders, checkpoints and runs of Artifex."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.objectives import (
        Objective as Objective,
        WeightedMean as WeightedMean,
        weighted_mean as weighted_mean,
    )
    from artifex.training.callbacks import Callback as Callback
    from artifex.training.loaders import (
        ArrayLoader as ArrayLoader,
        BucketLoader as BucketLoader,
        GrainLoader as GrainLoader,
    )
    from artifex.training.optimizers import (
        OptimizerConfig as OptimizerConfig,
        SchedulerConfig as SchedulerConfig,
        make_optimizer as make_optimizer,
    )
    from artifex.training.parameter_groups import ParameterGroup as ParameterGroup
    from artifex.training.run_config import DataConfig as DataConfig, RunConfig as RunConfig, read_run_config as read_run_config
    from artifex.training.runs import Run as Run, build_run as build_run, load_run as load_run
    from artifex.training.trainer import Trainer as Trainer, TrainerConfig as TrainerConfig
    from artifex.training.weights import InitFrom as InitFrom

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ArrayLoader": "artifex.training.loaders",
        "BucketLoader": "artifex.training.loaders",
        "Callback": "artifex.training.callbacks",
        "GrainLoader": "artifex.training.loaders",
        "InitFrom": "artifex.training.weights",
        "Objective": "artifex.core.objectives",
        "OptimizerConfig": "artifex.training.optimizers",
        "ParameterGroup": "artifex.training.parameter_groups",
        "Run": "artifex.training.runs",
        "RunConfig": "artifex.training.run_config",
        "SchedulerConfig": "artifex.training.optimizers",
        "Trainer": "artifex.training.trainer",
        "TrainerConfig": "artifex.training.trainer",
        "WeightedMean": "artifex.core.objectives",
        "DataConfig": "artifex.training.run_config",
        "build_run": "artifex.training.runs",
        "read_run_config": "artifex.training.run_config",
        "load_run": "artifex.training.runs",
        "make_optimizer": "artifex.training.optimizers",
        "weighted_mean": "artifex.core.objectives",
    },
)
