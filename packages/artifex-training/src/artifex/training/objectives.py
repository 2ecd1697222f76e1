"""What a model's protocol says is descended: what it declares itself, one objective for most, two for adversarial ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.extensions import ModelExtension
from artifex.core.objectives import Losses, Objective, WeightedMean, weighed
from artifex.core.protocols import AdversarialModelProtocol, Batch, DeclaresObjectives, TrainableGenerativeModelProtocol

__all__ = ["objectives_of"]


def objectives_of(
    model: Any, extensions: Sequence[ModelExtension] = (), *, precision: str | None = None
) -> tuple[Objective, ...]:
    """The objectives that ``model`` declares by its protocol.

    Args:
        model: what is trained.
        extensions: what adds to its outputs and loss.
        precision: what floating inputs of the forward pass are cast to. A ``loss_fn``, the extensions and objectives that a
            model declares see the batch uncast, so that a loss is measured against the data as they are.

    Raises:
        InvalidTypeError: the model follows no protocol of training, extensions are given to one with objectives of its own, or
            an extension holds parameters, which nothing would train.
        InvalidInputError: a declared objective holds on to the model, or two extensions have one name.
    """
    if extensions and isinstance(model, (DeclaresObjectives, AdversarialModelProtocol)):
        raise InvalidTypeError(
            f"{type(model).__name__} has objectives of its own; extensions add to the loss of a model with one loss_fn"
        )
    if isinstance(model, DeclaresObjectives):
        return _declared(model)
    if isinstance(model, AdversarialModelProtocol):
        return (
            Objective(_adversarial_loss("discriminator_objective", precision), "discriminator", "discriminator"),
            Objective(_adversarial_loss("generator_objective", precision), "generator", "generator"),
        )
    if isinstance(model, TrainableGenerativeModelProtocol):
        _check_extensions(extensions)
        return (Objective(_model_loss(type(model), tuple(extensions), precision)),)
    raise InvalidTypeError(
        f"{type(model).__name__} cannot be trained: it needs __call__, generate and loss_fn(batch, outputs), "
        "or generator_objective and discriminator_objective, or objectives(); or pass objectives=(Objective(loss), ...) to the "
        "Trainer"
    )


def _declared(model: DeclaresObjectives) -> tuple[Objective, ...]:
    objectives = tuple(model.objectives())
    for objective in objectives:
        if getattr(objective.loss, "__self__", None) is model:
            method = f"{type(model).__name__}.{getattr(objective.loss, '__name__', 'loss')}"
            raise InvalidInputError(
                f"objective {objective.name!r} descends a method of this very model, whose arrays never change; "
                f"give it the function, which is given the model to use: Objective({method}, ...)"
            )
    return objectives


def _adversarial_loss(method: str, precision: str | None) -> Callable[[Any, Batch, nnx.Rngs, jax.Array], Losses]:
    def loss(model: Any, batch: Batch, rngs: nnx.Rngs, step: jax.Array) -> Losses:
        del step  # neither objective depends on it
        return getattr(model, method)(_cast(batch, precision), rngs=rngs)

    return loss


def _model_loss(
    model_type: type, extensions: tuple[ModelExtension, ...], precision: str | None
) -> Callable[[Any, Batch, nnx.Rngs, jax.Array], Losses]:
    """Forward pass, the model's ``loss_fn``, and the extensions' shares of the loss."""
    takes, loss_takes = _accepts(model_type, "__call__"), _accepts(model_type, "loss_fn")

    def loss(model: Any, batch: Batch, rngs: nnx.Rngs, step: jax.Array) -> Losses:
        if "condition" in batch and not takes("condition"):
            raise InvalidInputError(
                f"the batch has a condition, but {model_type.__name__}.__call__ takes none; "
                "use a conditional model, or leave 'condition' out of the data"
            )
        inputs = _cast(batch, precision)
        conditions = {key: inputs[key] for key in batch if key != "x" and takes(key)}
        outputs = model(inputs["x"], rngs=rngs, **conditions)
        for extension in extensions:
            outputs = {**outputs, **extension.apply(model, batch, outputs)}
        losses = dict(model.loss_fn(batch, outputs, **({"step": step} if loss_takes("step") else {})))
        for extension in extensions:
            terms = extension.compute_loss(batch, outputs)
            losses["loss"] = _sum(losses["loss"], extension.config.weight * terms["loss"], batch)
            losses |= {f"{_label(extension)}/{term}": value for term, value in terms.items()}
        return losses

    return loss


def _sum(a: Any, b: Any, batch: Batch) -> Any:
    """Of two means, each by its own weight."""
    if not isinstance(a, WeightedMean) and not isinstance(b, WeightedMean):
        return a + b
    examples = batch["x"].shape[0]
    return weighed(a, examples) + weighed(b, examples)


def _accepts(model_type: type, method: str) -> Callable[[str], bool]:
    """Whether a method takes an argument of a name, by itself or through ``**kwargs``."""
    parameters = inspect.signature(getattr(model_type, method)).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return lambda name: takes_any or name in parameters


def _cast(batch: Batch, precision: str | None) -> Batch:
    """``batch`` with its floating arrays in ``precision``."""
    if precision is None:
        return batch
    return {key: a.astype(precision) if jnp.issubdtype(a.dtype, jnp.floating) else a for key, a in batch.items()}


def _label(extension: ModelExtension) -> str:
    return extension.config.name or type(extension).__name__


def _check_extensions(extensions: Sequence[ModelExtension]) -> None:
    for extension in extensions:
        if not isinstance(extension, ModelExtension):
            raise InvalidTypeError(
                f"{type(extension).__name__} is no extension: it needs config (an ExtensionConfig), "
                "apply(model, inputs, outputs) and compute_loss(batch, outputs)"
            )
    labels = [_label(extension) for extension in extensions]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise InvalidInputError(f"two extensions are called {twice[0]!r} and would log over each other; give each a name")
    for extension in extensions:
        if isinstance(extension, nnx.Module) and jax.tree.leaves(nnx.state(extension, nnx.Param)):
            raise InvalidTypeError(
                f"extension {_label(extension)} holds parameters, which nothing would train or save; put them into the model"
            )
