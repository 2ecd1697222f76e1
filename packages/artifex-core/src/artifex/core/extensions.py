"""Extensions: what reads a model's outputs during training and may add to its outputs and its loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import jax

from artifex.core.config import Config, config
from artifex.core.protocols import Batch

if TYPE_CHECKING:
    from artifex.core.objectives import Losses

__all__ = ["ExtensionConfig", "ModelExtension"]


@config
class ExtensionConfig(Config):
    """Base of extension configs."""

    weight: float = 1.0
    """Factor of the extension's loss in the total."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight is {self.weight}; a loss's weight is a finite number, zero or more")


@runtime_checkable
class ModelExtension(Protocol):
    r"""An extension of a model, built as ``extension(config)``.

    The trainer calls :meth:`apply` after the model, merges what it returns into the outputs, and adds
    ``config.weight * compute_loss(...)["loss"]`` to the model's own loss.
    """

    config: ExtensionConfig

    def apply(self, model: Any, inputs: Batch, outputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """Further outputs, from the batch and what the model made of it. Pure: it runs inside the compiled step."""
        ...

    def compute_loss(self, batch: Batch, outputs: Mapping[str, jax.Array]) -> Losses:
        """Scalars, among them ``"loss"``: means over the examples, or :class:`~artifex.core.objectives.WeightedMean`.

        What it weighs need not be what the model's loss weighs: each is a mean by its own weight.
        """
        ...
