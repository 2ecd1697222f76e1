r"""Learned perceptual distances of images: LPIPS, and its shift-tolerant variant.

    d(x, y) = sum_l mean_hw sum_c w_lc (f_lhwc(x) - f_lhwc(y))^2,    f_l = the features of layer l, of unit length at each place

R. Zhang et al. 2018, arXiv:1801.03924, version 0.1. With ``w >= 0`` that is the squared distance of the vectors
``sqrt(w_lc / (H_l W_l)) f_lhwc``, which is how an engine computes it once for each image. ST-LPIPS (Ghildyal & Liu 2022,
arXiv:2207.13686) blurs before it subsamples (R. Zhang 2019, arXiv:1904.11486).

Shapes: ``B = images, h, w = any size from 32 pixels, l = layers, c = channels``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.errors import DataError, InvalidInputError
from artifex.modalities.image.features.weights import Weights, filled, installed_file, read_weights

__all__ = ["BACKBONES", "Backbone", "PerceptualNetwork", "TappedNetwork", "load_perceptual"]

Backbone: TypeAlias = Literal["alex", "vgg"]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Standardisation of images in [-1, 1], by channel."""
SHIFT_TOLERANT, HEADS = "stlpips-pytorch", "lpips"
"""Packages that ship weights: a whole network with its heads, and heads alone."""
STANDARD_DIGESTS = {"alex": ("7be5be79", "df73285e"), "vgg": ("397923af", "a78928a0")}
"""How the SHA-256 begins of torchvision's networks (as their files' names say) and of version 0.1's heads."""


class Conv(NamedTuple):
    """A convolution, blurred where it says so, and its ReLU."""

    features: int
    size: int = 3
    strides: int = 1
    padding: int = 1
    tap: bool = False
    blur: bool = False


class Pool(NamedTuple):
    """The maximum in a window; blurred in place of its strides where it says so."""

    size: int
    strides: int
    blur: bool = False


def _alex(stride: int, pool: Pool, *, blur: bool) -> tuple[Conv | Pool, ...]:
    first = Conv(64, 11, stride, 2, tap=True, blur=blur)
    rest = (Conv(384, tap=True), Conv(256, tap=True), Conv(256, tap=True))
    return (first, pool, Conv(192, 5, 1, 2, tap=True), pool, *rest)


