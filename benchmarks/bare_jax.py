"""The yardstick of the trainer: one `jax.jit` step on an NNX model's pure state, and nothing else.

The optimiser's state is donated, and comes back first, so that its memory is used for itself. Donated parameters would be
copied where a backward pass uses them again, on CPUs.
"""

from __future__ import annotations

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from rounds import Run

from artifex.core.objectives import value_of


def bare_loop(model: nnx.Module, x: np.ndarray, optimizer: optax.GradientTransformation) -> Run:
    """``run(steps)`` on one batch ``x`` that stays on the devices, split over as many as there are."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    replicated, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    # a copy of the model's arrays: the step's donation must not take them away from the caller
    params, rest = jax.device_put(jax.tree.map(jax.numpy.copy, (nnx.as_pure(params), nnx.as_pure(rest))), replicated)
    state = jax.jit(optimizer.init, out_shardings=replicated)(params), params, rest
    batch = {"x": jax.device_put(x, split)}

    def loss_of(params: object, rest: object, batch: dict[str, jax.Array]) -> tuple[jax.Array, object]:
        merged = nnx.merge(graphdef, params, rest)
        loss = value_of(merged.loss_fn(batch, merged(batch["x"]))["loss"])
        return loss, nnx.as_pure(nnx.state(merged, nnx.Not(nnx.Param)))

    def step(moments: object, params: object, rest: object, batch: dict[str, jax.Array]) -> tuple[tuple, jax.Array]:
        # the loss is returned: a loop that shows nobody its loss lets XLA leave out the work of computing it
        (loss, rest), grads = jax.value_and_grad(loss_of, has_aux=True)(params, rest, batch)
        updates, moments = optimizer.update(grads, moments, params)
        return (moments, optax.apply_updates(params, updates), rest), loss

    compiled = jax.jit(step, donate_argnums=0)

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state, loss = compiled(*state, batch)
        jax.block_until_ready((state, loss))

    return run
