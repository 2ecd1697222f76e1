"""One seed a run, one key a purpose: no two uses of randomness in a run share a key."""

from __future__ import annotations

import zlib

import jax

__all__ = ["key_for"]


def key_for(seed: int, purpose: str) -> jax.Array:
    """The key of a run's ``purpose``: ``initialise``, ``train``, ``evaluate``, ``sample``."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))
