r"""The Inception V3 of the Fréchet Inception distance: the network of 2015 that all published figures were made with.

Szegedy et al. 2016, arXiv:1512.00567, as Google trained it on 1008 classes in December 2015. It differs from the Inception V3
of today's libraries: average pools leave padded places out of their mean, and the last block's pool takes the maximum. Batch
normalisation is folded into each convolution, ``w' = w g / sqrt(v + 1e-3)`` and ``b' = b - m g / sqrt(v + 1e-3)``.

Shapes: ``B = images, h = w = 299, 2048 = pooled features, 1008 = classes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from artifex.modalities.image.features.weights import Weights, filled, read_weights

__all__ = ["STANDARD_DIGEST", "InceptionV3", "load_inception"]

STANDARD_DIGEST = "6726825d"
"""How the SHA-256 begins of the standard weights, ``pt_inception-2015-12-05-6726825d.pth``, as its name says."""
FEATURES, CLASSES = 2048, 1008
Size = int | tuple[int, int]


def _conv(given: int, features: int, size: Size = 1, strides: int = 1, padding: str = "SAME", *, rngs: nnx.Rngs) -> nnx.Conv:
    sizes = (size, size) if isinstance(size, int) else size
    return nnx.Conv(given, features, sizes, strides, padding=padding, precision=jax.lax.Precision.HIGHEST, rngs=rngs)


def _average(x: Array) -> Array:
    return nnx.avg_pool(x, (3, 3), strides=(1, 1), padding="SAME", count_include_pad=False)


def _maximum(x: Array, strides: int = 2) -> Array:
    return nnx.max_pool(x, (3, 3), strides=(strides, strides), padding="VALID" if strides == 2 else "SAME")


class _Block(nnx.Module):
    """Convolutions by name, each followed by a ReLU."""

    def run(self, x: Array, *names: str) -> Array:
        for name in names:
            x = nnx.relu(getattr(self, name)(x))
        return x


class _A(_Block):
    """35 x 35: 1x1, 5x5, two 3x3, pool."""

    def __init__(self, given: int, pooled: int, *, rngs: nnx.Rngs) -> None:
        self.branch1x1 = _conv(given, 64, rngs=rngs)
        self.branch5x5_1 = _conv(given, 48, rngs=rngs)
        self.branch5x5_2 = _conv(48, 64, 5, rngs=rngs)
        self.branch3x3dbl_1 = _conv(given, 64, rngs=rngs)
        self.branch3x3dbl_2 = _conv(64, 96, 3, rngs=rngs)
        self.branch3x3dbl_3 = _conv(96, 96, 3, rngs=rngs)
        self.branch_pool = _conv(given, pooled, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        doubled = self.run(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
        parts = [self.run(x, "branch1x1"), self.run(x, "branch5x5_1", "branch5x5_2"), doubled]
        return jnp.concatenate([*parts, self.run(_average(x), "branch_pool")], axis=-1)


class _B(_Block):
    """35 x 35 to 17 x 17."""

    def __init__(self, given: int, *, rngs: nnx.Rngs) -> None:
        self.branch3x3 = _conv(given, 384, 3, 2, "VALID", rngs=rngs)
        self.branch3x3dbl_1 = _conv(given, 64, rngs=rngs)
        self.branch3x3dbl_2 = _conv(64, 96, 3, rngs=rngs)
        self.branch3x3dbl_3 = _conv(96, 96, 3, 2, "VALID", rngs=rngs)

    def __call__(self, x: Array) -> Array:
        doubled = self.run(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
        return jnp.concatenate([self.run(x, "branch3x3"), doubled, _maximum(x)], axis=-1)


class _C(_Block):
    """17 x 17: convolutions of 7 x 7 as 1 x 7 and 7 x 1."""

    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        row, column = (1, 7), (7, 1)
        self.branch1x1 = _conv(768, 192, rngs=rngs)
        self.branch7x7_1 = _conv(768, width, rngs=rngs)
        self.branch7x7_2 = _conv(width, width, row, rngs=rngs)
        self.branch7x7_3 = _conv(width, 192, column, rngs=rngs)
        self.branch7x7dbl_1 = _conv(768, width, rngs=rngs)
        self.branch7x7dbl_2 = _conv(width, width, column, rngs=rngs)
        self.branch7x7dbl_3 = _conv(width, width, row, rngs=rngs)
        self.branch7x7dbl_4 = _conv(width, width, column, rngs=rngs)
        self.branch7x7dbl_5 = _conv(width, 192, row, rngs=rngs)
        self.branch_pool = _conv(768, 192, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        single = self.run(x, *(f"branch7x7_{i}" for i in (1, 2, 3)))
        doubled = self.run(x, *(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5)))
        return jnp.concatenate([self.run(x, "branch1x1"), single, doubled, self.run(_average(x), "branch_pool")], axis=-1)


class _D(_Block):
    """17 x 17 to 8 x 8."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.branch3x3_1 = _conv(768, 192, rngs=rngs)
        self.branch3x3_2 = _conv(192, 320, 3, 2, "VALID", rngs=rngs)
        self.branch7x7x3_1 = _conv(768, 192, rngs=rngs)
        self.branch7x7x3_2 = _conv(192, 192, (1, 7), rngs=rngs)
        self.branch7x7x3_3 = _conv(192, 192, (7, 1), rngs=rngs)
        self.branch7x7x3_4 = _conv(192, 192, 3, 2, "VALID", rngs=rngs)

    def __call__(self, x: Array) -> Array:
        sevens = self.run(x, *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4)))
        return jnp.concatenate([self.run(x, "branch3x3_1", "branch3x3_2"), sevens, _maximum(x)], axis=-1)


