r"""Block Gibbs sampling of two layers that are independent inside given each other (Geman & Geman 1984; for RBMs Hinton 2002).

    h ~ p(h | v),   v ~ p(v | h)

Shapes: ``N = chains, V = visible units``.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from artifex.ebm.samplers.chain import Chains, run_chains

__all__ = ["gibbs"]


def gibbs(
    sample_hidden: Callable[[Array, Array], Array],
    sample_visible: Callable[[Array, Array], Array],
    v: Float[Array, "N V"],
    key: Array,
    *,
    n_steps: int,
    trace: bool = False,
) -> Chains:
    """Both layers in turn, ``n_steps`` times.

    Args:
        sample_hidden: ``h`` of ``(key, v)``.
        sample_visible: ``v`` of ``(key, h)``.
        v: where the chains start.
        key: of all randomness.
        n_steps: steps, each of both layers.
        trace: keep all states.

    Raises:
        InvalidInputError: there are no steps.

    Example:
        >>> coins = lambda key, other: jax.random.bernoulli(key, 0.5, other.shape)  # two layers that know nothing of each other
        >>> chains = gibbs(coins, coins, jnp.zeros((1000, 1)), jax.random.key(0), n_steps=2)
        >>> 0.4 < float(jnp.mean(chains.x)) < 0.6
        True
    """

    def kernel(v: Array, key: Array, t: Array) -> tuple[Array, Array]:
        del t
        hidden_key, visible_key = jax.random.split(key)
        return sample_visible(visible_key, sample_hidden(hidden_key, v)).astype(v.dtype), jnp.ones(v.shape[0])

    return run_chains(kernel, v, key, n_steps, trace=trace)
