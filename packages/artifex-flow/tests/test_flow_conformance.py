"""Every flow against the conformance kit; two-dimensional ones integrate to one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from artifex.core.testing.conformance import Space, box, conformance
from artifex.flow import (
    ConditionalFlowConfig,
    ContinuousFlowConfig,
    FlowMatchingConfig,
    GlowConfig,
    IAFConfig,
    ImageRealNVPConfig,
    MAFConfig,
    NeuralSplineFlowConfig,
    RealNVPConfig,
)

POINTS = {"x": np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)}
EXACT = {"exact": box(-8.0, 8.0, (2,), 200)}
SMALL = {"input_dim": 2, "num_transforms": 2, "hidden_dims": (8,)}
OBSERVED = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)

TestMAF = conformance({"maf": (MAFConfig(**SMALL), POINTS, EXACT)})
TestIAF = conformance({"iaf": (IAFConfig(**SMALL), POINTS, EXACT)})
TestNeuralSplineFlow = conformance({"autoregressive": (NeuralSplineFlowConfig(**SMALL, bins=4), POINTS, EXACT)})
# Every day the flow above stands for splines, and RealNVP for couplings; their bijection is in test_flow_bijections.py.
TestSplineCoupling = pytest.mark.nightly(
    conformance({"coupling": (NeuralSplineFlowConfig(**SMALL, layer="coupling", bins=4), POINTS, EXACT)})
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


def normal_points(shape: tuple[int, ...], n: int = 4096) -> Space:
    """Quasi-random points of a normal distribution a little wider than the standard one, which untrained flows are near to."""
    wide = scipy.stats.norm(scale=1.2)
    z = wide.ppf(scipy.stats.qmc.Sobol(int(np.prod(shape)), seed=0).random(n))
    return Space(z.reshape(n, *shape).astype(np.float32), np.exp(-wide.logpdf(z).sum(axis=1)) / n)


IMAGES = {"num_scales": 1, "network": {"hidden_channels": 4}}
QUADRUPLES = {"x": np.random.default_rng(0).normal(size=(8, 2, 2, 1)).astype(np.float32)}
LEVELS = {
    "x": np.random.default_rng(0).integers(0, 4, (8, 2, 4, 1)).astype(np.float32) / 3,
    "condition": np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32),
}
VARIATIONAL = {"kind": "variational", "levels": 4, "num_layers": 2, "network": {"hidden_channels": 4}}

TestGlow = conformance(
    {
        "continuous": (
            GlowConfig(input_shape=(2, 2, 1), num_steps=1, dequantization=None, **IMAGES),
            QUADRUPLES,
            {"exact": normal_points((2, 2, 1))},
        )
    }
)
TestImageRealNVP = conformance(
    {
        "levels": (
            ImageRealNVPConfig(
                input_shape=(2, 4, 1), num_coupling_layers=2, condition_dim=3, dequantization=VARIATIONAL, **IMAGES
            ),
            LEVELS,
            {"sampling": {"condition": LEVELS["condition"]}},
        )
    }
)

EQUAL_STEPS = {"method": "heun", "steps": 4}
"""Quicker to compile than the steps that the tolerances choose, which have tests of their own."""
VELOCITY = {"input_dim": 2, "hidden_dims": (8,), "solver": EQUAL_STEPS}
# Half a minute goes into compiling the gradient of a solution for each placement; every day the flow below it stands for both.
TestContinuousFlow = pytest.mark.nightly(
    conformance({"continuous": (ContinuousFlowConfig(**VELOCITY, jacobian_weight=0.1), POINTS, EXACT)})
)
TestFlowMatching = conformance({"matching": (FlowMatchingConfig(**VELOCITY, pairing="optimal_transport"), POINTS, EXACT)})
