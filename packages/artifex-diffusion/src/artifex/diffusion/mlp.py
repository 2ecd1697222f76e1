r"""A multilayer perceptron for vectors, told time and condition at every layer.

    h_0 = W_in x,   h_i = h_{i-1} + W_2 a(W_1 n(h_{i-1}) + W_t e),   F = W_out n(h)        n: layer norm, a: activation

with ``e`` the embedding of time, plus that of the class or the vector that examples are conditioned on. Residual blocks after
Gorishniy et al. 2021 (arXiv:2106.11959), section 3.2.

Shapes: ``B = batch, D = elements of an example, C = width of the condition``.
"""

from __future__ import annotations

from typing import Annotated, Any

from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import activation as activation_named
from artifex.diffusion.layers import ZEROS, ClassEmbedding, TimeEmbedding, layer_norm, linear
from artifex.diffusion.networks import BackboneConfig, PositiveInt

__all__ = ["MLPBackbone", "MLPBackboneConfig"]


@config
class MLPBackboneConfig(BackboneConfig):
    """A network for vectors.

    Example:
        >>> MLPBackboneConfig(hidden_dims=[64, 64], condition_dim=3).condition_shape
        (3,)
    """

    hidden_dims: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 128, 128)
    """Hidden width of each residual block; the first is the width of what they add to."""
    activation: str = "silu"
    """Name of the nonlinearity."""
    time_dim: Annotated[int, Field(gt=0, multiple_of=2)] = 64
    """Waves that time is embedded in."""
    condition_dim: PositiveInt | None = None
    """Width of the vector that examples are conditioned on; None for none."""

    def __post_init__(self) -> None:
        activation_named(self.activation)
        if self.num_classes is not None and self.condition_dim is not None:
            raise ValueError(
                f"num_classes={self.num_classes} and condition_dim={self.condition_dim}: examples have one condition; "
                "leave one of them out"
            )

    @property
    def condition_shape(self) -> tuple[int | None, ...] | None:
        """``()`` for a class, ``(C,)`` for a vector, None for no condition."""
        if self.condition_dim is not None:
            return (self.condition_dim,)
        return None if self.num_classes is None else ()

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Vectors ``(D,)``."""
        if len(shape) != 1:
            raise ValueError(f"the backbone MLPBackboneConfig takes vectors, (elements,), but input_shape is {shape}")


class MLPBackbone(nnx.Module):
    """``F(x, t, condition)`` of vectors.

    Example:
        >>> import jax.numpy as jnp
        >>> net = MLPBackbone(MLPBackboneConfig(hidden_dims=(16, 16)), (2,), rngs=nnx.Rngs(0))
        >>> net(jnp.ones((5, 2)), jnp.zeros(5)).shape
        (5, 2)
    """

    def __init__(
        self,
        config: MLPBackboneConfig,
        shape: tuple[int, ...],
        *,
        with_null: bool = False,
        dtype: Any = None,
        param_dtype: Any = "float32",
        rngs: nnx.Rngs,
    ):
        try:
            config.check_shape(shape)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error
        kinds: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        width, embedding = config.hidden_dims[0], config.hidden_dims[0]
        self.config, self.shape = config, shape
        self.time = TimeEmbedding(config.time_dim, embedding, **kinds)
        classes = config.num_classes
        self.classes = None if classes is None else ClassEmbedding(classes, embedding, with_null=with_null, **kinds)
        self.vector = None if config.condition_dim is None else linear(config.condition_dim, embedding, **kinds)
        self.stem = linear(shape[0], width, (None, "embed"), **kinds)
        self.blocks = nnx.List([MLPBlock(config, width, hidden, **kinds) for hidden in config.hidden_dims])
        self.norm = layer_norm(width, **kinds)
        self.head = linear(width, shape[0], ("embed", None), kernel_init=ZEROS, **kinds)

    def __call__(self, x: Float[Array, "B D"], t: Float[Array, "B"], condition: Array | None = None) -> Float[Array, "B D"]:
        """Of the shape of ``x``; ``condition`` is classes ``(B,)`` or vectors ``(B, C)``."""
        embedding = self.time(t)
        tell = self.classes if self.vector is None else self.vector
        if tell is not None and condition is not None:
            embedding = embedding + tell(condition)
        h = self.stem(x)
        for block in self.blocks:
            h = block(h, embedding)
        return self.head(self.norm(h))


class MLPBlock(nnx.Module):
    """``h + W_2 a(W_1 n(h) + W_t e)``."""

    def __init__(self, config: MLPBackboneConfig, width: int, hidden: int, **kinds: Any):
        self.activation = activation_named(config.activation)
        self.norm = layer_norm(width, **kinds)
        self.first = linear(width, hidden, **kinds)
        self.time = linear(width, hidden, use_bias=False, **kinds)
        self.second = linear(hidden, width, ("mlp", "embed"), **kinds)

    def __call__(self, h: Float[Array, "B W"], embedding: Float[Array, "B W"]) -> Float[Array, "B W"]:
        return h + self.second(self.activation(self.first(self.norm(h)) + self.time(embedding)))
