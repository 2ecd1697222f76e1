"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from artifex.core.nn.activations import activation as activation_called

__all__ = ["MLP"]


class MLP(nnx.Module):
    """Multilayer perceptron ``h_i = a(W_i h_{i-1} + b_i)``, the last layer without its activation ``a``.

    The logical axes alternate, ``("embed", "mlp")`` then ``("mlp", "embed")``: under tensor parallelism a pair of layers is
    split by columns, then by rows, and needs one sum over the devices (Shoeybi et al. 2019, "Megatron-LM", arXiv:1909.08053).

    Args:
        in_features: size of the input's last axis.
        hidden_dims: width of each hidden layer; none makes the block one linear map.
        out_features: size of the output's last axis.
        activation: a name that :func:`artifex.core.nn.activation` knows, or a function.
        dtype: computes in this type; ``None`` means the common type of input and parameters.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    >>> MLP(784, (400,), 20, rngs=nnx.Rngs(params=0))(jnp.ones((8, 784))).shape
    (8, 20)
    """

    def __init__(
        self,
        in_features: int,
        hidden_dims: Sequence[int],
        out_features: int,
        *,
        activation: str | Callable[[jax.Array], jax.Array] = "relu",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        self.activation = activation_called(activation) if isinstance(activation, str) else activation
        names = ("embed", "mlp")
        self.layers = nnx.List(
            [
                nnx.Linear(
                    n_in,
                    n_out,
                    kernel_init=nnx.with_metadata(
                        nnx.initializers.lecun_normal(), logical_axes=(names[i % 2], names[(i + 1) % 2])
                    ),
                    bias_init=nnx.with_metadata(nnx.initializers.zeros_init(), logical_axes=(names[(i + 1) % 2],)),
                    dtype=dtype,
                    param_dtype=param_dtype,
                    rngs=rngs,
                )
                for i, (n_in, n_out) in enumerate(pairwise((in_features, *hidden_dims, out_features)))
            ]
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(..., in_features)`` to ``(..., out_features)``."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)
