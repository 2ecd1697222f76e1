r"""Score-based models of stochastic differential equations.

Song et al. 2020, "Score-Based Generative Modeling through Stochastic Differential Equations" (arXiv:2011.13456):

    dx = f(t) x dt + g(t) dw                                 noising in continuous time, whose marginals are alpha, sigma
    loss = E_t sigma^2 |s(x_t, t) - grad log p(x_t | x_0)|^2      equation 7; with s = -e / sigma, |e_theta - e|^2
    dx = (f x - g^2 s) dt + g dw                             equation 6, backwards: `ddpm`, its exact steps for fixed D
    dx = (f x - g^2 s / 2) dt                                equation 13, the probability flow, with its exact likelihood

The variance-preserving equation is a schedule with ``continuous_times``, the exploding one ``variance_exploding`` with
``times: log_uniform``.

Shapes: ``B = batch, ... = one example``.
"""

from __future__ import annotations

from flax import nnx

from artifex.core.config import config
from artifex.diffusion.checks import check_config
from artifex.diffusion.diffusion import DensityDiffusion, DiffusionConfig
from artifex.diffusion.processes import ProcessField
from artifex.diffusion.sampling import DDPMSamplerConfig, SamplerField
from artifex.diffusion.schedules import NoiseScheduleConfig

__all__ = ["ScoreSDEConfig", "ScoreSDEModel"]


@config
class ScoreSDEConfig(DiffusionConfig):
    """A score model in continuous time: variance preserving, drawn by the reversed equation, unless fields say otherwise.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> ScoreSDEConfig(input_shape=(2,), backbone=MLPBackboneConfig()).noise_schedule.continuous_times
        True
    """

    noise_schedule: ProcessField = NoiseScheduleConfig(continuous_times=True)
    """The process: `variance_preserving`, `variance_exploding`, `straight`, or a dict of its `kind` and fields."""
    sampler: SamplerField = DDPMSamplerConfig(steps=500)
    """How samples are drawn: `ddpm`, `ddim`, `euler`, `heun`, `dpm_solver_pp_2m`, `edm`, `probability_flow`, or a dict."""


class ScoreSDEModel(DensityDiffusion):
    """A score-based model.

    Example:
        >>> import jax.numpy as jnp
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> config = ScoreSDEConfig(input_shape=(2,), backbone=MLPBackboneConfig(hidden_dims=(16,)))
        >>> ScoreSDEModel(config, rngs=nnx.Rngs(0)).log_prob(jnp.zeros((3, 2)), steps=5).shape
        (3,)
    """

    config: ScoreSDEConfig

    def __init__(self, config: ScoreSDEConfig, *, rngs: nnx.Rngs):
        check_config(self, config, ScoreSDEConfig)
        super().__init__(config, rngs=rngs)
