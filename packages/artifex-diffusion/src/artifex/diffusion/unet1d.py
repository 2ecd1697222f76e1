r"""The U-Net on sequences ``(length, channels)``: :mod:`artifex.diffusion.unet` with one spatial axis.

Janner et al. 2022, "Planning with Diffusion for Flexible Behavior Synthesis" (arXiv:2205.09991), and Kong et al. 2020
(arXiv:2009.09761) diffuse such data; the blocks are those of images with kernels of three neighbours.

Shapes: ``B = batch, L = length, C = channels``.
"""

from __future__ import annotations

from artifex.core.config import config
from artifex.diffusion.unet import UNet, UNetBackboneConfig

__all__ = ["UNet1D", "UNet1DBackboneConfig"]


@config
class UNet1DBackboneConfig(UNetBackboneConfig):
    """A U-Net on sequences.

    Example:
        >>> UNet1DBackboneConfig(hidden_dims=[16, 32]).rank
        1
    """

    @property
    def rank(self) -> int:
        """One spatial axis."""
        return 1


class UNet1D(UNet):
    """``F(x, t, condition)`` of sequences.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> config = UNet1DBackboneConfig(hidden_dims=(8, 16), blocks_per_level=1)
        >>> UNet1D(config, (10, 2), rngs=nnx.Rngs(0))(jnp.ones((3, 10, 2)), jnp.zeros(3)).shape
        (3, 10, 2)
    """
