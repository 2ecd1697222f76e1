r"""Dynamic time warping, as one scan over anti-diagonals.

    D_{ij} = |x_i - y_j|^2 + min(D_{i-1,j}, D_{i,j-1}, D_{i-1,j-1}),      dtw(x, y) = sqrt(D_{nm})

H. Sakoe, S. Chiba 1978, "Dynamic programming algorithm optimization for spoken word recognition",
doi:10.1109/TASSP.1978.1163055; with several channels the squared distances add up (one path for all).

Cells of one anti-diagonal ``k = i + j`` depend on the two before it alone, so that a step of the scan works out a whole one,
for all pairs at once.

Shapes: ``P`` pairs, ``N`` and ``M`` steps, ``C`` channels.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from artifex.core.errors import InvalidInputError
from artifex.modalities.timeseries.series import lengths_of, padded

__all__ = ["dtw", "dtw_of_pairs", "dtw_to_nearest"]

AT_ONCE = 4096
"""Pairs that are worked out together."""


def dtw(samples: Any, references: Any, *, band: int | None = None) -> np.ndarray:
    """Dynamic time warping distance of each sample to its own reference, ``(P,)``.

    Args:
        samples: series: an array ``(P, N, C)`` or ``(P, N)``, or a list of arrays ``(N_i, C)``.
        references: as many series, of the same or other lengths.
        band: Sakoe and Chiba's: by how many steps a path may leave the diagonal, beside what the lengths differ by; None for
            any.

    Raises:
        InvalidInputError: the numbers of series or of channels differ, a series has gaps, or the band is negative.

    >>> dtw(np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 1.0, 1.0]])).tolist()
    [0.0]
    """
    x, n = _whole(samples, "samples")
    y, m = _whole(references, "references")
    if len(x) != len(y) or x.shape[2] != y.shape[2]:
        raise InvalidInputError(
            f"pairs of series of the same channels are needed; got {len(x)} of {x.shape[2]} and {len(y)} of {y.shape[2]}"
        )
    _check_band(band)
    parts = (slice(i, i + AT_ONCE) for i in range(0, len(x), AT_ONCE))
    return np.concatenate([_distances(x[p], y[p], n[p], m[p], band) for p in parts])


def dtw_to_nearest(samples: Any, references: Any, *, band: int | None = None) -> np.ndarray:
    """Dynamic time warping distance of each sample to the reference that is nearest, ``(P,)``: every pair is worked out.

    >>> dtw_to_nearest(np.array([[0.0, 1.0]]), np.array([[5.0, 5.0], [0.0, 1.0]])).tolist()
    [0.0]
    """
    x, n = _whole(samples, "samples")
    y, m = _whole(references, "references")
    if x.shape[2] != y.shape[2]:
        raise InvalidInputError(f"samples have {x.shape[2]} channels and references {y.shape[2]}; give both the same")
    _check_band(band)
    rows, columns = (index.ravel() for index in np.indices((len(x), len(y))))
    parts = (slice(i, i + AT_ONCE) for i in range(0, len(rows), AT_ONCE))
    found = [_distances(x[rows[p]], y[columns[p]], n[rows[p]], m[columns[p]], band) for p in parts]
    return np.concatenate(found).reshape(len(x), len(y)).min(axis=1)


def _check_band(band: int | None) -> None:
    if band is not None and band < 0:
        raise InvalidInputError(f"band is a number of steps, 0 or more, or None; got {band}")


def _whole(series: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Series padded with NaN, float64, and their lengths."""
    x = padded(series, name=name)
    lengths = lengths_of(x)
    inside = np.arange(x.shape[1]) < lengths[:, None]
    if (bad := np.isnan(x).any(axis=2) & inside).any() or not lengths.all():
        row = int(np.argmax(bad.any(axis=1) | (lengths == 0)))
        raise InvalidInputError(
            f"{name}[{row}] has gaps, over which nothing can be warped; fill them (modality missing: linear)"
        )
    if (bad := np.isinf(x).any(axis=(1, 2))).any():
        raise InvalidInputError(f"{name}[{int(np.argmax(bad))}] holds what is infinite; mend it, or leave that series out")
    return x, lengths.astype(np.int32)


def _distances(x: np.ndarray, y: np.ndarray, n: np.ndarray, m: np.ndarray, band: int | None) -> np.ndarray:
    """Of pairs in float64, wherever they lie: each is moved to its own centre and brought to about 1 before float32 sees it."""
    centre = np.nanmean(np.concatenate([x, y], axis=1), axis=1, keepdims=True)
    x, y = (np.nan_to_num(side - centre) for side in (x, y))
    greatest = np.maximum(*(np.abs(side).max(axis=(1, 2)) for side in (x, y)))
    _, power = np.frexp(greatest)  # powers of two, which change no digit
    x, y = (np.ldexp(side, -power[:, None, None]).astype(np.float32) for side in (x, y))
    return np.ldexp(np.asarray(dtw_of_pairs(x, y, n, m, band=band), np.float64), power)


@partial(jax.jit, static_argnames="band")
def dtw_of_pairs(
    x: Float[Array, "P N C"], y: Float[Array, "P M C"], n: Int[Array, "P"], m: Int[Array, "P"], *, band: int | None = None
) -> Float[Array, "P"]:
    """Distances of pairs whose first ``n`` and ``m`` steps count; compiled once for shapes and band.

    In the dtype of the pairs: :func:`dtw` gives it float32 that has been centred, without which an offset takes the digits.
    A cell's row is ``i``, so that an anti-diagonal is a vector over ``i`` in which ``j = k - i``.
    """
    steps, (pairs, rows, _) = x.shape[1] + y.shape[1] - 1, x.shape
    # of y reversed and padded, the stretch from M - 1 - k on (after N in front) is y_{k-i} for i = 0 ... N - 1
    behind = jnp.pad(y[:, ::-1], ((0, 0), (rows, rows), (0, 0)))
    far = jnp.full((pairs, 1), jnp.inf)

    def diagonal(carry: tuple[Array, Array, Array], k: Array) -> tuple[tuple[Array, Array, Array], None]:
        one, two, found = carry  # the last anti-diagonal, the one before it
        other = jax.lax.dynamic_slice_in_dim(behind, rows + y.shape[1] - 1 - k, rows, axis=1)
        cost = jnp.sum((x - other) ** 2, axis=-1)
        above, across = (jnp.concatenate([far, d[:, :-1]], axis=1) for d in (one, two))
        best = jnp.minimum(jnp.minimum(one, above), across)
        i = jnp.arange(rows)
        best = jnp.where((k == 0) & (i == 0)[None, :], 0.0, best)
        allowed = ((k - i >= 0) & (k - i < y.shape[1]))[None, :]
        if band is not None:
            shift = (k - 2 * i)[None, :]
            allowed = (
                allowed
                & (shift <= (band + jnp.maximum(m - n, 0))[:, None])
                & (shift >= -(band + jnp.maximum(n - m, 0))[:, None])
            )
        now = jnp.where(allowed, cost + best, jnp.inf)
        last = jnp.take_along_axis(now, (n - 1)[:, None], axis=1)[:, 0]
        return (now, one, jnp.where(k == n + m - 2, last, found)), None

    start = jnp.full((pairs, rows), jnp.inf), jnp.full((pairs, rows), jnp.inf), jnp.zeros(pairs)
    (_, _, found), _ = jax.lax.scan(diagonal, start, jnp.arange(steps))
    return jnp.sqrt(found)
