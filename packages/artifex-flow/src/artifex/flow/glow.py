r"""Glow.

Kingma & Dhariwal 2018, "Glow: Generative Flow with Invertible 1x1 Convolutions" (arXiv:1807.03039), figure 2, table 1: at each
scale

    squeeze
    K steps of flow:   activation normalisation;  invertible 1x1 convolution y = P L (U + diag(s)) x + b;  affine coupling
    half of the channels set aside

and just before the last, one more affine coupling says where the half lies given the other: the paper's learned prior.
"""

from __future__ import annotations

from flax import nnx

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.flow.bijections import ActNorm, AffineTransformer, Bijection, ChannelCoupling, LULinear, Squeeze
from artifex.flow.flow import PositiveInt
from artifex.flow.image_flow import ImageFlow, ImageFlowConfig, multi_scale, squeezed

__all__ = ["Glow", "GlowConfig"]


@config
class GlowConfig(ImageFlowConfig):
    """A Glow.

    Example:
        >>> GlowConfig(input_shape=(32, 32, 3), num_scales=3, num_steps=16).levels
        256
    """

    num_steps: PositiveInt = 8
    """Steps of flow at each scale, ``K``."""

    def __post_init__(self) -> None:
        self.check_halvings(self.num_scales)


class Glow(ImageFlow):
    """A Glow.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`GlowConfig`.

    Example:
        >>> import jax.numpy as jnp
        >>> model = Glow(GlowConfig(input_shape=(4, 4, 1), num_steps=2, network={"hidden_channels": 8}), rngs=nnx.Rngs(0))
        >>> model.log_prob(jnp.zeros((3, 4, 4, 1))).shape, model.generate(5).shape
        ((3,), (5, 4, 4, 1))
    """

    def __init__(self, config: GlowConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, GlowConfig):
            raise InvalidTypeError(f"Glow takes a GlowConfig, got {type(config).__name__}: {config!r}")

        transformer, dtype = AffineTransformer(config.min_scale, 1 / config.min_scale), config.param_dtype

        def coupling(channels: int) -> Bijection:
            return ChannelCoupling(channels, transformer, config.network, **config.coupling(), rngs=rngs)

        def stage(shape: tuple[int, int, int], last: bool) -> tuple[list[Bijection], tuple[int, int, int]]:
            del last
            shape = squeezed(shape)
            layers: list[Bijection] = [Squeeze()]
            for _ in range(config.num_steps):
                rotation = LULinear(shape[-1], random=True, param_dtype=dtype, rngs=rngs)
                layers += [ActNorm(shape[-1], param_dtype=dtype), rotation, coupling(shape[-1])]
            return layers, shape

        super().__init__(config, multi_scale(config.shape, config.num_scales, stage, coupling), rngs=rngs)
