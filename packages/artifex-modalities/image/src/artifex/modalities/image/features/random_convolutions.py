r"""Features that need no weights: random filters, rectified, averaged over the quarters of an image at several scales.

A Fréchet or kernel distance over them tells distributions of images apart by their textures, edges and layout, works on
images of 8 pixels, and is the same wherever it is computed. It is no FID: it knows nothing of what images show. (Random
filters keep much of what trained ones see: Saxe et al. 2011, "On random weights and unsupervised feature learning", ICML.)

Shapes: ``B = images, h, w = any size from 2 pixels, c = channels, F = levels x filters x 4``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["QUARTERS", "random_convolution_features", "random_filters"]

QUARTERS = 4


def random_filters(seed: int, levels: int, filters: int, channels: int) -> list[np.ndarray]:
    """Filters ``(3, 3, given, filters)`` of each level, of unit length, float32.

    Part of the definition, so they come from a generator whose stream NumPy keeps for ever (NEP 19).
    """
    random = np.random.RandomState(seed)
    drawn = [random.normal(size=(3, 3, channels if level == 0 else filters, filters)) for level in range(levels)]
    return [(kernel / np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)))).astype(np.float32) for kernel in drawn]


def random_convolution_features(x: Float[Array, "B h w c"], kernels: list[np.ndarray]) -> Float[Array, "B F"]:
    """Mean of each rectified filter over each quarter of the image; each level sees the one before at half its size.

    >>> kernels = random_filters(0, 2, 3, 1)
    >>> random_convolution_features(jnp.zeros((5, 8, 8, 1)), kernels).shape
    (5, 24)
    """
    parts = []
    for level, kernel in enumerate(kernels):
        if level and min(x.shape[1:3]) >= 4:
            x = _halved(x)
        x = jax.lax.conv_general_dilated(
            x,
            jnp.asarray(kernel),
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=jax.lax.Precision.HIGHEST,
        )
        x = jax.nn.relu(x)
        parts += [jnp.mean(quarter, axis=(1, 2)) for quarter in _quarters(x)]
    return jnp.concatenate(parts, axis=-1)


def _halved(x: Array) -> Array:
    height, width = (2 * (n // 2) for n in x.shape[1:3])
    x = x[:, :height, :width]
    return jnp.mean(x.reshape(x.shape[0], height // 2, 2, width // 2, 2, x.shape[3]), axis=(2, 4))


def _quarters(x: Array) -> list[Array]:
    """Upper left, upper right, lower left, lower right; the middle row or column of an odd number belongs to both sides."""
    rows, columns = (n - n // 2 for n in x.shape[1:3])
    return [part[:, :, side] for part in (x[:, :rows], x[:, -rows:]) for side in (slice(columns), slice(-columns, None))]