class _E(_Block):
    """8 x 8. The last of the two takes the maximum where every other block averages: so does the network that was published."""

    def __init__(self, given: int, *, last: bool, rngs: nnx.Rngs) -> None:
        self.last = last
        row, column = (1, 3), (3, 1)
        self.branch1x1 = _conv(given, 320, rngs=rngs)
        self.branch3x3_1 = _conv(given, 384, rngs=rngs)
        self.branch3x3_2a = _conv(384, 384, row, rngs=rngs)
        self.branch3x3_2b = _conv(384, 384, column, rngs=rngs)
        self.branch3x3dbl_1 = _conv(given, 448, rngs=rngs)
        self.branch3x3dbl_2 = _conv(448, 384, 3, rngs=rngs)
        self.branch3x3dbl_3a = _conv(384, 384, row, rngs=rngs)
        self.branch3x3dbl_3b = _conv(384, 384, column, rngs=rngs)
        self.branch_pool = _conv(given, 192, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        single = self.run(x, "branch3x3_1")
        doubled = self.run(x, "branch3x3dbl_1", "branch3x3dbl_2")
        parts = [self.run(x, "branch1x1"), self.run(single, "branch3x3_2a"), self.run(single, "branch3x3_2b")]
        parts += [self.run(doubled, "branch3x3dbl_3a"), self.run(doubled, "branch3x3dbl_3b")]
        pooled = _maximum(x, 1) if self.last else _average(x)
        return jnp.concatenate([*parts, self.run(pooled, "branch_pool")], axis=-1)


class InceptionV3(_Block):
    """From images ``(B, h, w, 3)`` in about [-1, 1] to features ``(B, 2048)`` and logits ``(B, 1008)``.

    :func:`~artifex.modalities.image.features.resizing.for_inception` prepares images; :func:`load_inception` reads weights.

    Args:
        rngs: stream ``params``.
    """

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.conv2d_1a_3x3 = _conv(3, 32, 3, 2, "VALID", rngs=rngs)
        self.conv2d_2a_3x3 = _conv(32, 32, 3, 1, "VALID", rngs=rngs)
        self.conv2d_2b_3x3 = _conv(32, 64, 3, rngs=rngs)
        self.conv2d_3b_1x1 = _conv(64, 80, 1, 1, "VALID", rngs=rngs)
        self.conv2d_4a_3x3 = _conv(80, 192, 3, 1, "VALID", rngs=rngs)
        self.mixed_5b, self.mixed_5c, self.mixed_5d = (_A(n, p, rngs=rngs) for n, p in ((192, 32), (256, 64), (288, 64)))
        self.mixed_6a = _B(288, rngs=rngs)
        self.mixed_6b, self.mixed_6c, self.mixed_6d, self.mixed_6e = (_C(n, rngs=rngs) for n in (128, 160, 160, 192))
        self.mixed_7a = _D(rngs=rngs)
        self.mixed_7b, self.mixed_7c = _E(1280, last=False, rngs=rngs), _E(2048, last=True, rngs=rngs)
        self.fc = nnx.Linear(FEATURES, CLASSES, use_bias=False, precision=jax.lax.Precision.HIGHEST, rngs=rngs)

    def features(self, x: Float[Array, "B h w 3"]) -> Float[Array, "B 2048"]:
        """The last block averaged over its places, which FID and KID compare."""
        x = self.run(x, "conv2d_1a_3x3", "conv2d_2a_3x3", "conv2d_2b_3x3")
        x = self.run(_maximum(x), "conv2d_3b_1x1", "conv2d_4a_3x3")
        x = self.mixed_5d(self.mixed_5c(self.mixed_5b(_maximum(x))))
        x = self.mixed_6e(self.mixed_6d(self.mixed_6c(self.mixed_6b(self.mixed_6a(x)))))
        return jnp.mean(self.mixed_7c(self.mixed_7b(self.mixed_7a(x))), axis=(1, 2))

    def logits(self, features: Float[Array, "B 2048"]) -> Float[Array, "B 1008"]:
        """Logits of the classes without their bias, as the Inception Score takes them (its authors' code leaves it out)."""
        return self.fc(features)

    def __call__(self, x: Float[Array, "B h w 3"]) -> Float[Array, "B 2048"]:
        """:meth:`features`."""
        return self.features(x)


def load_inception(path: str) -> tuple[InceptionV3, Weights]:
    """The network with the weights of a file: pytorch-fid's ``.pth``, or its state dict as safetensors.

    Raises:
        DataError: the file cannot be read, or is another network's.
    """
    weights = read_weights(path)
    return _network(weights), weights


@lru_cache(maxsize=1)
def _network(weights: Weights) -> InceptionV3:
    """One network for all metrics that share a file."""
    return filled(lambda: InceptionV3(rngs=nnx.Rngs(0)), lambda shapes: _converted(weights, shapes))


def _converted(weights: Weights, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The published weights under our names: ``mixed_5b.branch1x1.kernel`` is ``Mixed_5b.branch1x1.conv.weight``."""
    converted = {"fc.kernel": weights.take("fc.weight", (CLASSES, FEATURES)).T}
    for name, shape in shapes.items():
        if len(shape) == 4:
            module = name.removesuffix(".kernel")
            theirs = module[0].upper() + module[1:]
            converted[name], converted[f"{module}.bias"] = _folded(weights, theirs, shape)
    return converted


def _folded(weights: Weights, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Kernel ``(h, w, given, features)`` and bias of a convolution with its batch normalisation."""
    height, width, given, features = shape
    kernel = weights.take(f"{name}.conv.weight", (features, given, height, width)).astype(np.float64)
    normalised = (weights.take(f"{name}.bn.{part}", (features,)) for part in ("weight", "bias", "running_mean", "running_var"))
    gain, bias, mean, variance = (part.astype(np.float64) for part in normalised)
    scale = gain / np.sqrt(variance + 1e-3)
    return kernel.transpose(2, 3, 1, 0) * scale, bias - mean * scale
