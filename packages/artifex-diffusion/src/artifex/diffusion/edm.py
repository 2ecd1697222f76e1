r"""The model of "Elucidating the Design Space of Diffusion-Based Generative Models".

Karras et al. 2022 (arXiv:2206.00364), table 1, last column:

    x = x_0 + sigma e,   log sigma ~ N(-1.2, 1.2^2)                                        in training
    D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)                                      equation 7
    loss = E lambda |D - x_0|^2,  lambda = (sigma^2 + s^2) / (sigma s)^2 = 1 / c_out^2     s = sigma_data
    sigma_i = (sigma_max^(1/7) + i / (N - 1) (sigma_min^(1/7) - sigma_max^(1/7)))^7        in sampling, by Heun's method

Shapes: ``B = batch, ... = one example``.
"""

from __future__ import annotations

from typing import Annotated

from flax import nnx

from artifex.core.config import config
from artifex.diffusion.checks import check_config
from artifex.diffusion.diffusion import DensityDiffusion, DiffusionConfig
from artifex.diffusion.parameterizations import ParameterizationField, PreconditioningConfig
from artifex.diffusion.processes import VarianceExplodingConfig, of_kind
from artifex.diffusion.sampling import HeunSamplerConfig, SamplerField

__all__ = ["EDMConfig", "EDMModel"]


@config
class EDMConfig(DiffusionConfig):
    """EDM: its preconditioning and 18 steps of Heun's method unless fields say otherwise.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> EDMConfig(input_shape=(2,), backbone=MLPBackboneConfig()).noise_schedule.sigma_max
        80.0
    """

    noise_schedule: Annotated[VarianceExplodingConfig, of_kind("variance_exploding")] = VarianceExplodingConfig()
    """Which noise, in training and in sampling."""
    parameterization: ParameterizationField = PreconditioningConfig()
    """What the network predicts: `edm` with its `sigma_data`, or another."""
    sampler: SamplerField = HeunSamplerConfig(steps=18)
    """How samples are drawn: `ddpm`, `ddim`, `euler`, `heun`, `dpm_solver_pp_2m`, `edm`, `probability_flow`, or a dict."""


class EDMModel(DensityDiffusion):
    """EDM.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> model = EDMModel(EDMConfig(input_shape=(2,), backbone=MLPBackboneConfig(hidden_dims=(16,))), rngs=nnx.Rngs(0))
        >>> model.generate(4).shape
        (4, 2)
    """

    config: EDMConfig

    def __init__(self, config: EDMConfig, *, rngs: nnx.Rngs):
        check_config(self, config, EDMConfig)
        super().__init__(config, rngs=rngs)
