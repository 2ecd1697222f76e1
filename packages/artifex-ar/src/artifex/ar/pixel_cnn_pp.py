r"""PixelCNN++: residual networks of masked convolutions, and a discretised mixture of logistics for each pixel.

Salimans et al. 2017, "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other Modifications"
(arXiv:1701.05517).

    P(x | w, m, s) = sum_k w_k prod_c mass(x_c; m_ck, s_ck)                               equations 2 and 3
    m_ck = m'_ck + sum_{c' < c} tanh(a_cc'k) x_c'                                         means that know the channels before
    u <- u + a sigmoid(b),   [a, b] = W_2 * e(W_1 * e(u) + V e(other)),   e(u) = elu([u, -u])      a residual block

Two streams as in :mod:`artifex.ar.pixel_cnn`; behind the first half of the layers, the second half is also given what went into
the first half's, the last first (section 2.4). Resolution stays that of the image, where the paper halves it twice; and the
rightward stream's convolutions have one row, since the downward stream is added to it in every layer.

Shapes: ``B = batch, H W C = height, width, channels of an image, D = hidden channels, K = components``.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.ar.conditioning import Given, class_rows, class_table
from artifex.ar.images import ImageConfig, ImageModel, PositiveInt
from artifex.ar.layers import DownConv, RightConv, plain_linear, with_new
from artifex.ar.likelihoods import draw_logistics, level_masses, mixture_of_logistics_log_prob
from artifex.ar.stacks import drop_key, scan_layers, stacked
from artifex.core.config import config
from artifex.core.errors import InvalidTypeError

__all__ = ["PixelCNNPP", "PixelCNNPPConfig"]


@config
class PixelCNNPPConfig(ImageConfig):
    """A PixelCNN++.

    Example:
        >>> PixelCNNPPConfig(image_shape=[32, 32, 3]).parameters_of_pixel
        100
    """

    hidden_channels: PositiveInt = 64
    """Features of each of the two streams."""
    num_layers: PositiveInt = 4
    """Residual layers of each half of the network."""
    kernel_size: Annotated[int, Field(ge=3)] = 3
    """Width, odd, of the masked convolutions of a layer."""
    num_mixtures: PositiveInt = 10
    """Components of the mixture."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability with which a feature inside a residual block is dropped in training."""

    def __post_init__(self) -> None:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {self.kernel_size}; it has to be odd, so that a pixel is in the middle")

    @property
    def parameters_of_pixel(self) -> int:
        """Weights, means, scales and the means' coefficients of all components."""
        channels = self.image_shape[-1]
        return self.num_mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)


def _concat_elu(x: Array) -> Array:
    return jax.nn.elu(jnp.concatenate([x, -x], axis=-1))


class _Residual(nnx.Module):
    """``u + a sigmoid(b)`` (arXiv:1701.05517, section 2.5), of one stream, given features of others."""

    def __init__(self, conv: Any, channels: int, others: int, num_classes: int | None, *, rngs: nnx.Rngs, **kinds: Any):
        self.first = conv(2 * channels, channels, rngs=rngs, **kinds)
        self.second = conv(2 * channels, 2 * channels, scale=0.1, rngs=rngs, **kinds)  # nearly the identity at first
        self.link = plain_linear(2 * others, channels, rngs=rngs, **kinds) if others else None
        self.classes = class_table(num_classes, 2 * channels, kinds["param_dtype"], rngs)

    def __call__(self, u: Array, others: Array | None, classes: Given, drop: Any) -> Array:
        """On whole images."""
        middle = drop(self._middle(self.first(_concat_elu(u)), others))
        return u + self._end(self.second(middle), classes)

    def last(self, kept: Any, u: Array, others: Array | None, classes: Given) -> tuple[Any, Array]:
        """On one row, or one pixel, given what was kept of those before it."""
        first = with_new(kept[0], _concat_elu(u))
        second = with_new(kept[1], self._middle(self.first.last(first), others))
        return (first[:, 1:], second[:, 1:]), u + self._end(self.second.last(second), classes)

    def _middle(self, x: Array, others: Array | None) -> Array:
        if self.link is not None:
            assert others is not None
            x = x + self.link(_concat_elu(others))
        return _concat_elu(x)

    def _end(self, x: Array, classes: Given) -> Array:
        if self.classes is not None:
            assert classes is not None
            of_class = class_rows(self.classes[...].astype(x.dtype), jnp.asarray(classes))
            x = x + of_class.reshape(-1, *(1,) * (x.ndim - 2), x.shape[-1])
        a, b = jnp.split(x, 2, axis=-1)
        return a * nnx.sigmoid(b)


