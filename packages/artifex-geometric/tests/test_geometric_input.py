"""Input that people have: other types of numbers, sets of one point, clouds of any size, and what cannot be used, by name."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose
from pydantic import ValidationError

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.geometry import Frame
from artifex.core.value_ranges import check_values
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
    losses,
)
from artifex.geometric.mesh import mesh_topology
from artifex.geometric.metrics import (
    cloud_coverage,
    earth_movers_distance,
    minimum_matching_distance,
    one_nearest_neighbor_accuracy,
)
from artifex.geometric.template_mesh import TemplateConfig

RANDOM = np.random.default_rng(0)
EGNN = EGNNConfig(features=4, layers=1)
SETS = SetTransformerConfig(features=8, layers=1, heads=2)
CHAIN = InvariantPointAttentionConfig(features=4, layers=1, heads=1, scalars=2, query_points=1, value_points=1, pair_features=2)


def loss_of(model: Any, batch: dict[str, Any]) -> float:
    inputs = {key: value for key, value in batch.items() if key != "x"}
    found = model.loss_fn(batch, model(batch["x"], **inputs, rngs=nnx.Rngs(3)))["loss"]
    return float(getattr(found, "value", found))


@pytest.fixture(scope="module")
def diffusion() -> EquivariantDiffusion:
    config = EquivariantDiffusionConfig(max_points=4, n_types=2, network=EGNN, timesteps=4, size_counts=(1, 1, 1, 1))
    return EquivariantDiffusion(config, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def flow() -> EquivariantFlowMatching:
    return EquivariantFlowMatching(EquivariantFlowMatchingConfig(max_points=4, network=EGNN, steps=2), rngs=nnx.Rngs(0))


def test_a_set_of_one_point_has_a_likelihood(diffusion: EquivariantDiffusion):
    """A lone atom has no direction, no size and no dimension: it is as probable wherever it is."""
    x = jnp.array([[[0.0, 0, 0, 1, 0]], [[9.0, 9, 9, 1, 0]]])
    found = diffusion.log_prob(x, num_times=4, rngs=nnx.Rngs(0))
    assert np.isfinite(found).all()
    moved = diffusion.log_prob(x + jnp.array([5.0, 0, 0, 0, 0])[None, None], num_times=4, rngs=nnx.Rngs(0))
    assert_allclose(moved, found, atol=1e-5)
    assert np.isfinite(loss_of(diffusion, {"x": x}))
    made, mask = diffusion.sample_sets(3, sizes=1, rngs=nnx.Rngs(0))
    assert int(mask.sum()) == 3
    assert_allclose(made[:, 0, :3], 0, atol=1e-6)


def test_a_flow_of_one_and_of_two_points_has_gradients():
    """Two points lie on a line: any rotation about it aligns them."""
    config = EquivariantFlowMatchingConfig(max_points=2, network=EGNN, steps=2)
    graph, params, rest = nnx.split(EquivariantFlowMatching(config, rngs=nnx.Rngs(0)), nnx.Param, ...)
    x, mask = jnp.asarray(RANDOM.normal(size=(2, 2, 3)), jnp.float32), jnp.array([[True, False], [True, True]])

    @jax.jit
    @jax.grad
    def slope(params: Any) -> Any:
        model = nnx.merge(graph, params, rest)
        return model.loss_fn({"x": x, "mask": mask}, model(x, mask=mask, rngs=nnx.Rngs(0)))["loss"].value

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope(params)))


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.float16, bool])
def test_numbers_of_other_types_are_numbers(dtype: Any):
    """Whole and half numbers, and the bits that voxels are kept as, give what float32 gives."""
    clouds, voxels = RANDOM.integers(0, 2, (2, 6, 3)), RANDOM.integers(0, 2, (2, 4, 4, 4, 1))
    small = {"latent_dim": 2, "encoder": SETS}
    models = {
        "vae": (PointCloudVAE(PointCloudVAEConfig(max_points=6, decoder=SETS, **small), rngs=nnx.Rngs(0)), clouds),
        "mesh": (
            TemplateMesh(TemplateMeshConfig(template={"icosphere": 0}, hidden_dims=(4,), **small), rngs=nnx.Rngs(0)),
            clouds,
        ),
        "voxels": (VoxelVAE(VoxelVAEConfig(shape=(4, 4, 4, 1), channels=(8,), latent_dim=2), rngs=nnx.Rngs(0)), voxels),
    }
    for name, (model, x) in models.items():
        assert_allclose(
            loss_of(model, {"x": jnp.asarray(x.astype(dtype))}),
            loss_of(model, {"x": jnp.asarray(x, jnp.float32)}),
            rtol=1e-5,
            err_msg=name,
        )


def test_a_mesh_is_fitted_to_any_number_of_points_and_padding_is_none():
    config = TemplateMeshConfig(template={"icosphere": 0}, latent_dim=2, encoder=SETS, hidden_dims=(4,))
    model = TemplateMesh(config, rngs=nnx.Rngs(0))
    x = RANDOM.normal(size=(2, 30, 3)).astype(np.float32)
    longer = np.concatenate([x, np.full((2, 7, 3), np.nan, np.float32)], axis=1)
    mask = np.arange(37)[None] < np.full((2, 1), 30)
    wanted = loss_of(model, {"x": jnp.asarray(x)})
    assert_allclose(loss_of(model, {"x": jnp.asarray(longer), "mask": jnp.asarray(mask)}), wanted, rtol=1e-6)
    assert model.reconstruct(jnp.asarray(x)).shape == (2, 12, 3)
    matched = TemplateMesh(config.replace(vertex_weight=1.0), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match="x has 30 points and the template 12 vertices"):
        matched.encode(jnp.asarray(x))


FLAT = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (4.0, 4.0, 0.0), (5.0, 4.0, 0.0), (4.0, 5.0, 0.0))


@pytest.mark.parametrize("faces", [((0, 1, 2),), ((0, 1, 2), (3, 4, 5))], ids=["one triangle", "two apart"])
def test_triangles_without_a_neighbour_do_not_bend(faces: tuple[tuple[int, int, int], ...]):
    """A mean of no pair adds nothing, to the loss and to its gradient."""
    n = 1 + max(map(max, faces))
    vertices, mesh = jnp.asarray(FLAT[:n])[None], mesh_topology(faces, n)
    value, slope = jax.value_and_grad(lambda v: losses.normal_consistency_loss(v, mesh)[0])(vertices)
    assert value == 0
    assert_allclose(slope, 0)


def test_one_triangle_is_a_template():
    small = {"latent_dim": 2, "encoder": SETS, "hidden_dims": (4,)}
    config = TemplateMeshConfig(template={"vertices": FLAT[:3], "faces": [[0, 1, 2]]}, **small)
    found = loss_of(TemplateMesh(config, rngs=nnx.Rngs(0)), {"x": jnp.ones((2, 5, 3))})
    assert np.isfinite(found)
    assert found > 0


def test_a_vertex_of_no_face_has_no_curvature_and_is_no_template():
    mesh = mesh_topology(((0, 1, 2), (3, 4, 5)), 7)
    vertices = jnp.asarray((*FLAT, (9.0, 9.0, 9.0)))[None]
    for laplacian in (losses.uniform_laplacian, losses.cotangent_laplacian):
        found = laplacian(vertices, mesh)
        assert np.isfinite(found).all()
        assert_allclose(found[0, 6], 0)
    assert_allclose(losses.uniform_laplacian(vertices, mesh)[0, 0], [0.5, 0.5, 0])
    for count in (losses.edge_loss, losses.normal_consistency_loss):
        assert_allclose(count(vertices, mesh_topology((), 7)), 0)
    with pytest.raises(ValidationError, match="2 of the 6 vertices are in no face, vertex 1 first; leave them out"):
        TemplateConfig(vertices=FLAT, faces=((0, 2, 3), (2, 3, 4)))
    with pytest.raises(ValidationError, match="finite"):
        TemplateConfig(vertices=(*FLAT[:2], (float("nan"), 0.0, 0.0)), faces=((0, 1, 2),))


def test_a_backbone_flow_learns_to_do_without_types():
    """Samples are drawn without types: with every type hidden the loss does not depend on them, with none hidden it does."""
    x = jnp.asarray(3 * RANDOM.normal(size=(2, 4, 4, 3)), jnp.float32)
    types = [jnp.full((2, 4), i, jnp.int32) for i in (0, 1)]
    for hidden, same in ((1.0, True), (0.0, False)):
        model = BackboneFlow(
            BackboneFlowConfig(max_residues=4, network=CHAIN, n_residue_types=2, hidden_types=hidden), rngs=nnx.Rngs(0)
        )
        state = nnx.state(model, nnx.Param)
        nnx.update(model, jax.tree.map(lambda p: p + 0.1 * jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), state))
        losses = [loss_of(model, {"x": x, "residue_type": given}) for given in types]
        assert (losses[0] == losses[1]) == same


def test_samples_are_single_chains_without_gaps():
    """What a sampler tells the network is what a batch of residues 0, 1, 2 ... of one chain and unknown types does."""
    model = BackboneFlow(BackboneFlowConfig(max_residues=4, network=CHAIN, n_residue_types=2, steps=1), rngs=nnx.Rngs(0))
    state = nnx.state(model, nnx.Param)
    nnx.update(model, jax.tree.map(lambda p: p + 0.1 * jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), state))
    mask, index = jnp.arange(4)[None] < jnp.array([[4], [3]]), jnp.tile(jnp.arange(4), (2, 1))
    points = jnp.where(mask[..., None], jnp.asarray(RANDOM.normal(size=(2, 4, 3)), jnp.float32), 0)
    frames, t = Frame(jnp.tile(jnp.eye(3), (2, 4, 1, 1)), points), jnp.zeros(2)
    sampled = model.predicted(frames, t, mask)  # as `carried` asks
    told = {"residue_index": index, "chain": jnp.zeros((2, 4), int), "residue_type": jnp.full((2, 4), -1)}
    for a, b in zip(model.predicted(frames, t, mask, **told), sampled, strict=True):
        assert_allclose(a, b, atol=1e-6)
    for name, other in {"residue_index": 5 * index, "chain": index // 2, "residue_type": index // 2}.items():
        moved, _ = model.predicted(frames, t, mask, **{**told, name: other})
        assert np.abs(moved - sampled[0]).max() > 1e-4
    assert model.sample_sets(2, sizes=[4, 3])[1].sum(axis=1).tolist() == [4, 3]


def test_a_type_of_residue_that_is_none_stops_training_and_is_not_taken_for_unknown():
    model = BackboneFlow(BackboneFlowConfig(max_residues=4, network=CHAIN, n_residue_types=2), rngs=nnx.Rngs(0))
    x, types = 3 * RANDOM.normal(size=(2, 4, 4, 3)).astype(np.float32), np.array([[0, 1, -1, 0], [1, 1, 0, 0]])
    mask = np.ones((2, 4), bool)
    mask[0, 3] = False
    assert np.isfinite(loss_of(model, {"x": jnp.asarray(x), "mask": mask, "residue_type": types}))
    padded = np.where(mask, types, 7)  # behind the chain anything may stand
    assert np.isfinite(loss_of(model, {"x": jnp.asarray(x), "mask": mask, "residue_type": padded}))
    types[1, 2] = 2
    config = model.config.replace(hidden_types=0.0)
    assert np.isnan(loss_of(BackboneFlow(config, rngs=nnx.Rngs(0)), {"x": jnp.asarray(x), "residue_type": types}))
    with pytest.raises(DataError, match="'residue_type' of row 1 holds 2, but the model takes whole numbers from -1 to 1"):
        check_values({"residue_type": types}, model.value_ranges({}), "the model")


SETS_WITH_TYPES = {
    EquivariantDiffusion: EquivariantDiffusionConfig(max_points=4, n_types=2, n_integers=1, network=EGNN, timesteps=2),
    EquivariantFlowMatching: EquivariantFlowMatchingConfig(max_points=4, n_types=2, n_integers=1, network=EGNN, steps=2),
    AlphaCarbonDiffusion: AlphaCarbonDiffusionConfig(max_points=4, n_types=2, n_integers=1, network=CHAIN, timesteps=2),
}


@pytest.mark.parametrize("cls", SETS_WITH_TYPES, ids=lambda cls: cls.__name__)
def test_points_without_one_type_are_refused_before_training(cls: Any):
    model = cls(SETS_WITH_TYPES[cls], rngs=nnx.Rngs(0))
    x = np.zeros((2, 4, 6), np.float32)
    x[..., 3], x[..., 5] = 1, 6
    mask = np.arange(4) < np.array([[4], [3]])
    x[1, 3] = np.nan
    batch = {"x": x, "mask": mask}
    check_values(batch, model.value_ranges(batch), "the model")
    for types in ((0, 0), (1, 1), (7, 0)):
        x[1, 2, 3:5] = types
        with pytest.raises(
            DataError, match=r"'x' of row 1 holds \(.*\) in columns 3 to 4 of point 2, .* the model takes there one 1"
        ):
            check_values(batch, model.value_ranges(batch), "the model")
    x[1, 2, 3:] = 0, 1, 6.5
    with pytest.raises(DataError, match=r"'x' of row 1 holds \(6.5\) in columns 5 to 5 of point 2"):
        check_values(batch, model.value_ranges(batch), "the model")
    bare = cls(SETS_WITH_TYPES[cls].replace(n_types=0, n_integers=0), rngs=nnx.Rngs(0))
    assert bare.value_ranges({"x": x[..., :3]}) == {}


@pytest.mark.parametrize("cls", [VoxelVAE, VoxelGAN])
@pytest.mark.parametrize(("scale", "shift", "fix"), [(2, -1, r"write \(x \+ 1\) / 2"), (255, 0, r"/ 255")])
def test_voxels_are_full_or_empty_or_between(cls: Any, scale: float, shift: float, fix: str):
    config = {VoxelVAE: VoxelVAEConfig, VoxelGAN: VoxelGANConfig}[cls](shape=(4, 4, 4, 1), channels=(8,), latent_dim=2)
    ranges = cls(config, rngs=nnx.Rngs(0)).value_ranges({})
    x = RANDOM.integers(0, 2, (2, 4, 4, 4, 1))
    for given in (x, x.astype(bool), x.astype(np.float32), 0.5 * x):
        check_values({"x": given}, ranges, "the model")
    with pytest.raises(DataError, match=rf"but the model takes numbers from 0 to 1: .*{fix}"):
        check_values({"x": scale * x + shift}, ranges, "the model")


def test_what_makes_no_sets_is_one_message(diffusion: EquivariantDiffusion, flow: EquivariantFlowMatching):
    """Of every model: what is no array, what has no rows, masks and numbers along a set that are not as long as it."""
    small = {"latent_dim": 2, "encoder": SETS}
    backbones = BackboneFlow(BackboneFlowConfig(max_residues=4, network=CHAIN, n_residue_types=2), rngs=nnx.Rngs(0))
    cloud_vae = PointCloudVAE(PointCloudVAEConfig(max_points=4, decoder=SETS, **small), rngs=nnx.Rngs(0))
    voxels = {"shape": (4, 4, 4, 1), "channels": (8,), "latent_dim": 2}
    voxel_vae = VoxelVAE(VoxelVAEConfig(**voxels), rngs=nnx.Rngs(0))
    for model, row in {
        diffusion: (5,),
        flow: (3,),
        AlphaCarbonDiffusion(AlphaCarbonDiffusionConfig(max_points=4, network=CHAIN), rngs=nnx.Rngs(0)): (3,),
        backbones: (4, 3),
        PointCloudFlow(PointCloudFlowConfig(max_points=4, network=SETS), rngs=nnx.Rngs(0)): (3,),
        cloud_vae: (3,),
        TemplateMesh(TemplateMeshConfig(template={"icosphere": 0}, hidden_dims=(4,), **small), rngs=nnx.Rngs(0)): (3,),
    }.items():
        for wrong, said in (
            ("abc", "x is a str that makes no array"),
            (None, "x is a NoneType"),
            ([[1.0], [1.0, 2.0]], "x is a list"),
        ):
            with pytest.raises(InvalidInputError, match=said):
                model(wrong)
        with pytest.raises(InvalidInputError, match=r"x has shape \(2, 0, .*\); (sets|backbones)"):
            model(np.zeros((2, 0, *row)))
        with pytest.raises(InvalidInputError, match="x is complex64; give real numbers"):
            model(np.zeros((2, 4, *row), np.complex64))
        for mask in (np.ones((2, 3), bool), np.ones(4, bool)):
            with pytest.raises(InvalidInputError, match=r"the mask has shape"):
                model(np.zeros((2, 4, *row)), mask=mask)
    for name in ("residue_index", "chain", "residue_type"):
        for wrong in (np.zeros((2, 3), int), np.zeros(4, int), np.zeros((2, 4))):
            with pytest.raises(InvalidInputError, match=rf"{name} is .*; give whole numbers of shape \(2, 4\)"):
                backbones(np.ones((2, 4, 4, 3)), **{name: wrong})
    for taker in (
        voxel_vae,
        voxel_vae.encode,
        lambda x: VoxelGAN(VoxelGANConfig(**voxels), rngs=nnx.Rngs(0)).generator_objective({"x": x}, rngs=nnx.Rngs(0)),
    ):
        with pytest.raises(InvalidInputError, match="x is a str that makes no array"):
            taker("abc")
        with pytest.raises(InvalidInputError, match=r"x has shape \(2, 3\); the model's voxels are \(B, 4, 4, 4, 1\)"):
            taker([[0.0] * 3] * 2)
    for decode in (voxel_vae.decode, cloud_vae.decode):
        with pytest.raises(InvalidInputError, match=r"z has shape \(1, 3\); latents are \(B, 2\)"):
            decode([[0.0] * 3])
    for mask in (np.ones((1, 4), bool), np.ones((2, 5), bool), np.ones(4, bool)):
        with pytest.raises(InvalidInputError, match=r"the mask has shape .* of 2 latents it is \(2, N up to 4\)"):
            cloud_vae.decode(np.zeros((2, 2)), mask=mask)


def test_lists_are_arrays(diffusion: EquivariantDiffusion):
    voxels = VoxelVAE(VoxelVAEConfig(shape=(4, 4, 4, 1), channels=(8,), latent_dim=2), rngs=nnx.Rngs(0))
    filled, points = RANDOM.integers(0, 2, (2, 4, 4, 4, 1)), np.tile([0.5, 1.0, -1.0, 1.0, 0.0], (2, 3, 1))
    assert_allclose(loss_of(voxels, {"x": filled.tolist()}), loss_of(voxels, {"x": filled}), rtol=1e-6)
    assert_allclose(loss_of(diffusion, {"x": points.tolist()}), loss_of(diffusion, {"x": points}), rtol=1e-6)


def test_clouds_without_points_and_shapes_apart_are_named():
    clouds = np.zeros((2, 5, 3))
    for x, y in ((clouds[:, :0], clouds), (clouds, clouds[:, :0]), (clouds, clouds[:1]), (clouds[0], clouds[0])):
        with pytest.raises(
            InvalidInputError, match=r"clouds are \(B, N, 3\) and \(B, M, 3\), as many of both, with a point each"
        ):
            losses.chamfer_distance(jnp.asarray(x), jnp.asarray(y))
    for measure in (cloud_coverage, minimum_matching_distance, one_nearest_neighbor_accuracy):
        for distance in ("chamfer", "earth_mover"):
            for few in (clouds[:0], clouds[:, :0]):
                with pytest.raises(InvalidInputError, match="there is no point to measure from"):
                    measure(few, few, distance)
        with pytest.raises(InvalidInputError, match="distance is 'hausdorff'; it is one of chamfer, earth_mover"):
            measure(clouds, clouds, "hausdorff")
    for x in (clouds[0, :0], clouds):
        with pytest.raises(InvalidInputError, match="clouds that are matched"):
            earth_movers_distance(x, x)


def test_numbers_of_steps_and_times_are_one_or_more(diffusion: EquivariantDiffusion, flow: EquivariantFlowMatching):
    x = jnp.zeros((1, 4, 5)).at[..., 3].set(1)
    with pytest.raises(InvalidInputError, match="num_times is 0"):
        diffusion.log_prob(x, num_times=0)
    with pytest.raises(InvalidInputError, match="steps is 5; it is at most the model's timesteps, 4"):
        diffusion.generate(1, steps=5)
    with pytest.raises(InvalidInputError, match="steps is 0"):
        flow.log_prob(x[..., :3], steps=0)
    with pytest.raises(InvalidInputError, match="steps is 0"):
        flow.generate(1, steps=0)
    with pytest.raises(InvalidInputError, match="n_samples is 0"):
        flow.generate(0)


@pytest.mark.parametrize("measure", [one_nearest_neighbor_accuracy, cloud_coverage, minimum_matching_distance])
@pytest.mark.parametrize("distance", ["chamfer", "earth_mover"])
def test_clouds_of_a_run_that_diverged_are_named(measure: Any, distance: Any):
    clouds = RANDOM.normal(size=(4, 5, 3))
    broken = clouds.copy()
    broken[2, 1, 0] = np.nan
    with pytest.raises(InvalidInputError, match="cloud 2 of 4 has coordinates that are no finite numbers"):
        measure(broken, clouds, distance)
