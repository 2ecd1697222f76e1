"""Networks that compute in bfloat16: coordinates keep their digits, so that what is moved or turned is the same set."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.transform
from flax import nnx

from artifex.core import plugins
from artifex.geometric import (
    AlphaCarbonDiffusion,
    AlphaCarbonDiffusionConfig,
    BackboneFlow,
    BackboneFlowConfig,
    EGNNConfig,
    EquivariantDiffusion,
    EquivariantDiffusionConfig,
    EquivariantFlowMatching,
    EquivariantFlowMatchingConfig,
    InvariantPointAttentionConfig,
    PointCloudFlow,
    PointCloudFlowConfig,
    PointCloudVAE,
    PointCloudVAEConfig,
    SetTransformerConfig,
    TemplateMesh,
    TemplateMeshConfig,
    VoxelGAN,
    VoxelGANConfig,
    VoxelVAE,
    VoxelVAEConfig,
)
from artifex.geometric.networks import create_network

RANDOM = np.random.default_rng(0)
POINTS, FEATURES = RANDOM.normal(size=(2, 6, 3)).astype(np.float32), RANDOM.normal(size=(2, 6, 2)).astype(np.float32)
MASK = np.arange(6) < np.array([[6], [5]])
ROTATION = scipy.spatial.transform.Rotation.random(rng=1).as_matrix()
SETS = SetTransformerConfig(features=8, layers=1, heads=2)
NETWORKS = {
    "egnn": EGNNConfig(features=16, layers=1),
    "invariant_point_attention": InvariantPointAttentionConfig(
        features=16, layers=1, heads=2, scalars=4, query_points=2, value_points=2, pair_features=4
    ),
    "set_transformer": SETS,
}


def network(kind: str, dtype: str | None) -> Any:
    made = create_network(NETWORKS[kind], in_features=2, out_features=3, dtype=dtype, rngs=nnx.Rngs(0))
    noise = np.random.default_rng(2)
    state = nnx.state(made, nnx.Param)
    nnx.update(made, jax.tree.map(lambda p: p + jnp.asarray(0.3 * noise.normal(size=p.shape), p.dtype), state))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype("float32")}
    return lambda x: made(jnp.where(MASK[..., None], jnp.asarray(x, jnp.float32), 0), jnp.asarray(FEATURES), jnp.asarray(MASK))


def apart(got: Any, wanted: Any) -> float:
    return float(np.abs(np.asarray(got) - np.asarray(wanted)).max() / np.abs(wanted).max())


@pytest.mark.parametrize(
    "kind", ["egnn", "invariant_point_attention", pytest.param("set_transformer", marks=pytest.mark.nightly)]
)
def test_hidden_layers_round_and_coordinates_do_not(kind: str):
    """A rounding to bfloat16 is 2^-9; some ten of them, one after the other, are 2 %."""
    half, full = network(kind, "bfloat16"), network(kind, None)
    found, wanted = half(POINTS), full(POINTS)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == jnp.float32
        assert 1e-5 < apart(a, b) < 0.05
    if kind == "set_transformer":
        return
    vectors, made = found
    turned, same = half(POINTS @ ROTATION.T)
    assert apart(turned, np.asarray(vectors) @ ROTATION.T) < 0.02
    assert apart(same, made) < 0.02
    far, there = half(POINTS + np.array([400.0, -300.0, 200.0]))  # where bfloat16 has whole numbers alone, every second of them
    assert apart(far, vectors) < 0.02
    assert apart(there, made) < 0.02


MODELS: dict[str, tuple[Any, Any, np.ndarray]] = {
    "point_cloud_flow": (PointCloudFlow, PointCloudFlowConfig(max_points=6, network=SETS, steps=1), POINTS),
    "point_cloud_vae": (PointCloudVAE, PointCloudVAEConfig(max_points=6, latent_dim=2, encoder=SETS, decoder=SETS), POINTS),
    "template_mesh": (
        TemplateMesh,
        TemplateMeshConfig(template={"icosphere": 0}, latent_dim=2, encoder=SETS, hidden_dims=(8,)),
        POINTS,
    ),
    "voxel_vae": (
        VoxelVAE,
        VoxelVAEConfig(shape=(4, 4, 4, 1), channels=(8,), latent_dim=2),
        RANDOM.integers(0, 2, (2, 4, 4, 4, 1)).astype(np.float32),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        "voxel_vae",
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("point_cloud_flow", "point_cloud_vae", "template_mesh")),
    ],
)
def test_models_give_float32_and_nearly_the_same_loss(name: str):
    cls, config, x = MODELS[name]
    losses = []
    for dtype in (None, "bfloat16"):
        model = cls(config.replace(dtype=dtype), rngs=nnx.Rngs(0))
        outputs = model(x, rngs=nnx.Rngs(1))
        assert {value.dtype for value in outputs.values()} == {jnp.dtype("float32")}
        found = model.loss_fn({"x": x}, outputs)["loss"]
        losses.append(float(getattr(found, "value", found)))
        assert model.generate(1).dtype == jnp.float32
    assert 1e-7 < abs(losses[1] / losses[0] - 1) < 0.02


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("cls", "config", "row"),
    [
        (EquivariantDiffusion, EquivariantDiffusionConfig(max_points=6, network=NETWORKS["egnn"]), (3,)),
        (EquivariantFlowMatching, EquivariantFlowMatchingConfig(max_points=6, network=NETWORKS["egnn"]), (3,)),
        (AlphaCarbonDiffusion, AlphaCarbonDiffusionConfig(max_points=6, network=NETWORKS["invariant_point_attention"]), (3,)),
        (BackboneFlow, BackboneFlowConfig(max_residues=6, network=NETWORKS["invariant_point_attention"]), (4, 3)),
    ],
)
def test_models_hand_it_to_their_networks(cls: Any, config: Any, row: tuple[int, ...]):
    for dtype, there in (("bfloat16", True), (None, False)):
        model = cls(config.replace(dtype=dtype), rngs=nnx.Rngs(0))
        program = jax.make_jaxpr(lambda x, model=model: model(x, rngs=nnx.Rngs(0)))(np.ones((2, 6, *row), np.float32))
        assert ("bf16[" in str(program)) == there
        assert {value.dtype for value in program.out_avals if jnp.issubdtype(value.dtype, jnp.floating)} == {
            jnp.dtype("float32")
        }


def test_both_networks_of_a_voxel_gan_compute_in_it():
    model = VoxelGAN(VoxelGANConfig(shape=(4, 4, 4, 1), channels=(8,), latent_dim=2, dtype="bfloat16"), rngs=nnx.Rngs(0))
    x = np.ones((2, 4, 4, 4, 1), np.float32)
    for objective in (model.discriminator_objective, model.generator_objective):
        program = str(jax.make_jaxpr(lambda x, objective=objective: objective({"x": x}, rngs=nnx.Rngs(0)))(x))
        assert "bf16[2,2,2,2,8]" in program
    assert model.generate(1).dtype == jnp.float32


def test_every_model_has_both_types():
    entries = [entry for entry, plugin in plugins.registry().entries("model") if plugin.distribution == "artifex-geometric"]
    assert len(entries) == 9
    for entry in entries:
        properties = plugins.resolve(entry.config).__dataclass_fields__
        assert {"dtype", "param_dtype"} <= properties.keys(), entry.name