def _vgg(pool: Pool) -> tuple[Conv | Pool, ...]:
    rows: list[Conv | Pool] = []
    for i, (features, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        rows += [pool] * (i > 0) + [Conv(features)] * (count - 1) + [Conv(features, tap=True)]
    return tuple(rows)


BACKBONES: dict[tuple[str, bool], tuple[Conv | Pool, ...]] = {
    ("alex", False): _alex(4, Pool(3, 2), blur=False),
    ("alex", True): _alex(1, Pool(3, 1, blur=True), blur=True),
    ("vgg", False): _vgg(Pool(2, 2)),
    ("vgg", True): _vgg(Pool(2, 1, blur=True)),
}
"""AlexNet (Krizhevsky 2014, arXiv:1404.5997) and VGG-16 (Simonyan & Zisserman 2014, arXiv:1409.1556), plain and
shift-tolerant."""


class TappedNetwork(nnx.Module):
    """Convolutions and pools in a row, of which some layers' outputs are handed out."""

    def __init__(self, layers: tuple[Conv | Pool, ...], *, rngs: nnx.Rngs) -> None:
        self.layers = layers
        convs, given = [], 3
        for layer in layers:
            if isinstance(layer, Conv):
                window, padding = (layer.size, layer.size), ((layer.padding, layer.padding),) * 2
                highest = jax.lax.Precision.HIGHEST
                convs.append(
                    nnx.Conv(given, layer.features, window, layer.strides, padding=padding, precision=highest, rngs=rngs)
                )
                given = layer.features
        self.convs = nnx.List(convs)

    def __call__(self, x: Float[Array, "B h w 3"]) -> list[Float[Array, "B hl wl cl"]]:
        """The tapped layers' outputs, after their ReLU."""
        taps, convs = [], iter(self.convs)
        for layer in self.layers:
            if isinstance(layer, Pool):
                x = nnx.max_pool(x, (layer.size, layer.size), strides=(layer.strides, layer.strides))
                x = blurred(x) if layer.blur else x
                continue
            x = next(convs)(x)
            x = nnx.relu(blurred(x) if layer.blur else x)
            if layer.tap:
                taps.append(x)
        return taps


def blurred(x: Float[Array, "B h w c"]) -> Float[Array, "B h2 w2 c"]:
    """Binomial filter (1, 2, 1) / 4 along both axes at every second place, two pixels reflected at each border."""
    x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    for axis in (1, 2):
        count = (x.shape[axis] - 3) // 2 + 1
        parts = [jax.lax.slice_in_dim(x, i, i + 2 * count - 1, 2, axis) for i in (0, 1, 2)]
        x = 0.25 * (parts[0] + 2.0 * parts[1] + parts[2])
    return x


class PerceptualNetwork(nnx.Module):
    """A tapped network with the weights that its channels have in the distance.

    Args:
        layers: one of :data:`BACKBONES`.
        rngs: stream ``params``.
    """

    def __init__(self, layers: tuple[Conv | Pool, ...], *, rngs: nnx.Rngs) -> None:
        self.backbone = TappedNetwork(layers, rngs=rngs)
        self.heads = nnx.List(
            [nnx.Param(jnp.ones(layer.features)) for layer in layers if isinstance(layer, Conv) and layer.tap]
        )

    def features(self, x: Float[Array, "B h w 3"]) -> list[Float[Array, "B hl wl cl"]]:
        """Of images in [0, 1]: each tapped layer, of unit length at each place."""
        standard = (2.0 * x - 1.0 - _row(SHIFT)) / _row(SCALE)
        taps = self.backbone(standard)
        return [tap / (jnp.sqrt(jnp.sum(tap * tap, axis=-1, keepdims=True)) + 1e-10) for tap in taps]

    def distance(self, x: Float[Array, "B h w 3"], y: Float[Array, "B h w 3"]) -> Float[Array, "B"]:
        """``d(x, y)`` of images in [0, 1]."""
        total = jnp.zeros(x.shape[0])
        for one, other, head in zip(self.features(x), self.features(y), self.heads, strict=True):
            weights = head[...].reshape(1, 1, 1, -1)
            total += jnp.mean(jnp.sum(weights * jnp.square(one - other), axis=-1), axis=(1, 2))
        return total

    def vectors(self, x: Float[Array, "B h w 3"]) -> Float[Array, "B F"]:
        """Vectors whose squared distances are :meth:`distance`."""
        parts = []
        for tap, head in zip(self.features(x), self.heads, strict=True):
            scale = jnp.sqrt(jnp.maximum(head[...], 0.0) / (tap.shape[1] * tap.shape[2]))
            parts.append((tap * scale.reshape(1, 1, 1, -1)).reshape(x.shape[0], -1))
        return jnp.concatenate(parts, axis=-1)


def _row(values: tuple[float, ...]) -> Array:
    return jnp.asarray(values, jnp.float32).reshape(1, 1, 1, -1)


def load_perceptual(backbone: Backbone, weights: str = SHIFT_TOLERANT, heads: str = HEADS) -> tuple[PerceptualNetwork, str]:
    """A network with its weights, and the name of what it measures.

    Args:
        backbone: ``alex`` or ``vgg``.
        weights: ``stlpips-pytorch``, the installed package with networks and heads of its own; or a file of torchvision's
            AlexNet or VGG-16 (a state dict in PyTorch's formats, or as safetensors).
        heads: beside a file: ``lpips``, the installed package; or a file of heads.

    Returns:
        The network, and ``LPIPS ...`` only where network and heads are the standard ones, by their checksums.

    Raises:
        InvalidInputError: a package is not installed, or there is no such backbone.
        DataError: a file cannot be read or is another network's, or a head has negative weights.
    """
    if (backbone, False) not in BACKBONES:
        raise InvalidInputError(f"the backbone is 'alex' or 'vgg', got {backbone!r}")
    if weights == SHIFT_TOLERANT:
        file = f"weights/vST0.0/{backbone}_shift_tolerant.pth"
        found = read_weights(installed_file("stlpips_pytorch", file, f"pip install --no-deps {SHIFT_TOLERANT}"))
        return _network(backbone, True, found, found), f"ST-LPIPS ({backbone}, {found})"
    found = read_weights(weights)
    if heads == HEADS:
        calibration = read_weights(installed_file("lpips", f"weights/v0.1/{backbone}.pth", f"pip install --no-deps {HEADS}"))
    else:
        calibration = read_weights(heads)
    standard = (found.sha256[:8], calibration.sha256[:8]) == STANDARD_DIGESTS[backbone]
    kind = f"LPIPS v0.1 ({backbone})" if standard else f"perceptual distance ({backbone}, {found}, heads {calibration})"
    return _network(backbone, False, found, calibration), kind


@lru_cache(maxsize=2)
def _network(backbone: str, tolerant: bool, weights: Weights, heads: Weights) -> PerceptualNetwork:
    layers = BACKBONES[backbone, tolerant]
    build = lambda: PerceptualNetwork(layers, rngs=nnx.Rngs(0))  # noqa: E731
    return filled(build, lambda shapes: _converted(weights, heads, shapes))


def _converted(weights: Weights, heads: Weights, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Convolutions are numbered by their place in the published sequence, which counts ReLUs, pools and blurs too."""
    pattern = re.compile(r"(?:features\.|net\.slice\d\.)(\d+)\.weight")
    places = {int(m[1]): m[0].removesuffix(".weight") for m in map(pattern.fullmatch, weights.arrays) if m}
    names = [places[i] for i in sorted(places)]
    converted: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        first, *_, part = name.split(".")
        if first == "heads":
            converted[name] = _head(heads, int(part), shape[0])
            continue
        index = int(name.split(".")[2])
        if index >= len(names):
            raise DataError(f"the weights {weights.file} have {len(names)} convolutions: they are those of another network")
        if part == "bias":
            converted[name] = weights.take(f"{names[index]}.bias", shape)
        else:
            height, width, given, features = shape
            theirs = weights.take(f"{names[index]}.weight", (features, given, height, width))
            converted[name] = theirs.transpose(2, 3, 1, 0)
    return converted


def _head(heads: Weights, layer: int, channels: int) -> np.ndarray:
    head = heads.take(f"lin{layer}.model.1.weight", (1, channels, 1, 1)).reshape(-1)
    if (head < 0).any():
        raise DataError(f"the heads {heads.file} weigh channels of layer {layer} negatively, which makes no distance")
    return head
