"""The documented long path of :mod:`artifex.flow`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.flow.bijections.ode import ODESolverConfig as ODESolverConfig
    from artifex.flow.conditional import (
        ConditionalFlow as ConditionalFlow,
        ConditionalFlowConfig as ConditionalFlowConfig,
        ConditionEmbeddingConfig as ConditionEmbeddingConfig,
    )
    from artifex.flow.continuous import ContinuousFlow as ContinuousFlow, ContinuousFlowConfig as ContinuousFlowConfig
    from artifex.flow.flow import FlowConfig as FlowConfig
    from artifex.flow.flow_matching import FlowMatching as FlowMatching, FlowMatchingConfig as FlowMatchingConfig
    from artifex.flow.glow import Glow as Glow, GlowConfig as GlowConfig
    from artifex.flow.iaf import IAF as IAF, IAFConfig as IAFConfig
    from artifex.flow.image_real_nvp import ImageRealNVP as ImageRealNVP, ImageRealNVPConfig as ImageRealNVPConfig
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
        "CouplingNetworkConfig": "artifex.flow.real_nvp",
        "FlowConfig": "artifex.flow.flow",
        "Glow": "artifex.flow.glow",
        "GlowConfig": "artifex.flow.glow",
        "ContinuousFlow": "artifex.flow.continuous",
        "ContinuousFlowConfig": "artifex.flow.continuous",
        "FlowMatching": "artifex.flow.flow_matching",
        "FlowMatchingConfig": "artifex.flow.flow_matching",
        "IAF": "artifex.flow.iaf",
        "IAFConfig": "artifex.flow.iaf",
        "ImageRealNVP": "artifex.flow.image_real_nvp",
        "ImageRealNVPConfig": "artifex.flow.image_real_nvp",
        "MAF": "artifex.flow.maf",
        "MAFConfig": "artifex.flow.maf",
        "NeuralSplineFlow": "artifex.flow.neural_spline",
        "NeuralSplineFlowConfig": "artifex.flow.neural_spline",
        "ODESolverConfig": "artifex.flow.bijections.ode",
        "RealNVP": "artifex.flow.real_nvp",
        "RealNVPConfig": "artifex.flow.real_nvp",
    },
)
