"""A model whose step is little arithmetic and much handing over: many small layers, two parameter arrays each."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx


class ManyArrays(nnx.Module):
    """A residual network ``h <- h + tanh(W h + b) / n``, ``n`` layers of one width, trained to double its input."""

    def __init__(self, layers: int, width: int) -> None:
        rngs = nnx.Rngs(0)
        self.layers = nnx.List([nnx.Linear(width, width, rngs=rngs) for _ in range(layers)])

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> dict[str, jax.Array]:
        del rngs  # nothing is drawn
        h = x
        for layer in self.layers:
            h = h + jnp.tanh(layer(h)) / len(self.layers)
        return {"reconstruction": h}

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        del rngs
        return self(jnp.zeros((n_samples, self.layers[0].in_features)))["reconstruction"]

    def loss_fn(self, batch: Mapping[str, jax.Array], outputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        return {"loss": jnp.mean(jnp.square(outputs["reconstruction"] - 2 * batch["x"]))}