class _Layer(nnx.Module):
    """A block of each stream. In the second half each is also given what went into one of the first half's layers."""

    def __init__(self, config: PixelCNNPPConfig, skips: bool, *, rngs: nnx.Rngs, **kinds: Any):
        d, half = config.hidden_channels, config.kernel_size // 2
        down = partial(DownConv, sizes=(half + 1, config.kernel_size))
        right = partial(RightConv, size=half + 1)
        given = {"num_classes": config.num_classes, "rngs": rngs, **kinds}
        self.down = _Residual(down, d, d if skips else 0, **given)
        self.right = _Residual(right, d, 2 * d if skips else d, **given)

    def __call__(self, u: Array, h: Array, skip: Any, classes: Given, drop: Any) -> tuple[Array, Array]:
        """Both streams, ``(B, H, W, D)``."""
        u = self.down(u, skip[0] if skip else None, classes, partial(drop, i=0))
        return u, self.right(h, _beside(u, skip), classes, partial(drop, i=1))


def _beside(u: Array, skip: Any) -> Array:
    return jnp.concatenate([u, skip[1]], axis=-1) if skip else u


class PixelCNNPP(ImageModel):
    """A PixelCNN++.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs`` (``default`` stands in for both).

    Raises:
        InvalidTypeError: ``config`` is not a :class:`PixelCNNPPConfig`.

    Example:
        >>> config = PixelCNNPPConfig(image_shape=(5, 5, 3), hidden_channels=8, num_layers=1, num_mixtures=2)
        >>> model = PixelCNNPP(config, rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((3, 5, 5, 3)))["parameters"].shape  # weights, means, log scales of two components
        (3, 5, 5, 3, 6)
        >>> model.generate(2).shape
        (2, 5, 5, 3)
    """

    config: PixelCNNPPConfig

    def __init__(self, config: PixelCNNPPConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, PixelCNNPPConfig):
            raise InvalidTypeError(f"PixelCNNPP takes a PixelCNNPPConfig, got {type(config).__name__}: {config!r}")
        channels, d, half = config.image_shape[-1], config.hidden_channels, config.kernel_size // 2
        kinds = {"dtype": config.dtype, "param_dtype": config.param_dtype}
        self.config = config
        # one channel of ones beside the pixels, so that zeros outside the image are told from zeros inside it
        self.down = DownConv(channels + 1, d, sizes=(half + 1, config.kernel_size), strictly=True, rngs=rngs, **kinds)
        self.right = RightConv(channels + 1, d, size=half + 1, strictly=True, rngs=rngs, **kinds)
        self.link = plain_linear(d, d, rngs=rngs, **kinds)
        layer = partial(_Layer, config, **kinds)
        self.first_half = stacked(lambda rngs: layer(False, rngs=rngs), config.num_layers, rngs)
        self.second_half = stacked(lambda rngs: layer(True, rngs=rngs), config.num_layers, rngs)
        self.head = plain_linear(2 * d, config.parameters_of_pixel, rngs=rngs, **kinds)
        self.dropout = nnx.Dropout(config.dropout, rngs=rngs) if config.dropout else None
        self.rngs = rngs.fork()

    def parameters(self, x: Float[Array, "B H W C"], classes: Given) -> Float[Array, "B H W C 3*K"]:
        """Weights' logits, means and log scales of each element's components, ``x`` in [-1, 1]."""
        return self._parameters(x, classes, drops=False)

    def training_parameters(self, x: Float[Array, "B H W C"], classes: Given) -> Float[Array, "B H W C 3*K"]:
        """The same, with dropout."""
        return self._parameters(x, classes, drops=self.dropout is not None and not self.dropout.deterministic)

    def _parameters(self, x: Array, classes: Given, *, drops: bool) -> Array:
        count = self.config.num_layers
        dropout = self.dropout if drops else None
        halves: Any = ((), ())
        if dropout is not None:
            halves = jnp.split(jax.random.split(drop_key(dropout), 2 * count), 2)

        def dropping(key: Any) -> Any:
            def drop(a: Array, i: int) -> Array:
                return a if dropout is None else dropout(a, rngs=jax.random.fold_in(key, i))

            return drop

        def downward(layer: _Layer, streams: Any, key: Any) -> tuple[Any, Any]:
            u, h = streams
            return layer(u, h, (), classes, dropping(key)), streams

        def upward(layer: _Layer, streams: Any, along: Any) -> tuple[Any, None]:
            skip, key = along
            u, h = streams
            return layer(u, h, skip, classes, dropping(key)), None

        seen = _with_ones(x)
        u = self.down(seen)
        streams, skips = scan_layers(self.first_half, downward, (u, self.right(seen) + self.link(u)), halves[0])
        skips = jax.tree.map(lambda a: a[::-1], skips)
        (_, h), _ = scan_layers(self.second_half, upward, streams, (skips, halves[1]))
        raw = self.head(_concat_elu(h))
        return jnp.stack([self.channel_parameters(raw, x, c) for c in range(x.shape[-1])], axis=-2)

    def channel_parameters(self, features: Float[Array, "... F"], x: Float[Array, "... C"], channel: int) -> Array:
        """Of one channel, given the channels before it.

        A pixel has one component for all its channels. Given some of them, the weights of the others' are the components'
        probabilities: ``w_k prod_{c' < c} mass(x_c'; m_c'k, s_c'k)``, up to a factor.
        """
        k, channels = self.config.num_mixtures, self.config.image_shape[-1]
        features = features.astype(jnp.promote_types(features.dtype, jnp.float32))
        logits, means, log_scales, coefficients = jnp.split(features, [k, k * (1 + channels), k * (1 + 2 * channels)], axis=-1)
        each = [a.reshape(*a.shape[:-1], a.shape[-1] // k, k) for a in (means, log_scales, jnp.tanh(coefficients))]

        def mean_and_scale(c: int) -> tuple[Array, Array]:
            mean, first = each[0][..., c, :], c * (c - 1) // 2
            for i in range(c):
                mean = mean + each[2][..., first + i, :] * x[..., i, None].astype(mean.dtype)
            return mean, each[1][..., c, :]

        for c in range(channel):
            logits = logits + level_masses(x[..., c], *mean_and_scale(c), self.config.levels)
        return jnp.concatenate([logits, *mean_and_scale(channel)], axis=-1)

    def element_log_prob(self, x: Float[Array, "B H W C"], parameters: Array) -> Float[Array, "B H W C"]:
        """Of the mixture at the level of each element."""
        return mixture_of_logistics_log_prob(x, parameters, self.config.levels)

    def draw(self, parameters: Float[Array, "n 3*K"], temperature: float | Array, key: Array) -> Float[Array, "n"]:
        """A level, in [-1, 1]."""
        return draw_logistics(parameters, self.config.levels, key, temperature)

    # Drawing: of the downward stream the last rows are kept, of the rightward one the last columns.

    def start_rows(self, n: int) -> Any:
        """No rows yet: zeros, as the convolutions have them before an image."""
        _, width, channels = self.config.image_shape
        kept = self._nothing(n, width)
        return jnp.zeros((n, self.down.memory, width, channels + 1)), (kept, kept)

    def row(self, kept: Any, classes: Given) -> tuple[Any, Any]:
        """The downward stream of one row, all layers of it: what they give the other stream."""
        pixels, halves = kept
        u = self.down.last(pixels)  # (n, W, D)
        start = self.link(u)

        def downward(layer: _Layer, u: Array, kept: Any) -> tuple[Array, Any]:
            kept, made = layer.down.last(kept, u, None, classes)
            return made, (kept, u, made)

        def upward(layer: _Layer, u: Array, along: Any) -> tuple[Array, Any]:
            kept, made = layer.down.last(along[0], u, along[1], classes)
            return made, (kept, made)

        u, (first, befores, downs) = scan_layers(self.first_half, downward, u, halves[0])
        _, (second, ups) = scan_layers(self.second_half, upward, u, (halves[1], befores[::-1]))
        columns = (jnp.moveaxis(start, 1, 0), jnp.moveaxis(downs, 2, 0), jnp.moveaxis(ups, 2, 0))  # (W, [layers,] n, D)
        if classes is not None:
            columns = (*columns, jnp.broadcast_to(jnp.asarray(classes)[None], (start.shape[1], start.shape[0])))
        return (pixels, (first, second)), columns

    def end_row(self, kept: Any, pixels: Float[Array, "n W C"], features: Any) -> Any:
        """The row of pixels joins those above the next one."""
        del features  # the rightward stream begins anew in each row
        above, halves = kept
        return with_new(above[:, 1:], _with_ones(pixels)), halves

    def start_columns(self, n: int) -> Any:
        """No columns yet: what stands before the first of them is outside the image."""
        kept = self._nothing(n)
        return jnp.zeros((n, self.right.memory, self.config.image_shape[-1] + 1)), (kept, kept), jnp.zeros((), bool)

    def pixel(self, kept: Any, left: Float[Array, "n C"], above: Any) -> tuple[Any, Array, Any]:
        """The rightward stream of one pixel."""
        pixels, halves, inside = kept
        start, downs, ups, *classes = above
        of_class = classes[0] if classes else None
        pixels = with_new(pixels[:, 1:], jnp.where(inside, _with_ones(left), 0))
        h = self.right.last(pixels) + start

        def downward(layer: _Layer, h: Array, along: Any) -> tuple[Array, Any]:
            kept, made = layer.right.last(along[0], h, along[1], of_class)
            return made, (kept, h)

        def upward(layer: _Layer, h: Array, along: Any) -> tuple[Array, Any]:
            kept, made = layer.right.last(along[0], h, _beside(along[1], (None, along[2])), of_class)
            return made, kept

        h, (first, befores) = scan_layers(self.first_half, downward, h, (halves[0], downs))
        h, second = scan_layers(self.second_half, upward, h, (halves[1], ups, befores[::-1]))
        return (pixels, (first, second), jnp.ones((), bool)), self.head(_concat_elu(h)), ()

    def _nothing(self, n: int, *width: int) -> tuple[Array, Array]:
        """What the two convolutions of a stream's blocks have seen, all zeros."""
        config = self.config
        shape = (config.num_layers, n, config.kernel_size // 2, *width, 2 * config.hidden_channels)
        dtype = jnp.dtype(config.dtype or jnp.promote_types(config.param_dtype, jnp.float32))
        return jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)


def _with_ones(x: Float[Array, "... C"]) -> Float[Array, "... C+1"]:
    return jnp.concatenate([x, jnp.ones_like(x[..., :1])], axis=-1)
