r"""The U-Net of diffusion models, on images or, as :mod:`artifex.diffusion.unet1d`, on sequences.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (arXiv:2006.11239), appendix B; attention at chosen sizes and the
scaling by time of Dhariwal & Nichol 2021 (arXiv:2105.05233); cross-attention of Rombach et al. 2022 (arXiv:2112.10752):

    h = W_2 * silu(n(W_1 * silu(n(x)) + W_t silu(e)))        y = s(x) + h          a residual block; e embeds time and class
    h = W_2 * silu((1 + a) n(W_1 * silu(n(x))) + b)          (a, b) = W_t silu(e)  with `scale_shift`

Levels of such blocks, each half the size of the one before, then as many back; everything the way down made is put beside what
the way up has. Blocks and layers lie as in diffusers, so that its weights carry over key for key
(:mod:`artifex.diffusion.diffusers_weights`).

Shapes: ``B = batch, *S = spatial sizes (H W or L), C = channels, D = width of a level, E = width of the embedding,
N = positions, T = length of a context``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import Conv, GroupNorm, UpsampleConv, activation as activation_named
from artifex.diffusion.layers import ZEROS, Attention, ClassEmbedding, TimeEmbedding, layer_norm, linear, norm_groups
from artifex.diffusion.networks import BackboneConfig, PositiveInt

__all__ = ["UNet", "UNetBackboneConfig"]


@config
class UNetBackboneConfig(BackboneConfig):
    """A U-Net on images.

    Example:
        >>> UNetBackboneConfig(hidden_dims=[64], channel_mult=[1, 2, 4]).widths
        (64, 128, 256)
    """

    in_channels: PositiveInt | None = None
    """Channels of an example; None for as many as the model's examples have."""
    out_channels: PositiveInt | None = None
    """Channels of the output, the same number."""
    hidden_dims: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 128)
    """Channels of each level, the first at the example's own size; sizes halve from one to the next, rounded up. A single
    number is that of the first level, which `channel_mult` multiplies."""
    channel_mult: tuple[PositiveInt, ...] | None = None
    """Channels of each level in multiples of the first's. Beside several `hidden_dims` it says the same once more."""
    patch_size: PositiveInt = 1
    """Side of the patches whose elements become channels of one position before the first level, and are put back behind the
    last: a fourth of the work with 2, and less detail (Hoogeboom et al. 2023, arXiv:2301.11093, section 3.2)."""
    activation: str = "silu"
    """Name of the nonlinearity."""
    blocks_per_level: PositiveInt = 2
    """Residual blocks of each level on the way down; on the way up there is one more."""
    attention_resolutions: tuple[PositiveInt, ...] = ()
    """Sizes (height in pixels, or length) at which positions look at each other; a condition of vectors is looked at there."""
    middle_attention: bool = True
    """Whether they do so at the bottom too."""
    head_dim: PositiveInt | None = None
    """Width of an attention head, however many that makes; None for `heads` of them."""
    heads: PositiveInt | None = None
    """Attention heads at every size, however wide; None for one, or as `head_dim` says."""
    norm_groups: PositiveInt | None = None
    """Groups of every group norm, a divisor of all widths; None for 32, or as many as leave four channels in a group."""
    norm_epsilon: Annotated[float, Field(gt=0)] = 1e-5
    """Added to the variance in every norm of a block."""
    scale_shift: bool = False
    """Let time scale and shift the normalised features, not only shift them."""
    cross_attention_dim: PositiveInt | None = None
    """Width ``C`` of the vectors of a context ``(T, C)`` that examples are conditioned on; None for none."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the network is built
        object.__setattr__(self, "hidden_dims", _agreed(self.hidden_dims, self.channel_mult))
        if self.head_dim is not None and self.heads is not None:
            raise ValueError(f"head_dim={self.head_dim} and heads={self.heads} say the same twice; leave one of them out")
        for name, divisor in (("norm_groups", self.norm_groups), ("head_dim", self.head_dim), ("heads", self.heads)):
            if odd := [width for width in self.hidden_dims if width % (divisor or 1)]:
                raise ValueError(f"{name} is {divisor}, which does not divide {odd} of hidden_dims")
        if self.num_classes is not None and self.cross_attention_dim is not None:
            raise ValueError(
                f"num_classes={self.num_classes} and cross_attention_dim={self.cross_attention_dim}: examples have one "
                "condition; give the classes as vectors too, or leave one out"
            )
        if self.cross_attention_dim is not None and not (self.attention_resolutions or self.middle_attention):
            raise ValueError("cross_attention_dim is given, but there is no attention; set attention_resolutions")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return self.hidden_dims

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return 2

    @property
    def condition_shape(self) -> tuple[int | None, ...] | None:
        """``()`` for a class, ``(None, C)`` for a context, None for no condition."""
        if self.cross_attention_dim is not None:
            return (None, self.cross_attention_dim)
        return None if self.num_classes is None else ()

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Images ``(H, W, C)``, or sequences ``(L, C)``."""
        wanted = {1: "sequences, (length, channels)", 2: "images, (height, width, channels)"}[self.rank]
        if len(shape) != self.rank + 1:
            raise ValueError(f"the backbone {type(self).__name__} takes {wanted}, but input_shape is {shape}")
        for name in ("in_channels", "out_channels"):
            given = getattr(self, name)
            if given is not None and given != shape[-1]:
                raise ValueError(f"backbone.{name} is {given}, but input_shape {shape} has {shape[-1]} channels")
        self._check_sizes(shape)

    def _check_sizes(self, shape: tuple[int, ...]) -> None:
        if any(size % self.patch_size for size in shape[:-1]):
            raise ValueError(f"patch_size {self.patch_size} does not divide the sides of input_shape {shape}")
        sizes = level_sizes(shape[:-1], self)
        if len(sizes) > 1 and max(sizes[-2]) == 1:
            raise ValueError(f"{len(sizes)} levels of hidden_dims halve {shape[:-1]} below one position; use fewer")
        heights = {size[0] for size in sizes}
        if missing := sorted(set(self.attention_resolutions) - heights):
            raise ValueError(
                f"attention_resolutions has {missing}, but the levels of input_shape {shape} have "
                f"{sorted(heights, reverse=True)}"
            )


