"""Normalizing flows. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.flow import bijections as bijections, distributions as distributions
    from artifex.flow.bijections.ode import ODESolverConfig as ODESolverConfig
    from artifex.flow.continuous import ContinuousFlow as ContinuousFlow, ContinuousFlowConfig as ContinuousFlowConfig
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
    from artifex.flow.iaf import IAF as IAF, IAFConfig as IAFConfig
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
        "ContinuousFlow": "artifex.flow.continuous",
        "ContinuousFlowConfig": "artifex.flow.continuous",
        "CouplingNetworkConfig": "artifex.flow.real_nvp",
        "Flow": "artifex.flow.flow",
        "FlowConfig": "artifex.flow.flow",
        "FlowMatching": "artifex.flow.flow_matching",
        "FlowMatchingConfig": "artifex.flow.flow_matching",
        "IAF": "artifex.flow.iaf",
        "IAFConfig": "artifex.flow.iaf",
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
        "bijections": "artifex.flow.bijections",
        "distributions": "artifex.flow.distributions",
    },
)
