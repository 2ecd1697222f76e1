r"""Rectified flow.

Liu, Gong & Liu 2022, "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow" (arXiv:2209.03003),
with time running from the data to noise as in Esser et al. 2024 (arXiv:2403.03206):

    x_t = (1 - t) x_0 + t e
    loss = E_t |v(x_t, t) - (e - x_0)|^2                        equation 1
    dx = v(x, t) dt, from t = 1 to 0                            by Euler's method unless fields say otherwise

Shapes: ``B = batch, ... = one example``.
"""

from __future__ import annotations

from typing import Annotated

from flax import nnx

from artifex.core.config import config
from artifex.diffusion.checks import check_config
from artifex.diffusion.diffusion import DensityDiffusion, DiffusionConfig
from artifex.diffusion.parameterizations import ParameterizationField, VelocityConfig
from artifex.diffusion.processes import StraightPathConfig, of_kind
from artifex.diffusion.sampling import EulerSamplerConfig, SamplerField

__all__ = ["RectifiedFlowConfig", "RectifiedFlowModel"]


@config
class RectifiedFlowConfig(DiffusionConfig):
    """A rectified flow.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> RectifiedFlowConfig(input_shape=(2,), backbone=MLPBackboneConfig()).noise_schedule.times
        'uniform'
    """

    noise_schedule: Annotated[StraightPathConfig, of_kind("straight")] = StraightPathConfig()
    """Which times are trained at, and sampled through."""
    parameterization: ParameterizationField = VelocityConfig()
    """What the network predicts: `velocity`, or another."""
    sampler: SamplerField = EulerSamplerConfig()
    """How samples are drawn: `ddpm`, `ddim`, `euler`, `heun`, `dpm_solver_pp_2m`, `edm`, `probability_flow`, or a dict."""


class RectifiedFlowModel(DensityDiffusion):
    """A rectified flow.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> config = RectifiedFlowConfig(input_shape=(2,), backbone=MLPBackboneConfig(hidden_dims=(16,)))
        >>> RectifiedFlowModel(config, rngs=nnx.Rngs(0)).generate(4).shape
        (4, 2)
    """

    config: RectifiedFlowConfig

    def __init__(self, config: RectifiedFlowConfig, *, rngs: nnx.Rngs):
        check_config(self, config, RectifiedFlowConfig)
        super().__init__(config, rngs=rngs)
