"""Every flow against the conformance kit; two-dimensional ones integrate to one."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.testing.conformance import box, conformance
from artifex.flow import (
    ContinuousFlowConfig,
    FlowMatchingConfig,
    IAFConfig,
    MAFConfig,
    NeuralSplineFlowConfig,
    RealNVPConfig,
)

POINTS = {"x": np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)}
EXACT = {"exact": box(-8.0, 8.0, (2,), 200)}
SMALL = {"input_dim": 2, "num_transforms": 2, "hidden_dims": (8,)}

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

EQUAL_STEPS = {"method": "heun", "steps": 4}
"""Quicker to compile than the steps that the tolerances choose, which have tests of their own."""
VELOCITY = {"input_dim": 2, "hidden_dims": (8,), "solver": EQUAL_STEPS}
# Half a minute goes into compiling the gradient of a solution for each placement; every day the flow below it stands for both.
TestContinuousFlow = pytest.mark.nightly(
    conformance({"continuous": (ContinuousFlowConfig(**VELOCITY, jacobian_weight=0.1), POINTS, EXACT)})
)
TestFlowMatching = conformance({"matching": (FlowMatchingConfig(**VELOCITY, pairing="optimal_transport"), POINTS, EXACT)})
