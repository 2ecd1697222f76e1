r"""The diffusion transformer's own model.

Peebles & Xie 2022, "Scalable Diffusion Models with Transformers" (arXiv:2212.09748): a DDPM of the linear schedule whose
network is :mod:`artifex.diffusion.dit`. In the paper its class is dropped for one example in ten (``condition_dropout: 0.1``),
its samples are guided, and it models latents of an autoencoder, for which :mod:`artifex.diffusion.latent` takes the same
backbone.

Shapes: ``B = batch, ... = one example``.
"""

from __future__ import annotations

from flax import nnx

from artifex.core.config import config
from artifex.diffusion.checks import check_config
from artifex.diffusion.diffusion import DensityDiffusion, DiffusionConfig
from artifex.diffusion.dit import DiTBackboneConfig
from artifex.diffusion.sampling import DDPMSamplerConfig, SamplerField

__all__ = ["DiTConfig", "DiTModel"]


@config
class DiTConfig(DiffusionConfig):
    """A diffusion transformer.

    Example:
        >>> made = DiTConfig(input_shape=(8, 8, 1), backbone=DiTBackboneConfig(num_classes=10), condition_dropout=0.1)
        >>> made.sampler.steps
        250
    """

    backbone: DiTBackboneConfig = DiTBackboneConfig()
    """The transformer."""
    sampler: SamplerField = DDPMSamplerConfig(steps=250)
    """How samples are drawn: `ddpm`, `ddim`, `euler`, `heun`, `dpm_solver_pp_2m`, `edm`, `probability_flow`, or a dict."""


class DiTModel(DensityDiffusion):
    """A diffusion transformer and its diffusion.

    Example:
        >>> backbone = DiTBackboneConfig(hidden_dim=16, depth=1, heads=2)
        >>> model = DiTModel(DiTConfig(input_shape=(4, 4, 1), backbone=backbone, sampler="ddim"), rngs=nnx.Rngs(0))
        >>> model.generate(2).shape
        (2, 4, 4, 1)
    """

    config: DiTConfig

    def __init__(self, config: DiTConfig, *, rngs: nnx.Rngs):
        check_config(self, config, DiTConfig)
        super().__init__(config, rngs=rngs)
