r"""Real NVP on images.

Dinh et al. 2016, "Density estimation using Real NVP" (arXiv:1605.08803), section 3.6: at each scale

    affine coupling layers with checkerboard masks, in turn
    squeeze
    affine coupling layers with channel masks, in turn
    half of the channels set aside

and at the last scale one more checkerboard layer instead of all that follows the first ones. Activation normalisation (Kingma &
Dhariwal 2018) stands where the paper has batch normalisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from flax import nnx
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.flow.bijections import ActNorm, AffineTransformer, Bijection, ChannelCoupling, CheckerboardCoupling, Squeeze
from artifex.flow.image_flow import ImageFlow, ImageFlowConfig, multi_scale, squeezed

__all__ = ["ImageRealNVP", "ImageRealNVPConfig"]


@config
class ImageRealNVPConfig(ImageFlowConfig):
    """A multi-scale Real NVP on images.

    Example:
        >>> ImageRealNVPConfig(input_shape=(8, 8, 1), dequantization={"kind": "uniform", "levels": 17}).num_coupling_layers
        3
    """

    alpha: Annotated[float, Field(gt=0, lt=0.5)] | None = 0.05
    """The flow models ``logit(alpha + (1 - 2 alpha) y)`` for ``y`` in [0, 1], and never leaves that interval by more than
    ``alpha / (1 - 2 alpha)``. None: it models ``y`` itself."""
    num_coupling_layers: Annotated[int, Field(ge=2)] = 3
    """Coupling layers of each kind of mask at each scale; two are needed for every element to be transformed."""

    def __post_init__(self) -> None:
        self.check_halvings(self.num_scales - 1)
        height, width, halvings = *self.input_shape[:2], self.num_scales - 1
        if (height >> halvings) * (width >> halvings) < 2:
            raise ValueError(
                f"input_shape {self.input_shape} leaves one position at the last of num_scales={self.num_scales} scales; "
                "a checkerboard needs two at least"
            )


class ImageRealNVP(ImageFlow):
    """A multi-scale Real NVP on images.

    Raises:
        InvalidTypeError: ``config`` is not an :class:`ImageRealNVPConfig`.

    Example:
        >>> import jax.numpy as jnp
        >>> model = ImageRealNVP(ImageRealNVPConfig(input_shape=(4, 4, 1), network={"hidden_channels": 8}), rngs=nnx.Rngs(0))
        >>> model.log_prob(jnp.zeros((3, 4, 4, 1))).shape, model.generate(5).shape
        ((3,), (5, 4, 4, 1))
    """

    def __init__(self, config: ImageRealNVPConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, ImageRealNVPConfig):
            raise InvalidTypeError(f"ImageRealNVP takes an ImageRealNVPConfig, got {type(config).__name__}: {config!r}")
        transformer = AffineTransformer(config.min_scale, 1 / config.min_scale)

        def normalised(channels: int, coupling: Callable[..., Bijection], **which: bool) -> list[Bijection]:
            made = coupling(channels, transformer, config.network, **which, **config.coupling(), rngs=rngs)
            return [ActNorm(channels, param_dtype=config.param_dtype), made]

        def stage(shape: tuple[int, int, int], last: bool) -> tuple[list[Bijection], tuple[int, int, int]]:
            layers: list[Bijection] = []
            for i in range(config.num_coupling_layers + last):
                layers += normalised(shape[-1], CheckerboardCoupling, odd=i % 2 == 1)
            if last:
                return layers, shape
            layers.append(Squeeze())
            shape = squeezed(shape)
            for i in range(config.num_coupling_layers):
                layers += normalised(shape[-1], ChannelCoupling, second_steers=i % 2 == 1)
            return layers, shape

        super().__init__(config, multi_scale(config.shape, config.num_scales, stage), rngs=rngs)
