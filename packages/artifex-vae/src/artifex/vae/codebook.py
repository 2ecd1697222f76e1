r"""The codebook of a VQ-VAE: nearest codes, the straight-through gradient, and averages in place of a gradient for the codes.

van den Oord et al. 2017 (arXiv:1711.00937), sections 3.1-3.2 and appendix A.1:

    k = argmin_j |z - e_j|^2,   z_q = e_k,   d z_q / d z := 1              the nearest code; its gradient goes to z unchanged
    N_j <- g N_j + (1 - g) n_j,   m_j <- g m_j + (1 - g) sum z,   e_j = m_j / N_j       over the n_j vectors z nearest to e_j

A code whose ``N_j`` has fallen far below the average use starts again at a vector of the batch (Dhariwal et al. 2020, Jukebox,
arXiv:2005.00341, section 3).

Shapes: ``K = codes, D = size of a code, N = vectors, ... = any leading axes``.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from artifex.vae.likelihoods import accumulated

__all__ = [
    "CodeAverages",
    "Codebook",
    "codebook_perplexity",
    "moved_averages",
    "nearest_code",
    "restart_dead_codes",
    "straight_through",
]

COUNT_FLOOR = 1e-5
"""Least ``N_j``: the averages of a code that nothing is near to shrink alike, and stop here, their quotient still good."""


class CodeAverages(NamedTuple):
    """The moving averages that codes are made of."""

    counts: Float[Array, "K"]
    """``N``: vectors of a batch that are nearest to each code."""
    sums: Float[Array, "K D"]
    """``m``: their sums."""

    def codes(self) -> Float[Array, "K D"]:
        """``e = m / N``."""
        return self.sums / self.counts[:, None]


def nearest_code(z: Float[Array, "... D"], codes: Float[Array, "K D"]) -> Int[Array, "..."]:
    """``argmin_j |z - e_j|^2``, the first of equals.

    Example:
        >>> nearest_code(jnp.array([[0.9], [-3.0]]), jnp.array([[-1.0], [1.0]])).tolist()
        [1, 0]
    """
    z, codes = accumulated(z), accumulated(codes)
    centre = jnp.mean(codes, axis=0)  # taken off: far from the origin the squares would swallow the distances between codes
    codes, z = codes - centre[None], z - centre.reshape((1,) * (z.ndim - 1) + (-1,))
    products = jnp.matmul(z, codes.T, precision="highest")
    lengths = jnp.sum(jnp.square(codes), axis=-1).reshape((1,) * (z.ndim - 1) + (-1,))
    return jnp.argmin(lengths - 2 * products, axis=-1)  # |z|^2 is the same for all


def straight_through(z: Float[Array, "... D"], quantized: Float[Array, "... D"]) -> Float[Array, "... D"]:
    """``stop_gradient(z_q) + (z - stop_gradient(z))``: the value of ``z_q`` to the last bit, the gradient of ``z``.

    The paper's ``z + stop_gradient(z_q - z)`` is the same but for rounding: it loses digits of ``z_q`` where ``z`` is larger.
    """
    return jax.lax.stop_gradient(quantized.astype(z.dtype)) + (z - jax.lax.stop_gradient(z))


def moved_averages(averages: CodeAverages, z: Float[Array, "N D"], indices: Int[Array, "N"], decay: float) -> CodeAverages:
    """One step of the averages, ``g = decay``, for vectors ``z`` and their nearest codes.

    A code that nothing is near to stays where it is, however long: ``N`` stops at a floor, and ``m`` with it.
    """
    chosen = jax.nn.one_hot(indices, len(averages.counts), dtype=averages.sums.dtype)  # (N, K)
    counts = decay * averages.counts + (1 - decay) * jnp.sum(chosen, axis=0)
    sums = decay * averages.sums + (1 - decay) * jnp.matmul(chosen.T, accumulated(z), precision="highest")
    floored = (counts < COUNT_FLOOR)[:, None]
    return CodeAverages(jnp.maximum(counts, COUNT_FLOOR), jnp.where(floored, COUNT_FLOOR * averages.codes(), sums))


def restart_dead_codes(averages: CodeAverages, z: Float[Array, "N D"], key: Array, *, below: float) -> CodeAverages:
    """Codes used less than ``below`` times the average start again at vectors drawn from ``z``, as if used on average."""
    average = jnp.mean(averages.counts)
    dead = averages.counts < below * average
    drawn = accumulated(z)[jax.random.randint(key, (len(dead),), 0, z.shape[0])]  # (K, D)
    return CodeAverages(jnp.where(dead, average, averages.counts), jnp.where(dead[:, None], drawn * average, averages.sums))


def codebook_perplexity(indices: Int[Array, "..."], codebook_size: int) -> Float[Array, ""]:
    """``exp(-sum_j p_j log p_j)`` for the frequencies ``p`` of the codes: how many are in use, counted by how often.

    Example:
        >>> round(float(codebook_perplexity(jnp.array([0, 1, 2, 3]), 8)), 4)
        4.0
    """
    p = jnp.bincount(indices.reshape(-1), length=codebook_size) / max(indices.size, 1)
    return jnp.exp(jnp.sum(jax.scipy.special.entr(p)))


class Codebook(nnx.Module):
    """``codebook_size`` codes that follow the encoder's outputs by moving averages, in training only.

    Its variables are no parameters: nothing descends a gradient here. The codes also have their frequency at each position, the
    independent prior that :meth:`artifex.vae.VQVAE.generate` draws from when it is given no other.

    Args:
        codebook_size: ``K``.
        code_dim: ``D``.
        positions: how many codes make an example.
        decay: ``g`` of the averages.
        restart_below: codes used less than this fraction of the average start again; 0 never restarts one.
        rngs: stream ``params`` draws the first codes.
    """

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        positions: int,
        *,
        decay: float,
        restart_below: float,
        rngs: nnx.Rngs,
    ):
        self.decay, self.restart_below = decay, restart_below
        self.use_running_average = True
        self.counts = nnx.Variable(jnp.ones(codebook_size))
        self.sums = nnx.Variable(jax.random.normal(rngs.params(), (codebook_size, code_dim)))
        self.frequencies = nnx.Variable(jnp.full((positions, codebook_size), 1 / codebook_size))

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Training (``use_running_average=False``) or evaluation; ``nnx.view`` calls it."""
        if use_running_average is not None:
            self.use_running_average = use_running_average

    @property
    def averages(self) -> CodeAverages:
        """The moving averages as they are."""
        return CodeAverages(self.counts[...], self.sums[...])

    def nearest(self, z: Float[Array, "... D"]) -> Int[Array, "..."]:
        """Index of the nearest code."""
        return nearest_code(z, self.averages.codes())

    def look_up(self, indices: Int[Array, "..."]) -> Float[Array, "... D"]:
        """The codes."""
        return self.averages.codes()[indices]

    def update(self, z: Float[Array, "B P D"], indices: Int[Array, "B P"], key: Array) -> None:
        """Move averages and frequencies by one batch; the next batch is the first to see it."""
        z = jax.lax.stop_gradient(z)
        flat = jax.lax.collapse(z, 0, -1)
        averages = moved_averages(self.averages, flat, indices.reshape(-1), self.decay)
        averages = restart_dead_codes(averages, flat, key, below=self.restart_below)
        self.counts[...], self.sums[...] = averages
        frequencies = jnp.mean(jax.nn.one_hot(indices, len(averages.counts)), axis=0)  # (P, K)
        self.frequencies[...] = self.decay * self.frequencies[...] + (1 - self.decay) * frequencies
