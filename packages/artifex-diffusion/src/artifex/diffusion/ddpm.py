r"""The denoising diffusion probabilistic model.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (arXiv:2006.11239); the cosine schedule is Nichol & Dhariwal's
(arXiv:2102.09672):

    q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I)                        t = 0 ... T - 1, equation 4
    loss = E_{t, x_0, e} |e - e_theta(x_t, t)|^2                              equation 14, a mean over elements
    p(x_{t-1} | x_t) = q(x_{t-1} | x_t, x_0 = D(x_t, t))                      equation 7, step by step from noise

Shapes: ``B = batch, ... = one example``.
"""

from __future__ import annotations

from typing import Annotated

from flax import nnx

from artifex.core.config import config
from artifex.diffusion.checks import check_config
from artifex.diffusion.diffusion import DensityDiffusion, DiffusionConfig
from artifex.diffusion.processes import of_kind
from artifex.diffusion.schedules import NoiseScheduleConfig

__all__ = ["DDPMConfig", "DDPMModel"]


@config
class DDPMConfig(DiffusionConfig):
    """A DDPM: variance preserving, the noise predicted, drawn by ancestral sampling, unless fields say otherwise.

    Example:
        >>> from artifex.diffusion.unet import UNetBackboneConfig
        >>> made = DDPMConfig(input_shape=(12, 12, 1), backbone=UNetBackboneConfig(hidden_dims=(16, 32)))
        >>> made.noise_schedule.num_timesteps
        1000
    """

    noise_schedule: Annotated[NoiseScheduleConfig, of_kind("variance_preserving")] = NoiseScheduleConfig()
    """How the noise grows, and in how many steps."""


class DDPMModel(DensityDiffusion):
    """A denoising diffusion probabilistic model.

    Example:
        >>> import jax.numpy as jnp
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> schedule = NoiseScheduleConfig(num_timesteps=8)
        >>> config = DDPMConfig(input_shape=(2,), backbone=MLPBackboneConfig(hidden_dims=(16,)), noise_schedule=schedule)
        >>> model = DDPMModel(config, rngs=nnx.Rngs(0))
        >>> model.generate(3).shape, model.score(jnp.zeros((5, 2))).shape
        ((3, 2), (5, 2))
    """

    config: DDPMConfig

    def __init__(self, config: DDPMConfig, *, rngs: nnx.Rngs):
        check_config(self, config, DDPMConfig)
        super().__init__(config, rngs=rngs)
