"""What is descended: one objective for most models, two alternating ones for adversarial models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx

from artifex.core.errors import InvalidTypeError
from artifex.core.extensions import ModelExtension
from artifex.core.protocols import AdversarialModelProtocol, Batch, TrainableGenerativeModelProtocol

__all__ = ["Losses", "Objective", "objectives_of"]

Losses = dict[str, jax.Array]
"""Scalars by name, ``"loss"`` among them."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss and the parameters that descend it.

    A training step goes through a model's objectives in order, each with an optimiser of its own; later ones see the parameters
    that earlier ones have just moved.
    """

    loss: Callable[[Any, Batch, nnx.Rngs, jax.Array], Losses]
    """``loss(model, batch, rngs, step)``: pure, inside the compiled step."""
    name: str = ""
    """Prefix of its figures in logs; empty for a model's only objective."""
    parameters: str = ""
    """Attribute of the model below which its parameters lie (``generator``); empty for all of them."""
    every: int = 1
    """It descends at each ``every``-th step."""

    def owns(self, key: str) -> bool:
        """Whether the parameter with the dotted ``key`` is among this objective's."""
        return not self.parameters or key == self.parameters or key.startswith(f"{self.parameters}.")


def objectives_of(model: Any, extensions: Sequence[ModelExtension] = ()) -> tuple[Objective, ...]:
    """The objectives that ``model`` declares by its protocol.

    Raises:
        InvalidTypeError: the model follows neither protocol, or extensions are given to an adversarial model.
    """
    if isinstance(model, AdversarialModelProtocol):
        if extensions:
            raise InvalidTypeError(f"{type(model).__name__} has two objectives; extensions add to the loss of a model with one")
        return (
            Objective(lambda m, b, rngs, _: m.discriminator_objective(b, rngs=rngs), "discriminator", "discriminator"),
            Objective(lambda m, b, rngs, _: m.generator_objective(b, rngs=rngs), "generator", "generator"),
        )
    if isinstance(model, TrainableGenerativeModelProtocol):
        return (Objective(_model_loss(type(model), tuple(extensions))),)
    raise InvalidTypeError(
        f"{type(model).__name__} cannot be trained: it needs __call__, generate and loss_fn(batch, outputs), "
        "or generator_objective and discriminator_objective; or pass objectives=(Objective(loss), ...) to the Trainer"
    )


def _model_loss(
    model_type: type, extensions: tuple[ModelExtension, ...]
) -> Callable[[Any, Batch, nnx.Rngs, jax.Array], Losses]:
    """Forward pass, the model's ``loss_fn``, and the extensions' shares of the loss."""
    call_accepts = inspect.signature(model_type.__call__).parameters
    loss_accepts = inspect.signature(model_type.loss_fn).parameters

    def loss(model: Any, batch: Batch, rngs: nnx.Rngs, step: jax.Array) -> Losses:
        conditions = {key: batch[key] for key in batch if key != "x" and key in call_accepts}
        outputs = model(batch["x"], rngs=rngs, **conditions)
        for extension in extensions:
            outputs = {**outputs, **extension.apply(model, batch, outputs)}
        losses = dict(model.loss_fn(batch, outputs, **({"step": step} if "step" in loss_accepts else {})))
        for extension in extensions:
            terms = extension.compute_loss(batch, outputs)
            losses["loss"] = losses["loss"] + extension.config.weight * terms["loss"]
            name = extension.config.name or type(extension).__name__
            losses |= {f"{name}/{term}": value for term, value in terms.items()}
        return losses

    return loss
