r"""Four ways of making one vector of several parts, any of which may be missing; all with one interface.

    concatenation  W [e_1 ... e_M], a learned vector in the place of a part that is missing
    attention      parts attend to each other and to a summary, whose output it is       Vaswani et al. 2017, arXiv:1706.03762
    gated          sum_m g_m tanh(W_m e_m),  g = softmax_m(v_m . [e_1 ... e_M])            Arevalo et al. 2017, arXiv:1702.01992
    hierarchical   gated within groups of parts, then gated among the groups

``fusion(embeddings, present)`` takes embeddings ``(B, M, W)`` and which of them count, ``(B, M)``, and gives ``(B, W)``. What
stands in a missing place, NaN included, changes nothing. A stranger's way plugs in as ours do: a :class:`FusionConfig`, a
class with this interface, and a ``ComponentEntry(slot="fusion", ...)``.

Shapes: ``B = examples, M = parts, W = width, H = heads``.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.core.errors import InvalidInputError

__all__ = [
    "AttentionFusion",
    "AttentionFusionConfig",
    "ConcatenationFusion",
    "ConcatenationFusionConfig",
    "FusionConfig",
    "FusionField",
    "GatedFusion",
    "GatedFusionConfig",
    "HierarchicalFusion",
    "HierarchicalFusionConfig",
    "create_fusion",
]


@config
class FusionConfig(Config):
    """Base of the configs of ways to fuse; the registered name is the ``kind`` under ``fusion``."""


FusionField = Annotated[FusionConfig, Registered("fusion")]


def create_fusion(config: FusionConfig, n_parts: int, width: int, *, rngs: nnx.Rngs) -> Any:
    """The module that ``config`` describes, found in the registry."""
    return plugins.resolve(plugins.registry().entry_of_config("fusion", type(config)).component)(
        config, n_parts, width, rngs=rngs
    )


def _present_only(embeddings: Array, present: Array, n_parts: int, width: int) -> tuple[Array, Array]:
    """Embeddings with zeros where nothing is, once their shape is known to fit."""
    embeddings, present = jnp.asarray(embeddings), jnp.asarray(present, bool)
    if embeddings.shape[1:] != (n_parts, width) or present.shape != embeddings.shape[:2]:
        raise InvalidInputError(
            f"embeddings (batch, {n_parts}, {width}) and booleans (batch, {n_parts}) are needed; got {embeddings.shape} and "
            f"{present.shape}"
        )
    return jnp.where(present[..., None], embeddings, jnp.zeros((), embeddings.dtype)), present


def _vectors(count: int, width: int, rngs: nnx.Rngs) -> nnx.Param:
    return nnx.Param(0.02 * jax.random.normal(rngs.params(), (count, width)))


@config
class ConcatenationFusionConfig(FusionConfig):
    """Concatenation has nothing to choose."""


class ConcatenationFusion(nnx.Module):
    """``W [e_1 ... e_M] + b``, with a learned vector for each part that may be missing."""

    def __init__(self, config: ConcatenationFusionConfig, n_parts: int, width: int, *, rngs: nnx.Rngs) -> None:
        self.config, self.n_parts, self.width = config, n_parts, width
        self.missing = _vectors(n_parts, width, rngs)
        self.linear = nnx.Linear(n_parts * width, width, rngs=rngs)

    def __call__(self, embeddings: Float[Array, "B M W"], present: Bool[Array, "B M"]) -> Float[Array, "B W"]:
        """The fused vector."""
        e, present = _present_only(embeddings, present, self.n_parts, self.width)
        filled = jnp.where(present[..., None], e, self.missing[...][None])
        return self.linear(jax.lax.collapse(filled, 1))


@config
class AttentionFusionConfig(FusionConfig):
    """Attention across parts."""

    heads: Annotated[int, Field(ge=1)] = 4
    """Of attention; they divide the width."""


class AttentionFusion(nnx.Module):
    """A learned summary attends to the parts that are there, to which a vector of their kind is added, and to itself."""

    def __init__(self, config: AttentionFusionConfig, n_parts: int, width: int, *, rngs: nnx.Rngs) -> None:
        if width % config.heads:
            raise InvalidInputError(f"{config.heads} heads do not divide a width of {width}; choose a divisor")
        self.config, self.n_parts, self.width = config, n_parts, width
        self.kinds, self.summary = _vectors(n_parts, width, rngs), _vectors(1, width, rngs)
        self.query, self.key, self.value, self.out = (nnx.Linear(width, width, rngs=rngs) for _ in range(4))

    def __call__(self, embeddings: Float[Array, "B M W"], present: Bool[Array, "B M"]) -> Float[Array, "B W"]:
        """The fused vector."""
        e, present = _present_only(embeddings, present, self.n_parts, self.width)
        summary = jnp.broadcast_to(self.summary[...][None], (e.shape[0], 1, self.width))
        tokens = jnp.concatenate([summary, e + self.kinds[...][None]], axis=1)  # (B, 1 + M, W)
        there = jnp.concatenate([jnp.ones_like(present[:, :1]), present], axis=1)
        q, k, v = (
            layer(tokens).reshape(*tokens.shape[:2], self.config.heads, self.width // self.config.heads)
            for layer in (self.query, self.key, self.value)
        )
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / jnp.sqrt(jnp.asarray(q.shape[-1], q.dtype))
        weights = jax.nn.softmax(jnp.where(there[:, None, None], scores, -jnp.inf), axis=-1)
        mixed = jnp.einsum("bhts,bshd->bthd", weights, v).reshape(tokens.shape)
        return (tokens + self.out(mixed))[:, 0]


@config
class GatedFusionConfig(FusionConfig):
    """Gates have nothing to choose."""


class GatedFusion(nnx.Module):
    """Gated multimodal unit for any number of parts: gates of those that are there add up to one; zero where none is."""

    def __init__(self, config: GatedFusionConfig, n_parts: int, width: int, *, rngs: nnx.Rngs) -> None:
        self.config, self.n_parts, self.width = config, n_parts, width
        self.states = nnx.List([nnx.Linear(width, width, rngs=rngs) for _ in range(n_parts)])
        self.gates = nnx.Linear(n_parts * width, n_parts, rngs=rngs)

    def __call__(self, embeddings: Float[Array, "B M W"], present: Bool[Array, "B M"]) -> Float[Array, "B W"]:
        """The fused vector."""
        e, present = _present_only(embeddings, present, self.n_parts, self.width)
        states = jnp.stack([jnp.tanh(layer(e[:, m])) for m, layer in enumerate(self.states)], axis=1)
        some = jnp.any(present, axis=1, keepdims=True)
        scores = jnp.where(present | ~some, self.gates(jax.lax.collapse(e, 1)), -jnp.inf)
        weights = jnp.where(present, jax.nn.softmax(scores, axis=-1), 0.0)
        return jnp.sum(weights[..., None] * states, axis=1)


@config
class HierarchicalFusionConfig(FusionConfig):
    """Groups of parts, fused first."""

    groups: Annotated[tuple[tuple[Annotated[int, Field(ge=0)], ...], ...], Field(min_length=1)]
    """Numbers of the parts of each group, every part in exactly one: `[[0, 1], [2]]`."""


class HierarchicalFusion(nnx.Module):
    """Gated units within groups, and one among the groups; a group counts if any of its parts does."""

    def __init__(self, config: HierarchicalFusionConfig, n_parts: int, width: int, *, rngs: nnx.Rngs) -> None:
        if sorted(m for group in config.groups for m in group) != list(range(n_parts)) or not all(config.groups):
            raise InvalidInputError(f"groups {config.groups} do not hold each of {n_parts} parts, 0 to {n_parts - 1}, once")
        self.config, self.n_parts, self.width = config, n_parts, width
        self.within = nnx.List([GatedFusion(GatedFusionConfig(), len(group), width, rngs=rngs) for group in config.groups])
        self.among = GatedFusion(GatedFusionConfig(), len(config.groups), width, rngs=rngs)

    def __call__(self, embeddings: Float[Array, "B M W"], present: Bool[Array, "B M"]) -> Float[Array, "B W"]:
        """The fused vector."""
        e, present = _present_only(embeddings, present, self.n_parts, self.width)
        members = [jnp.array(group) for group in self.config.groups]
        fused = [unit(e[:, m], present[:, m]) for unit, m in zip(self.within, members, strict=True)]
        there = [jnp.any(present[:, m], axis=1) for m in members]
        return self.among(jnp.stack(fused, axis=1), jnp.stack(there, axis=1))
