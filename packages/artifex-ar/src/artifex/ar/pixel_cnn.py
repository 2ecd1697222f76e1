r"""The gated PixelCNN.

van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders" (arXiv:1606.05328); van den Oord et al. 2016,
"Pixel Recurrent Neural Networks" (arXiv:1601.06759).

    p(x | k) = prod_i p(x_i | x_{<i}, k)                                    pixels in raster order, channels in order
    y = tanh(W_f * h + V_f k) sigmoid(W_g * h + V_g k)                      equation 4: gates, with the class k

Two streams of features go through the layers (figure 2): ``v`` sees all rows above, ``h`` the row's columns before the pixel
and, through a link, ``v``; so no pixel of the past is hidden ("blind spot"). Only ``h`` has shortcuts. Channels come in
order: what a channel's distribution is computed from has, beside ``h``, the channels before it.

Shapes: ``B = batch, H W C = height, width, channels of an image, D = hidden channels, L = levels, M = width of the head``.
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
from artifex.ar.layers import DownConv, RightConv, gate, plain_linear, with_new
from artifex.ar.stacks import scan_layers, stacked
from artifex.core.config import config
from artifex.core.errors import InvalidTypeError

__all__ = ["PixelCNN", "PixelCNNConfig"]


@config
class PixelCNNConfig(ImageConfig):
    """A gated PixelCNN.

    Example:
        >>> PixelCNNConfig(image_shape=[28, 28, 1], num_layers=4).hidden_channels
        64
    """

    hidden_channels: PositiveInt = 64
    """Features of each of the two streams."""
    num_layers: PositiveInt = 8
    """Gated layers, behind the first convolution."""
    kernel_size: Annotated[int, Field(ge=3)] = 3
    """Height and width, odd, of the masked convolutions of a layer."""
    first_kernel_size: Annotated[int, Field(ge=3)] = 7
    """The same of the first, which sees the pixels."""
    head_channels: PositiveInt | None = None
    """Width of the hidden layer behind the last gated one; that of the streams by default."""

    def __post_init__(self) -> None:
        for field in ("kernel_size", "first_kernel_size"):
            if getattr(self, field) % 2 == 0:
                raise ValueError(f"{field} is {getattr(self, field)}; it has to be odd, so that a pixel is in the middle")


class _GatedLayer(nnx.Module):
    """``v, h`` to ``v', h'`` (arXiv:1606.05328, figure 2)."""

    def __init__(self, channels: int, kernel_size: int, num_classes: int | None, *, rngs: nnx.Rngs, **kinds: Any):
        half, twice = kernel_size // 2, 2 * channels
        self.down = DownConv(channels, twice, (half + 1, kernel_size), rngs=rngs, **kinds)
        self.right = RightConv(channels, twice, half + 1, rngs=rngs, **kinds)
        self.link = plain_linear(twice, twice, rngs=rngs, **kinds)
        self.out = plain_linear(channels, channels, rngs=rngs, **kinds)
        self.classes = class_table(num_classes, 2 * twice, kinds["param_dtype"], rngs)

    def __call__(self, v: Array, h: Array, classes: Given) -> tuple[Array, Array]:
        """Both streams, ``(B, H, W, D)``."""
        v, link = self.from_above(self.down(v), classes)
        return v, self.along_row(h, self.right(h), link)

    def from_above(self, v: Float[Array, "B *S 2*D"], classes: Given) -> tuple[Array, Array]:
        """What the downward convolution gave, gated; and what ``h`` is given of it."""
        of_h = None
        if self.classes is not None:
            assert classes is not None
            both = class_rows(self.classes[...].astype(v.dtype), jnp.asarray(classes))
            of_v, of_h = jnp.split(both.reshape(-1, *(1,) * (v.ndim - 2), both.shape[-1]), 2, axis=-1)
            v = v + of_v
        link = self.link(v)
        return gate(v), link if of_h is None else link + of_h

    def along_row(self, h: Float[Array, "B *S D"], rightward: Array, link: Array) -> Array:
        return h + self.out(gate(rightward + link))


class _LevelHead(nnx.Module):
    """Logits of each channel's levels, from the features of a pixel and its channels before that one."""

    def __init__(self, features: int, hidden: int, channels: int, levels: int, *, rngs: nnx.Rngs, **kinds: Any):
        self.hidden = plain_linear(features, hidden, rngs=rngs, **kinds)
        self.out = nnx.List([plain_linear(hidden, levels, rngs=rngs, **kinds) for _ in range(channels)])
        self.before = nnx.List([plain_linear(c, hidden, use_bias=False, rngs=rngs, **kinds) for c in range(1, channels)])

    def __call__(self, h: Float[Array, "... D"], x: Float[Array, "... C"]) -> Float[Array, "... C L"]:
        features = self.features(h)
        return jnp.stack([self.channel(features, x, c) for c in range(len(self.out))], axis=-2)

    def features(self, h: Float[Array, "... D"]) -> Float[Array, "... M"]:
        """What all channels share."""
        return self.hidden(nnx.relu(h))

    def channel(self, features: Float[Array, "... M"], x: Float[Array, "... C"], c: int) -> Float[Array, "... L"]:
        """Of one channel."""
        if c:
            features = features + self.before[c - 1](x[..., :c])
        return self.out[c](nnx.relu(features))


