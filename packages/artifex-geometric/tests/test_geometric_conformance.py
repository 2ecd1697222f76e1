"""Every geometric model against the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.testing.conformance import conformance
from artifex.geometric import (
    AlphaCarbonDiffusionConfig,
    BackboneFlowConfig,
    EGNNConfig,
    EquivariantDiffusionConfig,
    EquivariantFlowMatchingConfig,
    InvariantPointAttentionConfig,
    PointCloudFlowConfig,
    PointCloudVAEConfig,
    SetTransformerConfig,
    TemplateMeshConfig,
    VoxelGANConfig,
    VoxelVAEConfig,
)

RANDOM = np.random.default_rng(0)
MASK = np.arange(5)[None] < (3 + np.arange(8) % 3)[:, None]
CLOUDS = {"x": np.where(MASK[..., None], RANDOM.normal(size=(8, 5, 3)), 0).astype(np.float32), "mask": MASK}
TYPES = np.eye(2, dtype=np.float32)[RANDOM.integers(0, 2, (8, 5))]
MOLECULES = {**CLOUDS, "x": np.where(MASK[..., None], np.concatenate([CLOUDS["x"], TYPES], axis=-1), 0)}
BACKBONES = {
    "x": np.where(MASK[..., None, None], 3 * RANDOM.normal(size=(8, 5, 4, 3)), 0).astype(np.float32),
    "mask": MASK,
    "residue_index": np.tile(np.arange(5, dtype=np.int32), (8, 1)),
    "residue_type": np.tile(np.arange(5, dtype=np.int32) % 3, (8, 1)),
}
VOXELS = {"x": (RANDOM.random((8, 4, 4, 4, 1)) > 0.5).astype(np.float32)}
SURFACES = {"x": RANDOM.normal(size=(8, 12, 3)).astype(np.float32)}
SIZES = {"max_points": 5, "size_counts": (0, 0, 3, 3, 2)}
EGNN = EGNNConfig(features=8, layers=1)
SETS = SetTransformerConfig(features=8, layers=1, heads=2)
CHAIN = InvariantPointAttentionConfig(features=8, layers=1, heads=2, scalars=4, query_points=2, value_points=2, pair_features=4)

TestEquivariantDiffusion = conformance(
    {"molecules": (EquivariantDiffusionConfig(**SIZES, n_types=2, network=EGNN, timesteps=3), MOLECULES)}
)
TestPointCloudVAE = conformance(
    {"clouds": (PointCloudVAEConfig(**SIZES, latent_dim=2, encoder=SETS, decoder=SETS, kl_weight=0.1), CLOUDS)}
)
TestVoxelVAE = conformance({"voxels": (VoxelVAEConfig(shape=(4, 4, 4, 1), channels=(8,), latent_dim=2), VOXELS)})
TestTemplateMesh = conformance(
    {
        "sphere": (
            TemplateMeshConfig(template={"icosphere": 0}, latent_dim=2, encoder=SETS, hidden_dims=(8,)),
            SURFACES,
        )
    }
)
TestBackboneFlow = conformance(
    {"chains": (BackboneFlowConfig(max_residues=5, network=CHAIN, n_residue_types=3, steps=2), BACKBONES)}
)
# The four above stand for these every day: the same networks, paths and layers.
TestAlphaCarbonDiffusion = pytest.mark.nightly(
    conformance({"chains": (AlphaCarbonDiffusionConfig(**SIZES, network=CHAIN, timesteps=3), CLOUDS)})
)
TestEquivariantFlowMatching = pytest.mark.nightly(
    conformance({"molecules": (EquivariantFlowMatchingConfig(**SIZES, n_types=2, network=EGNN, steps=2), MOLECULES)})
)
TestPointCloudFlow = pytest.mark.nightly(
    conformance({"clouds": (PointCloudFlowConfig(**SIZES, network=SETS, steps=2), CLOUDS)})
)
TestVoxelGAN = pytest.mark.nightly(
    conformance({"voxels": (VoxelGANConfig(shape=(4, 4, 4, 1), channels=(8,), latent_dim=2), VOXELS)})
)
