r"""The kernel distance of features: the unbiased squared maximum mean discrepancy with a cubic kernel, over blocks.

.. math:: k(x, y) = (x \cdot y / F + 1)^3

Bińkowski et al. 2018 (arXiv:1801.01401), section 4; blocks as Zaremba et al. 2013 (arXiv:1307.1954): each example is in one
block, the figure is the mean over blocks, and no more than one block's kernel is in memory.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from artifex.core.errors import InvalidInputError

__all__ = ["kernel_distance"]

BLOCK = 1000


def kernel_distance(samples: Float[np.ndarray, "N F"], references: Float[np.ndarray, "M F"], *, block: int = BLOCK) -> float:
    """The mean over blocks.

    Args:
        samples: features.
        references: features of others.
        block: examples of each in a block; fewer where there are not as many.

    Raises:
        InvalidInputError: these are no features of one length, or fewer than two.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(2000, 8))
        >>> abs(kernel_distance(x[:1000], x[1000:])) < 0.05 < kernel_distance(x[:1000], x[1000:] + 0.5)
        True
    """
    x, y = np.asarray(samples), np.asarray(references)
    n = min(len(x), len(y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or n < 2:
        raise InvalidInputError(f"features are (N, F), two at least of each; got shapes {x.shape} and {y.shape}")
    size = min(n, block)
    found = [_of_block(x[i : i + size], y[i : i + size]) for i in range(0, n - size + 1, size)]
    return float(np.mean(found))


def _of_block(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    n, features = x.shape

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / features + 1) ** 3

    within = [(k.sum() - np.trace(k)) / (n * (n - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(within[0] + within[1] - 2 * kernel(x, y).mean())
