"""Diffusion models. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.diffusion import (
        parameterizations as parameterizations,
        processes as processes,
        samplers as samplers,
        schedules as schedules,
    )
    from artifex.diffusion.ddim import (
        DDIMConfig as DDIMConfig,
        DDIMModel as DDIMModel,
    )
    from artifex.diffusion.ddpm import (
        DDPMConfig as DDPMConfig,
        DDPMModel as DDPMModel,
    )
    from artifex.diffusion.diffusers_weights import load_diffusers as load_diffusers
    from artifex.diffusion.diffusion import (
        Diffusion as Diffusion,
        DiffusionConfig as DiffusionConfig,
    )
    from artifex.diffusion.dit import (
        DiT as DiT,
        DiTBackboneConfig as DiTBackboneConfig,
    )
    from artifex.diffusion.dit_model import (
        DiTConfig as DiTConfig,
        DiTModel as DiTModel,
    )
    from artifex.diffusion.edm import (
        EDMConfig as EDMConfig,
        EDMModel as EDMModel,
    )
    from artifex.diffusion.guided import (
        GuidedDiffusionConfig as GuidedDiffusionConfig,
        GuidedDiffusionModel as GuidedDiffusionModel,
    )
    from artifex.diffusion.latent import (
        LatentDiffusionConfig as LatentDiffusionConfig,
        LatentDiffusionModel as LatentDiffusionModel,
    )
    from artifex.diffusion.likelihood import probability_flow_log_prob as probability_flow_log_prob
    from artifex.diffusion.mlp import (
        MLPBackbone as MLPBackbone,
        MLPBackboneConfig as MLPBackboneConfig,
    )
    from artifex.diffusion.networks import (
        Backbone as Backbone,
        BackboneConfig as BackboneConfig,
    )
    from artifex.diffusion.parameterizations import (
        EpsilonConfig as EpsilonConfig,
        ParameterizationConfig as ParameterizationConfig,
        PreconditioningConfig as PreconditioningConfig,
        VConfig as VConfig,
        VelocityConfig as VelocityConfig,
        X0Config as X0Config,
    )
    from artifex.diffusion.processes import (
        Levels as Levels,
        StraightPath as StraightPath,
        StraightPathConfig as StraightPathConfig,
        VarianceExploding as VarianceExploding,
        VarianceExplodingConfig as VarianceExplodingConfig,
        VariancePreserving as VariancePreserving,
    )
    from artifex.diffusion.rectified_flow import (
        RectifiedFlowConfig as RectifiedFlowConfig,
        RectifiedFlowModel as RectifiedFlowModel,
    )
    from artifex.diffusion.sampling import (
        DDIMSamplerConfig as DDIMSamplerConfig,
        DDPMSamplerConfig as DDPMSamplerConfig,
        DPMSolverSamplerConfig as DPMSolverSamplerConfig,
        EDMSamplerConfig as EDMSamplerConfig,
        EulerSamplerConfig as EulerSamplerConfig,
        HeunSamplerConfig as HeunSamplerConfig,
        ProbabilityFlowSamplerConfig as ProbabilityFlowSamplerConfig,
        SamplerConfig as SamplerConfig,
    )
    from artifex.diffusion.schedules import (
        NoiseScheduleConfig as NoiseScheduleConfig,
        ProcessConfig as ProcessConfig,
        noise_table as noise_table,
    )
    from artifex.diffusion.score_sde import (
        ScoreSDEConfig as ScoreSDEConfig,
        ScoreSDEModel as ScoreSDEModel,
    )
    from artifex.diffusion.unet import (
        UNet as UNet,
        UNetBackboneConfig as UNetBackboneConfig,
    )
    from artifex.diffusion.unet1d import (
        UNet1D as UNet1D,
        UNet1DBackboneConfig as UNet1DBackboneConfig,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Backbone": "artifex.diffusion.networks",
        "BackboneConfig": "artifex.diffusion.networks",
        "DDIMConfig": "artifex.diffusion.ddim",
        "DDIMModel": "artifex.diffusion.ddim",
        "DDIMSamplerConfig": "artifex.diffusion.sampling",
        "DDPMConfig": "artifex.diffusion.ddpm",
        "DDPMModel": "artifex.diffusion.ddpm",
        "DDPMSamplerConfig": "artifex.diffusion.sampling",
        "DPMSolverSamplerConfig": "artifex.diffusion.sampling",
        "DiT": "artifex.diffusion.dit",
        "DiTBackboneConfig": "artifex.diffusion.dit",
        "DiTConfig": "artifex.diffusion.dit_model",
        "DiTModel": "artifex.diffusion.dit_model",
        "Diffusion": "artifex.diffusion.diffusion",
        "DiffusionConfig": "artifex.diffusion.diffusion",
        "EDMConfig": "artifex.diffusion.edm",
        "EDMModel": "artifex.diffusion.edm",
        "EDMSamplerConfig": "artifex.diffusion.sampling",
        "EpsilonConfig": "artifex.diffusion.parameterizations",
        "EulerSamplerConfig": "artifex.diffusion.sampling",
        "GuidedDiffusionConfig": "artifex.diffusion.guided",
        "GuidedDiffusionModel": "artifex.diffusion.guided",
        "HeunSamplerConfig": "artifex.diffusion.sampling",
        "LatentDiffusionConfig": "artifex.diffusion.latent",
        "LatentDiffusionModel": "artifex.diffusion.latent",
        "Levels": "artifex.diffusion.processes",
        "MLPBackbone": "artifex.diffusion.mlp",
        "MLPBackboneConfig": "artifex.diffusion.mlp",
        "NoiseScheduleConfig": "artifex.diffusion.schedules",
        "ParameterizationConfig": "artifex.diffusion.parameterizations",
        "PreconditioningConfig": "artifex.diffusion.parameterizations",
        "ProbabilityFlowSamplerConfig": "artifex.diffusion.sampling",
        "ProcessConfig": "artifex.diffusion.schedules",
        "RectifiedFlowConfig": "artifex.diffusion.rectified_flow",
        "RectifiedFlowModel": "artifex.diffusion.rectified_flow",
        "SamplerConfig": "artifex.diffusion.sampling",
        "ScoreSDEConfig": "artifex.diffusion.score_sde",
        "ScoreSDEModel": "artifex.diffusion.score_sde",
        "StraightPath": "artifex.diffusion.processes",
        "StraightPathConfig": "artifex.diffusion.processes",
        "UNet": "artifex.diffusion.unet",
        "UNet1D": "artifex.diffusion.unet1d",
        "UNet1DBackboneConfig": "artifex.diffusion.unet1d",
        "UNetBackboneConfig": "artifex.diffusion.unet",
        "VConfig": "artifex.diffusion.parameterizations",
        "VarianceExploding": "artifex.diffusion.processes",
        "VarianceExplodingConfig": "artifex.diffusion.processes",
        "VariancePreserving": "artifex.diffusion.processes",
        "VelocityConfig": "artifex.diffusion.parameterizations",
        "X0Config": "artifex.diffusion.parameterizations",
        "load_diffusers": "artifex.diffusion.diffusers_weights",
        "noise_table": "artifex.diffusion.schedules",
        "parameterizations": "artifex.diffusion.parameterizations",
        "probability_flow_log_prob": "artifex.diffusion.likelihood",
        "processes": "artifex.diffusion.processes",
        "samplers": "artifex.diffusion.samplers",
        "schedules": "artifex.diffusion.schedules",
    },
)