def _agreed(hidden_dims: tuple[int, ...], multiples: tuple[int, ...] | None) -> tuple[int, ...]:
    """Widths of all levels, said once or twice."""
    if multiples is None:
        return hidden_dims
    widths = tuple(hidden_dims[0] * multiple // multiples[0] for multiple in multiples)
    if len(hidden_dims) > 1 and widths != hidden_dims:
        raise ValueError(
            f"hidden_dims {hidden_dims} and channel_mult {multiples}, which makes {widths} of the first, differ; leave one out"
        )
    return widths


def level_sizes(sizes: tuple[int, ...], config: UNetBackboneConfig) -> list[tuple[int, ...]]:
    """Spatial sizes of each level.

    >>> level_sizes((28, 28), UNetBackboneConfig(hidden_dims=(8, 8, 8)))
    [(28, 28), (14, 14), (7, 7)]
    """
    return [tuple(-(-size // (config.patch_size * 2**i)) for size in sizes) for i in range(len(config.widths))]


class UNet(nnx.Module):
    """``F(x, t, condition)``.

    Args:
        config: what to build.
        shape: of one example, ``(*S, C)``.
        with_null: whether there is a class that is none.
        dtype: what it computes in.
        param_dtype: what its parameters are kept in.
        rngs: stream ``params`` initialises.

    Raises:
        InvalidInputError: the shape does not fit.

    Example:
        >>> net = UNet(UNetBackboneConfig(hidden_dims=(8, 16), blocks_per_level=1), (7, 7, 3), rngs=nnx.Rngs(0))
        >>> net(jnp.ones((2, 7, 7, 3)), jnp.array([3.0, 5.0])).shape
        (2, 7, 7, 3)
    """

    def __init__(
        self,
        config: UNetBackboneConfig,
        shape: tuple[int, ...],
        *,
        with_null: bool = False,
        dtype: Any = None,
        param_dtype: Any = "float32",
        rngs: nnx.Rngs,
    ):
        try:
            config.check_shape(shape)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error
        kinds: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        widths, embedding = config.widths, 4 * config.widths[0]
        self.config, self.shape, self.dtype = config, shape, dtype
        self.time = TimeEmbedding(widths[0], embedding, **kinds)
        classes = config.num_classes
        self.classes = None if classes is None else ClassEmbedding(classes, embedding, with_null=with_null, **kinds)
        channels = shape[-1] * config.patch_size**config.rank
        self.stem = Conv(channels, widths[0], _kernel(config), **kinds)
        sizes = level_sizes(shape[:-1], config)
        attends = [size[0] in config.attention_resolutions for size in sizes]
        self.down = _down(config, widths, attends, kinds)
        self.middle = Middle(config, widths[-1], **kinds)
        self.up = _up(config, widths, attends, sizes, kinds)
        self.norm = GroupNorm(widths[0], _groups(config, widths[0]), epsilon=config.norm_epsilon, **_unseeded(kinds))
        self.head = Conv(widths[0], channels, _kernel(config), kernel_init=ZEROS, **kinds)
        self.activation = activation_named(config.activation)

    def __call__(
        self, x: Float[Array, "B *S C"], t: Float[Array, "B"], condition: Array | None = None
    ) -> Float[Array, "B *S C"]:
        """Of the shape of ``x``; ``condition`` is classes ``(B,)`` or contexts ``(B, T, C)``."""
        embedding = self.time(t)
        if self.classes is not None and condition is not None:
            embedding = embedding + self.classes(condition)
        context = condition if self.classes is None else None
        side = self.config.patch_size
        h = self.stem(x if side == 1 else space_to_depth(x, side))
        kept = [h]
        embedding = self.activation(embedding)  # every block begins with it
        for level in self.down:
            h = level(h, embedding, context, kept)
        h = self.middle(h, embedding, context)
        for level in self.up:
            h = level(h, embedding, context, kept)
        made = self.head(self.activation(self.norm(h)))
        return made if side == 1 else depth_to_space(made, side)


def space_to_depth(x: Float[Array, "B *S C"], side: int) -> Float[Array, "B *s D"]:
    """The elements of each patch as channels of one position.

    >>> space_to_depth(jnp.arange(4.0).reshape(1, 2, 2, 1), 2).tolist()
    [[[[0.0, 1.0, 2.0, 3.0]]]]
    """
    batch, *sizes, channels = x.shape
    rank = len(sizes)
    x = x.reshape(batch, *(part for size in sizes for part in (size // side, side)), channels)
    outer, inner = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
    x = x.transpose(0, *outer, *inner, 2 * rank + 1)
    return x.reshape(*x.shape[: rank + 1], side**rank * channels)


def depth_to_space(x: Float[Array, "B *s D"], side: int) -> Float[Array, "B *S C"]:
    """The inverse of :func:`space_to_depth`."""
    batch, *sizes, channels = x.shape
    rank = len(sizes)
    x = x.reshape(batch, *sizes, *(side,) * rank, channels // side**rank)
    x = x.transpose(0, *(axis for i in range(1, rank + 1) for axis in (i, i + rank)), 2 * rank + 1)
    return x.reshape(batch, *(size * side for size in sizes), channels // side**rank)


def _kernel(config: UNetBackboneConfig, size: int = 3) -> tuple[int, ...]:
    return (size,) * config.rank


def _groups(config: UNetBackboneConfig, channels: int) -> int:
    return config.norm_groups or norm_groups(channels)


def _unseeded(kinds: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kinds.items() if name != "rngs"}


def _down(config: UNetBackboneConfig, widths: tuple[int, ...], attends: list[bool], kinds: dict[str, Any]) -> nnx.List:
    levels = []
    for i, (before, width) in enumerate(pairwise((widths[0], *widths))):
        ins = (before, *[width] * (config.blocks_per_level - 1))
        levels.append(DownLevel(config, ins, width, attends[i], halve=i < len(widths) - 1, **kinds))
    return nnx.List(levels)


def _up(
    config: UNetBackboneConfig,
    widths: tuple[int, ...],
    attends: list[bool],
    sizes: list[tuple[int, ...]],
    kinds: dict[str, Any],
) -> nnx.List:
    """From the last level to the first; each block is given what the way down made beside what it has."""
    levels = []
    for i in reversed(range(len(widths))):
        width, below, above = widths[i], widths[min(i + 1, len(widths) - 1)], widths[max(i - 1, 0)]
        own = (below, *[width] * config.blocks_per_level)
        kept = (*[width] * config.blocks_per_level, above)
        ins = tuple(a + b for a, b in zip(own, kept, strict=True))
        levels.append(UpLevel(config, ins, width, attends[i], sizes[i - 1] if i else None, **kinds))
    return nnx.List(levels)


class DownLevel(nnx.Module):
    """Residual blocks with attention behind each, then half the size by a convolution of stride two."""

    def __init__(
        self, config: UNetBackboneConfig, ins: tuple[int, ...], width: int, attend: bool, *, halve: bool, **kinds: Any
    ):
        self.blocks = nnx.List([ResidualBlock(config, n_in, width, **kinds) for n_in in ins])
        self.attentions = nnx.List([attention_block(config, width, **kinds) for _ in ins]) if attend else None
        self.halve = Conv(width, width, _kernel(config), strides=2, padding=1, **kinds) if halve else None

    def __call__(self, h: Array, embedding: Array, context: Array | None, kept: list[Array]) -> Array:
        for i, block in enumerate(self.blocks):
            h = block(h, embedding)
            h = h if self.attentions is None else self.attentions[i](h, context)
            kept.append(h)
        if self.halve is not None:
            h = self.halve(h)
            kept.append(h)
        return h


class UpLevel(nnx.Module):
    """Residual blocks, each given one of the way down's results, with attention; then twice the size."""

    def __init__(
        self,
        config: UNetBackboneConfig,
        ins: tuple[int, ...],
        width: int,
        attend: bool,
        size: tuple[int, ...] | None,
        **kinds: Any,
    ):
        self.blocks = nnx.List([ResidualBlock(config, n_in, width, **kinds) for n_in in ins])
        self.attentions = nnx.List([attention_block(config, width, **kinds) for _ in ins]) if attend else None
        self.size = size
        self.double = UpsampleConv(width, width, _kernel(config), **kinds) if size is not None else None

    def __call__(self, h: Array, embedding: Array, context: Array | None, kept: list[Array]) -> Array:
        for i, block in enumerate(self.blocks):
            h = block(jnp.concatenate([h, kept.pop()], axis=-1), embedding)
            h = h if self.attentions is None else self.attentions[i](h, context)
        if self.double is not None and self.size is not None:
            h = self.double(h)[(slice(None), *(slice(size) for size in self.size))]  # 4 to 7, not 8, where 7 was halved
        return h


class Middle(nnx.Module):
    """A residual block, attention where there is any, a residual block."""

    def __init__(self, config: UNetBackboneConfig, width: int, **kinds: Any):
        self.before, self.after = (ResidualBlock(config, width, width, **kinds) for _ in range(2))
        self.attention = attention_block(config, width, **kinds) if config.middle_attention else None

    def __call__(self, h: Array, embedding: Array, context: Array | None) -> Array:
        h = self.before(h, embedding)
        h = h if self.attention is None else self.attention(h, context)
        return self.after(h, embedding)


class ResidualBlock(nnx.Module):
    """``y = s(x) + W_2 * a(n(W_1 * a(n(x)) + W_t a(e)))``, at first its shortcut."""

    def __init__(self, config: UNetBackboneConfig, n_in: int, n_out: int, **kinds: Any):
        self.activation = activation_named(config.activation)
        self.scale_shift = config.scale_shift
        unseeded = _unseeded(kinds)
        self.norms = nnx.List(
            [GroupNorm(n, _groups(config, n), epsilon=config.norm_epsilon, **unseeded) for n in (n_in, n_out)]
        )
        self.first = Conv(n_in, n_out, _kernel(config), **kinds)
        self.time = linear(4 * config.widths[0], n_out * (1 + config.scale_shift), ("embed", "conv_out"), **kinds)
        self.second = Conv(n_out, n_out, _kernel(config), kernel_init=ZEROS, **kinds)
        self.shortcut = None if n_in == n_out else Conv(n_in, n_out, _kernel(config, 1), **kinds)

    def __call__(self, x: Float[Array, "B *S C"], embedding: Float[Array, "B E"]) -> Float[Array, "B *S D"]:
        h = self.first(self.activation(self.norms[0](x)))
        told = self.time(embedding)
        told = told.reshape(told.shape[0], *(1 for _ in x.shape[1:-1]), told.shape[-1])  # (B, *1, D) or (B, *1, 2 D)
        if self.scale_shift:
            scale, shift = jnp.split(told, 2, axis=-1)
            h = self.norms[1](h) * (1 + scale) + shift
        else:
            h = self.norms[1](h + told)
        h = self.second(self.activation(h))
        return (x if self.shortcut is None else self.shortcut(x)) + h


def attention_block(config: UNetBackboneConfig, width: int, **kinds: Any) -> Any:
    """Self-attention, or a transformer block where there is a context to look at."""
    return (
        AttentionBlock(config, width, **kinds) if config.cross_attention_dim is None else ContextBlock(config, width, **kinds)
    )


def _heads(config: UNetBackboneConfig, width: int) -> int:
    return config.heads or 1 if config.head_dim is None else width // config.head_dim


class AttentionBlock(nnx.Module):
    """``x + attention(n(x))`` over all positions (arXiv:2006.11239, appendix B), at first the identity."""

    def __init__(self, config: UNetBackboneConfig, width: int, **kinds: Any):
        self.norm = GroupNorm(width, _groups(config, width), epsilon=config.norm_epsilon, **_unseeded(kinds))
        self.attention = Attention(width, heads=_heads(config, width), out_init=ZEROS, **kinds)

    def __call__(self, x: Float[Array, "B *S D"], context: Array | None) -> Float[Array, "B *S D"]:
        del context  # there is none
        h = jax.lax.collapse(self.norm(x), 1, -1)  # (B, N, D)
        return x + self.attention(h).reshape(x.shape)


class ContextBlock(nnx.Module):
    """A transformer block: self-attention, attention to the context, a gated feed-forward layer (arXiv:2112.10752, app. E)."""

    def __init__(self, config: UNetBackboneConfig, width: int, **kinds: Any):
        unseeded, heads = _unseeded(kinds), _heads(config, width)
        self.norm = GroupNorm(width, _groups(config, width), epsilon=1e-6, **unseeded)
        self.before = linear(width, width, **kinds)
        self.norms = nnx.List([layer_norm(width, **kinds) for _ in range(3)])
        self.own = Attention(width, heads=heads, qkv_bias=False, **kinds)
        self.cross = Attention(width, context_features=config.cross_attention_dim, heads=heads, qkv_bias=False, **kinds)
        self.gated = linear(width, 8 * width, **kinds)
        self.narrow = linear(4 * width, width, ("mlp", "embed"), **kinds)
        self.after = linear(width, width, ("mlp", "embed"), kernel_init=ZEROS, **kinds)

    def __call__(self, x: Float[Array, "B *S D"], context: Float[Array, "B T C"] | None) -> Float[Array, "B *S D"]:
        h = self.before(jax.lax.collapse(self.norm(x), 1, -1))  # (B, N, D)
        h = h + self.own(self.norms[0](h))
        h = h + self.cross(self.norms[1](h), context)
        value, gate = jnp.split(self.gated(self.norms[2](h)), 2, axis=-1)
        h = h + self.narrow(value * jax.nn.gelu(gate, approximate=False))
        return x + self.after(h).reshape(x.shape)
