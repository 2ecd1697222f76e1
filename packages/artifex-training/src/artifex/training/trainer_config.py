"""What a trainer is told."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.lora import LoRAConfig
from artifex.training.optimizers import OptimizerConfig
from artifex.training.weights import InitFromField

__all__ = ["TrainerConfig"]


@config
class TrainerConfig(Config):
    """How long to train, with what optimiser, and what to do along the way."""

    steps: Annotated[int, Field(ge=1)] | None = None
    """Length of the run in steps; give this or ``epochs``."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Length of the run in passes over the training data."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    """Examples in a step, over all devices together."""
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    """Optimiser of the model's objectives."""
    optimizers: dict[str, OptimizerConfig] = dataclasses.field(default_factory=dict, hash=False)
    """Optimisers of single objectives of a model that has several, by the optimiser's name: the objective's (``generator``),
    unless it descends with another one's."""
    init_from: InitFromField = None
    """Weights to start from: a run folder, a model's folder or a safetensors file, and how its names become this model's. A run
    that is resumed has its own."""
    lora: LoRAConfig | None = None
    """Train low-rank updates of linear layers and leave everything else as it is. A run saves the plain model, updates added;
    the model that was given to the Trainer is adapted when that is made, and :func:`artifex.core.lora.merge_lora` merges it."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay d of a moving average of the parameters, min(d, (1 + t) / (10 + t)) after t moves of them. It serves for
    evaluation, for samples and for the model that a run saves; the model that was given to the Trainer gets the parameters
    themselves."""
    ema_parameters: tuple[str, ...] = ()
    """Parts of the model whose parameters are averaged, by dotted names (``generator``), the others being taken as they are;
    empty for all."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Work through each batch in this many equal parts, adding up their gradients: less memory. It is the same step where the
    loss is a mean over examples, or over what its weights count; what depends on the batch as a whole (batch norm,
    ``|mean KL - C|``) sees a part."""
    precision: Literal["bfloat16"] | None = None
    """Cast parameters and inputs to this for the forward and backward pass, in training and evaluation; ``loss_fn`` sees the
    uncast data, and master copies and updates stay float32. A model whose forward pass measures the data, as a flow's density
    does, is better given a `dtype` of its own: its inputs then stay as they are."""
    remat: tuple[str, ...] = ()
    """Modules that keep only their inputs and compute their activations again in the backward pass, by dotted names in which a
    star stands for one name: ``decoder.layers.*``. Meant for accelerators: XLA undoes it on a CPU."""
    log_every: Annotated[int, Field(ge=1)] = 50
    """Steps between two lines of the log; each holds averages over those steps."""
    evaluate_every: Annotated[int, Field(ge=1)] | None = None
    """Steps between two evaluations on held-out data; by default one an epoch's end."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            given = f"given: steps={self.steps}, epochs={self.epochs}"
            raise ValueError(f"give either steps or epochs and leave the other out, or set it to null ({given})")
        if self.ema_parameters and self.ema_decay is None:
            raise ValueError(f"ema_parameters is {list(self.ema_parameters)}, but nothing is averaged; give an ema_decay too")
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} does not split into accumulate = {self.accumulate} equal parts")

    def total_steps(self, steps_per_epoch: int) -> int:
        """Length of the run in steps."""
        return self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch
