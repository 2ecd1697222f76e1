"""Normalizing flows. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.flow import bijections as bijections, distributions as distributions, losses as losses, metrics as metrics
    from artifex.flow.bijections.ode import ODESolverConfig as ODESolverConfig
    from artifex.flow.conditional import (
        ConditionalFlow as ConditionalFlow,
        ConditionalFlowConfig as ConditionalFlowConfig,
        ConditionEmbeddingConfig as ConditionEmbeddingConfig,
    )
    from artifex.flow.continuous import ContinuousFlow as ContinuousFlow, ContinuousFlowConfig as ContinuousFlowConfig
    from artifex.flow.dequantization import (
        UniformDequantization as UniformDequantization,
        UniformDequantizationConfig as UniformDequantizationConfig,
        VariationalDequantization as VariationalDequantization,
        VariationalDequantizationConfig as VariationalDequantizationConfig,
    )
    from artifex.flow.distributions import (
        Mixture as Mixture,
        MixtureConfig as MixtureConfig,
        Normal as Normal,
        NormalConfig as NormalConfig,
        StudentT as StudentT,
        StudentTConfig as StudentTConfig,
        Uniform as Uniform,
        UniformConfig as UniformConfig,
    )
    from artifex.flow.flow import Flow as Flow, FlowConfig as FlowConfig
    from artifex.flow.flow_matching import FlowMatching as FlowMatching, FlowMatchingConfig as FlowMatchingConfig
    from artifex.flow.glow import Glow as Glow, GlowConfig as GlowConfig
    from artifex.flow.iaf import IAF as IAF, IAFConfig as IAFConfig
    from artifex.flow.image_flow import ImageFlow as ImageFlow, ImageFlowConfig as ImageFlowConfig
    from artifex.flow.image_real_nvp import ImageRealNVP as ImageRealNVP, ImageRealNVPConfig as ImageRealNVPConfig
    from artifex.flow.layers import ConvNetConfig as ConvNetConfig
    from artifex.flow.maf import MAF as MAF, MAFConfig as MAFConfig
    from artifex.flow.neural_spline import (
        NeuralSplineFlow as NeuralSplineFlow,
        NeuralSplineFlowConfig as NeuralSplineFlowConfig,
    )
    from artifex.flow.real_nvp import (
        CouplingNetworkConfig as CouplingNetworkConfig,
        RealNVP as RealNVP,
        RealNVPConfig as RealNVPConfig,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ConditionEmbeddingConfig": "artifex.flow.conditional",
        "ConditionalFlow": "artifex.flow.conditional",
        "ConditionalFlowConfig": "artifex.flow.conditional",
        "ConvNetConfig": "artifex.flow.layers",
        "CouplingNetworkConfig": "artifex.flow.real_nvp",
        "Flow": "artifex.flow.flow",
        "FlowConfig": "artifex.flow.flow",
        "Glow": "artifex.flow.glow",
        "GlowConfig": "artifex.flow.glow",
        "ContinuousFlow": "artifex.flow.continuous",
        "ContinuousFlowConfig": "artifex.flow.continuous",
        "FlowMatching": "artifex.flow.flow_matching",
        "FlowMatchingConfig": "artifex.flow.flow_matching",
        "IAF": "artifex.flow.iaf",
        "IAFConfig": "artifex.flow.iaf",
        "ImageFlow": "artifex.flow.image_flow",
        "ImageFlowConfig": "artifex.flow.image_flow",
        "ImageRealNVP": "artifex.flow.image_real_nvp",
        "ImageRealNVPConfig": "artifex.flow.image_real_nvp",
        "MAF": "artifex.flow.maf",
        "MAFConfig": "artifex.flow.maf",
        "Mixture": "artifex.flow.distributions",
        "MixtureConfig": "artifex.flow.distributions",
        "NeuralSplineFlow": "artifex.flow.neural_spline",
        "NeuralSplineFlowConfig": "artifex.flow.neural_spline",
        "Normal": "artifex.flow.distributions",
        "NormalConfig": "artifex.flow.distributions",
        "ODESolverConfig": "artifex.flow.bijections.ode",
        "RealNVP": "artifex.flow.real_nvp",
        "RealNVPConfig": "artifex.flow.real_nvp",
        "StudentT": "artifex.flow.distributions",
        "StudentTConfig": "artifex.flow.distributions",
        "Uniform": "artifex.flow.distributions",
        "UniformConfig": "artifex.flow.distributions",
        "UniformDequantization": "artifex.flow.dequantization",
        "UniformDequantizationConfig": "artifex.flow.dequantization",
        "VariationalDequantization": "artifex.flow.dequantization",
        "VariationalDequantizationConfig": "artifex.flow.dequantization",
        "bijections": "artifex.flow.bijections",
        "distributions": "artifex.flow.distributions",
        "losses": "artifex.flow.losses",
        "metrics": "artifex.flow.metrics",
    },
)
