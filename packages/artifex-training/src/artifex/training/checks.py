"""What a trainer refuses, because it could not do what the user must think it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.training.loaders import Loader
from artifex.training.objectives import Objective
from artifex.training.state import Flat
from artifex.training.trainer_config import TrainerConfig

__all__ = ["check_config", "check_loader", "check_objectives", "check_parameters"]


def check_config(config: Any, model: Any, *, shards: int) -> None:
    """Refuse a config that does not suit the model, or a mesh that splits batches into ``shards`` pieces."""
    if not isinstance(config, TrainerConfig):
        raise InvalidTypeError(
            f"Trainer takes a TrainerConfig, got {type(config).__name__}; for example TrainerConfig(steps=1000)"
        )
    if config.batch_size % (shards * config.accumulate):
        raise InvalidInputError(
            f"batch_size {config.batch_size} does not split over {shards} data-parallel devices"
            f"{f' in {config.accumulate} parts' if config.accumulate > 1 else ''}; "
            f"choose a multiple of {shards * config.accumulate}"
        )
    dtype = getattr(getattr(model, "config", None), "dtype", None)
    if config.precision is not None and dtype is not None:
        raise InvalidInputError(
            f"training.precision is {config.precision}, but the model's own dtype is {dtype}, which would undo it; "
            "set one of the two"
        )


def check_objectives(config: TrainerConfig, objectives: Sequence[Objective]) -> None:
    """Refuse an optimiser for an objective that there is not."""
    unknown = config.optimizers.keys() - {o.name for o in objectives}
    if unknown:
        names = ", ".join(repr(o.name) for o in objectives)
        raise InvalidInputError(f"training.optimizers names {sorted(unknown)}, but the model's objectives are {names}")


def check_parameters(params: Flat, model: Any, objectives: Sequence[Objective]) -> None:
    """Refuse parameters too coarse to train, and those that no objective descends."""
    coarse = [name for name, p in params.items() if jnp.issubdtype(p.dtype, jnp.floating) and p.dtype.itemsize < 4]
    if coarse:
        raise InvalidInputError(
            f"parameter {coarse[0]} is {params[coarse[0]].dtype}, too coarse to add small steps to; keep parameters in "
            "float32 (param_dtype) and set training.precision or the model's dtype to compute in less"
        )
    unowned = [name for name in params if not any(objective.owns(name) for objective in objectives)]
    if unowned:
        raise InvalidInputError(
            f"no objective of {type(model).__name__} trains the parameter {unowned[0]}; move it below one of "
            f"{', '.join(o.parameters for o in objectives)}, or freeze it (artifex.core.freeze)"
        )


def check_loader(loader: Loader, config: TrainerConfig) -> None:
    """Refuse a loader whose batches have not the configured size."""
    if loader.batch_size != config.batch_size:
        raise InvalidInputError(
            f"the loader's batches have {loader.batch_size} examples, but the Trainer's batch_size is "
            f"{config.batch_size}; make them equal"
        )
