"""Every flow against the conformance kit; two-dimensional ones integrate to one."""

from __future__ import annotations

import numpy as np

from artifex.core.testing.conformance import box, conformance
from artifex.flow import ConditionalFlowConfig, IAFConfig, MAFConfig, NeuralSplineFlowConfig, RealNVPConfig

POINTS = {"x": np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)}
EXACT = {"exact": box(-8.0, 8.0, (2,), 200)}
SMALL = {"input_dim": 2, "num_transforms": 2, "hidden_dims": (8,)}
OBSERVED = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)

TestMAF = conformance({"maf": (MAFConfig(**SMALL), POINTS, EXACT)})
TestIAF = conformance({"iaf": (IAFConfig(**SMALL), POINTS, EXACT)})
TestNeuralSplineFlow = conformance(
    {
        "autoregressive": (NeuralSplineFlowConfig(**SMALL, bins=4), POINTS, EXACT),
        "coupling": (NeuralSplineFlowConfig(**SMALL, layer="coupling", bins=4), POINTS, EXACT),
    }
)
TestRealNVP = conformance(
    {"real_nvp": (RealNVPConfig(input_dim=2, num_coupling_layers=2, coupling_network={"hidden_dims": (8,)}), POINTS, EXACT)}
)
TestConditionalFlow = conformance(
    {
        "embedded": (
            ConditionalFlowConfig(flow=MAFConfig(**SMALL), condition_dim=3, embedding={"hidden_dims": (8,), "features": 4}),
            {**POINTS, "condition": OBSERVED},
            EXACT | {"sampling": {"condition": OBSERVED}},
        )
    }
)
