"""Which examples share a batch: sets of similar size, so that little is padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from artifex.core.errors import InvalidInputError

__all__ = ["bucket_of"]


def bucket_of(sizes: np.ndarray, bucket_sizes: Sequence[int]) -> np.ndarray:
    """For each set the least of ``bucket_sizes`` that it fits into, int32: what a loader groups by, under the key ``bucket``.

    Raises:
        InvalidInputError: a set fits into none.

    >>> bucket_of(np.array([3, 5, 4]), (4, 8)).tolist()
    [4, 8, 4]
    """
    edges = np.sort(np.asarray(bucket_sizes, np.int32))
    if len(sizes) and np.max(sizes) > edges[-1]:
        raise InvalidInputError(f"a set has {np.max(sizes)} points, and the largest bucket takes {edges[-1]}; add a larger one")
    return edges[np.searchsorted(edges, sizes)]