class PixelCNN(ImageModel):
    """A gated PixelCNN.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs`` (``default`` stands in for both).

    Raises:
        InvalidTypeError: ``config`` is not a :class:`PixelCNNConfig`.

    Example:
        >>> config = PixelCNNConfig(image_shape=(6, 6, 1), hidden_channels=8, num_layers=2, first_kernel_size=3, levels=4)
        >>> model = PixelCNN(config, rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((3, 6, 6, 1)))["parameters"].shape
        (3, 6, 6, 1, 4)
        >>> model.generate(2).shape
        (2, 6, 6, 1)
    """

    config: PixelCNNConfig

    def __init__(self, config: PixelCNNConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, PixelCNNConfig):
            raise InvalidTypeError(f"PixelCNN takes a PixelCNNConfig, got {type(config).__name__}: {config!r}")
        *_, channels = config.image_shape
        d, first = config.hidden_channels, config.first_kernel_size
        kinds = {"dtype": config.dtype, "param_dtype": config.param_dtype}
        self.config = config
        self.down = DownConv(channels, d, (first // 2, first), strictly=True, rngs=rngs, **kinds)
        self.right = RightConv(channels, d, first // 2, strictly=True, rngs=rngs, **kinds)
        self.link = plain_linear(d, d, rngs=rngs, **kinds)
        layer = partial(_GatedLayer, d, config.kernel_size, config.num_classes, **kinds)
        self.layers = stacked(lambda rngs: layer(rngs=rngs), config.num_layers, rngs)
        self.head = _LevelHead(d, config.head_channels or d, channels, config.levels, rngs=rngs, **kinds)
        self.rngs = rngs.fork()

    def parameters(self, x: Float[Array, "B H W C"], classes: Given) -> Float[Array, "B H W C L"]:
        """Logits of each element's levels, ``x`` in [-1, 1]."""
        v = self.down(x)
        h = self.right(x) + self.link(v)

        def step(layer: _GatedLayer, streams: Any, _: Any) -> tuple[Any, None]:
            v, h = streams
            return layer(v, h, classes), None

        (_, h), _ = scan_layers(self.layers, step, (v, h))
        return self.head(h, x)

    def element_log_prob(self, x: Float[Array, "B H W C"], parameters: Float[Array, "B H W C L"]) -> Float[Array, "B H W C"]:
        """``log softmax(l)`` at the level of each element; NaN where it is on none."""
        log_probs = jax.nn.log_softmax(parameters.astype(jnp.promote_types(parameters.dtype, jnp.float32)))
        level = jnp.round((x + 1) / 2 * (self.config.levels - 1)).astype(int)
        return jnp.where(jnp.isnan(x), jnp.nan, jnp.take_along_axis(log_probs, level[..., None], axis=-1)[..., 0])

    # Drawing: of the downward stream the last rows are kept, of the rightward one the last columns.

    def start_rows(self, n: int) -> Any:
        """No rows yet: zeros, as the convolutions have them before an image."""
        _, width, channels = self.config.image_shape
        d, rows = self.config.hidden_channels, self.config.kernel_size // 2
        return (
            jnp.zeros((n, self.down.memory, width, channels)),
            jnp.zeros((self.config.num_layers, n, rows, width, d), self._dtype),
        )

    def row(self, kept: Any, classes: Given) -> tuple[Any, Any]:
        """The downward stream of one row, all layers of it, and what it links to the other stream."""
        pixels, before = kept
        v = self.down.last(pixels)  # (n, W, D)
        start = self.link(v)

        def step(layer: _GatedLayer, v: Array, before: Array) -> tuple[Array, Any]:
            rows = with_new(before, v)
            v, link = layer.from_above(layer.down.last(rows), classes)
            return v, (rows[:, 1:], link)

        _, (before, links) = scan_layers(self.layers, step, v, before)
        return (pixels, before), (jnp.moveaxis(start, 1, 0), jnp.moveaxis(links, 2, 0))  # (W, n, D), (W, layers, n, 2 D)

    def end_row(self, kept: Any, pixels: Float[Array, "n W C"], features: Any) -> Any:
        """The row of pixels joins those above the next one."""
        del features  # the rightward stream begins anew in each row
        above, before = kept
        return with_new(above[:, 1:], pixels), before

    def start_columns(self, n: int) -> Any:
        """No columns yet."""
        d, columns = self.config.hidden_channels, self.config.kernel_size // 2
        return (
            jnp.zeros((n, self.right.memory, self.config.image_shape[-1])),
            jnp.zeros((self.config.num_layers, n, columns, d), self._dtype),
        )

    def pixel(self, kept: Any, left: Float[Array, "n C"], above: Any) -> tuple[Any, Float[Array, "n M"], Any]:
        """The rightward stream of one pixel."""
        pixels, before = kept
        start, links = above
        pixels = with_new(pixels[:, 1:], left)
        h = self.right.last(pixels) + start

        def step(layer: _GatedLayer, h: Array, along: Any) -> tuple[Array, Array]:
            before, link = along
            columns = with_new(before, h)
            return layer.along_row(h, layer.right.last(columns), link), columns[:, 1:]

        h, before = scan_layers(self.layers, step, h, (before, links))
        return (pixels, before), self.head.features(h), ()

    def channel_parameters(self, features: Float[Array, "n M"], x: Float[Array, "n C"], channel: int) -> Float[Array, "n L"]:
        """Logits of one channel's levels."""
        return self.head.channel(features, x, channel)

    def draw(self, parameters: Float[Array, "n L"], temperature: float | Array, key: Array) -> Float[Array, "n"]:
        """A level, in [-1, 1]."""
        logits = parameters.astype(jnp.promote_types(parameters.dtype, jnp.float32))
        level = jax.random.categorical(key, logits / temperature)
        return 2 * level / (self.config.levels - 1) - 1

    @property
    def _dtype(self) -> Any:
        return jnp.dtype(self.config.dtype or jnp.promote_types(self.config.param_dtype, jnp.float32))
