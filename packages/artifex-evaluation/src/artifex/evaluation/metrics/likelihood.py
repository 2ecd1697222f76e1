"""What a model says of held-out data: its objective, its log density, its divergence from a known law. Streamed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.core.metrics import MeanOf
from artifex.core.objectives import WeightedMean

__all__ = ["Loss", "divergence", "loss", "mean_log_prob"]


class Loss:
    """The key ``loss`` of a model's ``loss_fn``, example by example: ``sum_k (sum_i t_ik) / (sum_i w_ik)``.

    A loss that depends on a batch as a whole sees batches of one. One that changes during training is that of its end.
    """

    def statistics(self, batch: Mapping[str, Any]) -> Float[Array, "B S"]:
        """Totals, then weights, of the means that the loss is a sum of."""
        model = batch["model"]
        given = {"x": batch["references"], **_beside(batch)}
        taken = inspect.signature(model.__call__).parameters
        any_key = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values())
        extra = {key: value for key, value in given.items() if key != "x" and (key in taken or any_key)}
        if "label" in extra and _is_label(given.get("condition"), given["label"]):
            del extra["condition"]  # one of the two will do
        found = model.loss_fn(given, model(given["x"], rngs=batch["rngs"], **extra))["loss"]
        total, weight = (found.total, found.weight) if isinstance(found, WeightedMean) else (found, jnp.ones(()))
        parts = [jnp.atleast_1d(jnp.asarray(part, jnp.float32)) for part in (total, weight)]
        return jnp.concatenate(parts)[None]

    def finalize(self, total: Any) -> Any:
        """The sum of the means."""
        k = total.shape[-1] // 2
        return (total[..., :k] / total[..., k:]).sum(axis=-1)


def _beside(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside ``x``, as a model's batch calls it."""
    names = {"label": "labels", "mask": "mask", "condition": "condition"}
    return {key: batch[name] for key, name in names.items() if name in batch}


def _is_label(condition: Any, label: Any) -> bool:
    """Whether the condition is the class itself, which metrics get in its place."""
    return condition is not None and (condition.shape, condition.dtype) == (label.shape, label.dtype)


def _divergence(log_prob: Float[Array, "B"], data_log_prob: Float[Array, "B"]) -> Float[Array, "B"]:
    """``log p(x) - log q(x)`` of draws ``x`` from ``p``, whose mean estimates ``KL(p || q)``."""
    return jnp.asarray(data_log_prob) - jnp.asarray(log_prob)


def _log_prob(log_prob: Float[Array, "B"]) -> Float[Array, "B"]:
    """``log q(x)``."""
    return jnp.asarray(log_prob)


loss = Loss()
mean_log_prob = MeanOf(_log_prob)
divergence = MeanOf(_divergence)
