r"""Encoders of several kinds of data into one space, and the loss that brings what belongs together near each other.

    L = 1/2 [CE(s E_m E_n^T, i = j) + CE(s E_n E_m^T, i = j)]  over pairs of parts m < n, s = 1 / temperature

Radford et al. 2021, arXiv:2103.00020 (CLIP, figure 3), for any number of parts, of which examples may lack some.

Shapes: ``B = examples, M = parts, D = elements of all parts, W = width of the space``.
"""

from __future__ import annotations

from itertools import accumulate, combinations
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import MLP
from artifex.core.objectives import WeightedMean
from artifex.modalities.multimodal.fusion import FusionField, GatedFusionConfig, create_fusion

__all__ = ["EncoderPartConfig", "JointEncoder", "JointEncoderConfig", "contrastive_loss"]


@config
class EncoderPartConfig(Config):
    """One part of the vector that is encoded."""

    part: Annotated[str, Field(min_length=1)]
    """What it is called."""
    size: Annotated[int, Field(ge=1)]
    """How many elements it has."""
    hidden_dims: tuple[Annotated[int, Field(ge=1)], ...] = (64,)
    """Width of each hidden layer of its encoder."""


@config
class JointEncoderConfig(Config):
    """Encoders into one space, and how their outputs become one vector."""

    parts: Annotated[tuple[EncoderPartConfig, ...], Field(min_length=1)]
    """In the order in which they stand in `x`."""
    width: Annotated[int, Field(ge=1)] = 32
    """Of the space."""
    fusion: FusionField = GatedFusionConfig()
    """`concatenation`, `attention`, `gated`, `hierarchical`, or a dict of a `kind` and its fields."""
    activation: str = "silu"
    """After each hidden layer."""


class JointEncoder(nnx.Module):
    """Each part through a multilayer perceptron into one space, on its unit sphere.

    >>> parts = [{"part": "image", "size": 6}, {"part": "word", "size": 4}]
    >>> encoder = JointEncoder(JointEncoderConfig.from_dict({"parts": parts, "width": 8}), rngs=nnx.Rngs(0))
    >>> encoder.embed_parts(jnp.ones((3, 10))).shape, encoder(jnp.ones((3, 10))).shape
    ((3, 2, 8), (3, 8))
    """

    def __init__(self, config: JointEncoderConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.encoders = nnx.List(
            [MLP(part.size, part.hidden_dims, config.width, activation=config.activation, rngs=rngs) for part in config.parts]
        )
        self.fusion = create_fusion(config.fusion, len(config.parts), config.width, rngs=rngs)

    def _checked(self, x: Array, mask: Array | None) -> tuple[list[Array], Bool[Array, "B M"]]:
        sizes = [part.size for part in self.config.parts]
        x = jnp.asarray(x)
        if x.ndim != 2 or x.shape[1] != sum(sizes):
            raise InvalidInputError(f"x of shape (batch, {sum(sizes)}) is needed, got {x.shape}")
        mask = jnp.ones(x.shape, bool) if mask is None else jnp.asarray(mask, bool)
        ends = list(accumulate(sizes))[:-1]
        present = jnp.stack([jnp.any(part, axis=1) for part in jnp.split(mask, ends, axis=1)], axis=1)
        return jnp.split(jnp.where(mask, x, jnp.zeros((), x.dtype)), ends, axis=1), present

    def embed_parts(self, x: Float[Array, "B D"], mask: Bool[Array, "B D"] | None = None) -> Float[Array, "B M W"]:
        """Each part in the space, of unit length; zero where it is missing."""
        parts, present = self._checked(x, mask)
        raw = jnp.stack([encoder(part) for encoder, part in zip(self.encoders, parts, strict=True)], axis=1)
        unit = raw * jax.lax.rsqrt(jnp.sum(jnp.square(raw), axis=-1, keepdims=True) + 1e-12)
        return jnp.where(present[..., None], unit, 0.0)

    def __call__(self, x: Float[Array, "B D"], mask: Bool[Array, "B D"] | None = None) -> Float[Array, "B W"]:
        """All that is there as one vector."""
        _, present = self._checked(x, mask)
        return self.fusion(self.embed_parts(x, mask), present)


def contrastive_loss(
    embeddings: Float[Array, "B M W"], present: Bool[Array, "B M"], *, temperature: float = 0.1
) -> WeightedMean:
    """Each part has to find its example's other parts among those of the batch; nats.

    Args:
        embeddings: of unit length.
        present: which parts there are; others neither count nor can be found.
        temperature: of the softmax over the batch.

    >>> far = jnp.eye(3)[:, None].repeat(2, axis=1)
    >>> round(float(contrastive_loss(far, jnp.ones((3, 2), bool)).value), 6)
    9.1e-05
    """
    total, weight = jnp.zeros(()), jnp.zeros(())
    for m, n in combinations(range(embeddings.shape[1]), 2):
        both = present[:, m] & present[:, n]
        one, other = (jnp.where(both[:, None], embeddings[:, i], 0.0) for i in (m, n))
        scores = one @ other.T / temperature
        for table in (scores, scores.T):
            logits = jnp.where(both[None, :], table, -1e30)
            chance = jnp.diagonal(jax.nn.log_softmax(logits, axis=1))
            total -= jnp.sum(jnp.where(both, chance, 0.0))
            weight += jnp.sum(both.astype(jnp.float32))
    return WeightedMean(total, weight)
