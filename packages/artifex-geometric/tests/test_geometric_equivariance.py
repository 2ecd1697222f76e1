"""Turned, moved and padded: what networks and samplers make turns along, and padding changes nothing.

A rotation matrix is exact to a rounding, so that what differs is rounding alone: 1e-5 and 1e-12 of the largest element are some
hundred roundings of float32 and float64.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.transform
from flax import nnx
from numpy.testing import assert_allclose

from artifex.core.geometry import Frame
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
)
from artifex.geometric.chains import frenet_rotations
from artifex.geometric.equivariant_diffusion import ancestral
from artifex.geometric.igso3 import sample_igso3
from artifex.geometric.networks import create_network
from artifex.geometric.sets import centred_noise

RANDOM = np.random.default_rng(0)
ROTATION = scipy.spatial.transform.Rotation.random(rng=1).as_matrix()
SHIFT = np.array([1.0, -2.0, 0.5])
MASK = np.arange(7)[None] < np.array([[7], [5]])
POINTS = np.where(MASK[..., None], RANDOM.normal(size=(2, 7, 3)), 0)
FEATURES = np.where(MASK[..., None], RANDOM.normal(size=(2, 7, 2)), 0)
NETWORKS = {
    "egnn": EGNNConfig(features=8, layers=2),
    "invariant_point_attention": InvariantPointAttentionConfig(
        features=8, layers=2, heads=2, scalars=4, query_points=2, value_points=2, pair_features=4
    ),
}
SETS = SetTransformerConfig(features=8, layers=1, heads=2)
DTYPES = {np.float32: 1e-5, np.float64: 1e-12}


def shaken(module: Any) -> Any:
    """The module with every parameter moved: what starts at nearly zero would hide a fault."""
    noise = np.random.default_rng(2)
    state = nnx.state(module, nnx.Param)
    nnx.update(module, jax.tree.map(lambda p: p + jnp.asarray(0.3 * noise.normal(size=p.shape), p.dtype), state))
    return module


@pytest.fixture(params=list(DTYPES), ids=lambda d: d.__name__)
def dtype(request: pytest.FixtureRequest):
    with jax.enable_x64(request.param is np.float64):
        yield request.param


def network(kind: str, dtype: Any) -> Any:
    made = create_network(NETWORKS[kind], in_features=2, out_features=3, param_dtype=dtype, rngs=nnx.Rngs(0))
    graph, state = nnx.split(shaken(made))
    run = jax.jit(lambda *given: nnx.merge(graph, state)(*given))
    return lambda x, h, mask: run(jnp.asarray(x, dtype), jnp.asarray(h, dtype), jnp.asarray(mask))


def close(got: Any, wanted: Any, tolerance: float) -> None:
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert np.abs(wanted).max() > 1e-3
    assert_allclose(got, wanted, atol=tolerance * np.abs(wanted).max(), rtol=0)


def turned(x: Any) -> Any:
    return np.asarray(x, np.float64) @ ROTATION.T


@pytest.mark.parametrize("kind", NETWORKS)
def test_vectors_turn_with_the_points_and_features_stay(kind: str, dtype: Any):
    run = network(kind, dtype)
    vectors, made = run(POINTS, FEATURES, MASK)
    moved, same = run(np.where(MASK[..., None], turned(POINTS) + SHIFT, 0), FEATURES, MASK)
    close(moved, turned(vectors), DTYPES[dtype])
    close(same, made, DTYPES[dtype])
    if dtype is np.float64:  # mirror images: alike for what sees distances alone, different for what sees frames
        mirror = np.array([-1.0, 1, 1])
        image, other = run(POINTS * mirror, FEATURES, MASK)
        sees_hands = kind == "invariant_point_attention"
        assert (np.abs(other - made).max() > 1e-3) == sees_hands
        assert (np.abs(image - np.asarray(vectors) * mirror).max() > 1e-3) == sees_hands


def test_frames_of_frenet_turn_and_do_not_reflect():
    with jax.enable_x64(True):
        mask = jnp.asarray(MASK)
        x = jnp.asarray(POINTS)
        frames = np.asarray(frenet_rotations(x, mask))
        there = frames[MASK]
        assert_allclose(there @ np.swapaxes(there, -1, -2), np.broadcast_to(np.eye(3), there.shape), atol=1e-12)
        assert_allclose(np.linalg.det(there), 1, atol=1e-12)
        moved = jnp.where(mask[..., None], turned(x) + SHIFT, 0)
        assert_allclose(np.asarray(frenet_rotations(moved, mask))[MASK], ROTATION @ there, atol=1e-12)
        mirror = np.diag([-1.0, 1, 1])
        image = np.asarray(frenet_rotations(x @ mirror, mask))[MASK]
        assert np.abs(image - mirror @ there).max() > 0.1  # a reflected frame is no rotation
        step = POINTS[:, 2] - POINTS[:, 1]
        assert_allclose(frames[:, 1, :, 0], step / np.linalg.norm(step, axis=-1, keepdims=True), atol=1e-12)
        assert_allclose(frames[1, 4], frames[1, 3], atol=1e-12)  # the end of a chain takes its neighbour's


def test_a_gap_ends_a_chain_for_its_frames():
    """Residues that are missing in the middle: on each side the frames of a chain of its own; of two, none."""
    x = jnp.asarray(RANDOM.normal(size=(1, 12, 3)), jnp.float32)
    mask = jnp.array([[True] * 4 + [False] + [True] * 4 + [False] + [True] * 2])
    frames = frenet_rotations(jnp.where(mask[..., None], x, 0), mask)
    for start, end in ((0, 4), (5, 9)):
        alone = frenet_rotations(x[:, start:end], jnp.ones((1, end - start), bool))
        assert_allclose(frames[:, start:end], alone, atol=1e-6)
        assert np.abs(np.asarray(alone) - np.eye(3)).max() > 0.1
    assert_allclose(frames[0, 10:], np.tile(np.eye(3), (2, 1, 1)))


def test_sets_have_no_order():
    """Points in another order give the same posterior, and vectors in that order."""
    model = shaken(PointCloudVAE(PointCloudVAEConfig(max_points=7, latent_dim=2, encoder=SETS, decoder=SETS), rngs=nnx.Rngs(0)))
    x, order = jnp.asarray(POINTS, jnp.float32), np.random.default_rng(0).permutation(7)
    mask = jnp.asarray(MASK)
    one, other = model.encode(x, mask=mask), model.encode(x[:, order], mask=mask[:, order])
    assert_allclose(other.mean, one.mean, atol=1e-5)
    given = jnp.where(mask[..., None], 1.0, 0.0) * jnp.ones((1, 1, 2))
    vectors = model.decoder(x, given, mask)[0]
    assert_allclose(model.decoder(x[:, order], given[:, order], mask[:, order])[0], vectors[:, order], atol=1e-5)


SAMPLERS = {
    "egnn": (
        EquivariantDiffusion,
        EquivariantDiffusionConfig(max_points=7, network=NETWORKS["egnn"], n_types=2, timesteps=6),
    ),
    "invariant_point_attention": (
        AlphaCarbonDiffusion,
        AlphaCarbonDiffusionConfig(max_points=7, network=NETWORKS["invariant_point_attention"], timesteps=6),
    ),
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_diffused_sets_turn_with_their_noise(kind: str, dtype: Any):
    cls, config = SAMPLERS[kind]
    graph, state = nnx.split(shaken(cls(config.replace(param_dtype=np.dtype(dtype).name), rngs=nnx.Rngs(0))))
    noises = [centred_noise(jax.random.key(i), jnp.asarray(MASK), config.n_features, dtype) for i in range(8)]

    @jax.jit
    def sampled(noises: Any) -> Any:
        return ancestral(nnx.merge(graph, state), jnp.asarray(MASK), lambda i: noises[i], 6)

    noise = np.stack(noises).astype(np.float64)
    other = np.concatenate([turned(noise[..., :3]), noise[..., 3:]], axis=-1)
    x, y = (np.asarray(sampled(jnp.asarray(given, dtype))) for given in (noise, other))
    close(y[..., :3], turned(x[..., :3]), DTYPES[dtype])
    assert_allclose(y[..., 3:], x[..., 3:])


def test_flows_turn_with_their_noise(dtype: Any):
    config = EquivariantFlowMatchingConfig(max_points=7, network=NETWORKS["egnn"], steps=3, param_dtype=np.dtype(dtype).name)
    graph, state = nnx.split(shaken(EquivariantFlowMatching(config, rngs=nnx.Rngs(0))))
    mask = jnp.asarray(MASK)
    noise = np.asarray(centred_noise(jax.random.key(0), mask, 0, dtype))
    run = jax.jit(lambda z: nnx.merge(graph, state).carried(z, mask, 3))
    close(run(jnp.asarray(turned(noise), dtype)), turned(run(jnp.asarray(noise))), DTYPES[dtype])


def test_backbones_turn_with_their_noise(dtype: Any):
    ipa = NETWORKS["invariant_point_attention"]
    config = BackboneFlowConfig(max_residues=7, network=ipa, steps=3, param_dtype=np.dtype(dtype).name)
    graph, state = nnx.split(shaken(BackboneFlow(config, rngs=nnx.Rngs(0))))
    mask = jnp.asarray(MASK)
    points = np.asarray(centred_noise(jax.random.key(0), mask, 0, dtype), np.float64)
    rotations = scipy.spatial.transform.Rotation.random(14, rng=3).as_matrix().reshape(2, 7, 3, 3)
    run = jax.jit(lambda r, x: nnx.merge(graph, state).carried(Frame(r, x), mask, 3))
    made = run(jnp.asarray(rotations, dtype), jnp.asarray(points, dtype))
    other = run(jnp.asarray(ROTATION @ rotations, dtype), jnp.asarray(turned(points), dtype))
    close(other, turned(made), DTYPES[dtype])


PADDED = {
    "equivariant_diffusion": (
        EquivariantDiffusion,
        EquivariantDiffusionConfig(max_points=14, network=NETWORKS["egnn"], n_types=2, timesteps=6),
    ),
    "alpha_carbon_diffusion": (
        AlphaCarbonDiffusion,
        AlphaCarbonDiffusionConfig(max_points=14, network=NETWORKS["invariant_point_attention"], timesteps=6),
    ),
    "backbone_flow": (
        BackboneFlow,
        BackboneFlowConfig(max_residues=14, network=NETWORKS["invariant_point_attention"]),
    ),
    "equivariant_flow_matching": (
        EquivariantFlowMatching,
        EquivariantFlowMatchingConfig(max_points=14, network=NETWORKS["egnn"], n_types=2),
    ),
    "point_cloud_flow": (PointCloudFlow, PointCloudFlowConfig(max_points=14, network=SETS)),
    "point_cloud_vae": (PointCloudVAE, PointCloudVAEConfig(max_points=14, latent_dim=2, encoder=SETS, decoder=SETS)),
}


@pytest.fixture(params=[np.float32, pytest.param(np.float64, marks=pytest.mark.nightly)], ids=lambda d: d.__name__)
def precision(request: pytest.FixtureRequest):
    with jax.enable_x64(request.param is np.float64):
        yield request.param


@pytest.mark.parametrize("name", PADDED)
def test_padding_changes_nothing(name: str, precision: Any, monkeypatch: pytest.MonkeyPatch):
    """One example at N and at N + 7 rows, NaN in the padded ones: outputs, and gradients for ``x`` and parameters, to 1e-6.

    Of the largest element of an output, of the gradient for ``x``, and of the gradients for all parameters: a sum over more
    rows adds the same numbers in another order, so that its rounding is a part of its largest summands, not of what is left.
    Of float32 1e-6 are 17 roundings. The gradient for ``x`` comes back through such sums in every layer, and has twice as many:
    it reached 1.04e-6 in frames of Frenet. Double precision, at night, shows that nothing but rounding is left.
    The noise of a longer array is another; here it is drawn for the longest, and cut.
    """
    cls, config = PADDED[name]
    tolerance = {np.float32: 1e-6, np.float64: 1e-14}[precision]
    config = config.replace(param_dtype=np.dtype(precision).name)
    normal = jax.random.normal

    def drawn(key: Any, shape: Any = (), dtype: Any = jnp.float32) -> Any:
        return normal(key, (shape[0], 14, *shape[2:]), dtype)[:, : shape[1]] if len(shape) == 3 else normal(key, shape, dtype)

    def rotations(key: Any, sigma: float, shape: Any) -> Any:
        monkeypatch.setattr(jax.random, "normal", normal)
        made = sample_igso3(key, sigma, (shape[0], 14))[:, : shape[1]]
        monkeypatch.setattr(jax.random, "normal", drawn)
        return made

    graph, params, rest = nnx.split(shaken(cls(config, rngs=nnx.Rngs(0))), nnx.Param, ...)
    monkeypatch.setattr(jax.random, "normal", drawn)
    monkeypatch.setattr("artifex.geometric.backbone_flow.sample_igso3", rotations)
    row = (4, 3) if name == "backbone_flow" else (3 + getattr(config, "n_features", 0),)
    x = np.random.default_rng(0).normal(size=(3, 7, *row)).astype(precision)

    def loss(params: Any, x: Any, mask: Any) -> Any:
        model = nnx.merge(graph, params, rest)
        outputs = model(x, mask=mask, rngs=nnx.Rngs(5))
        found = model.loss_fn({"x": x, "mask": mask}, outputs)["loss"]
        return getattr(found, "value", found), outputs

    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    longer = np.concatenate([x, np.full((3, 7, *row), np.nan, precision)], axis=1)
    short = step(params, x, np.ones((3, 7), bool))
    long = step(params, longer, np.arange(14)[None] < np.full((3, 1), 7))
    (value, outputs), (slopes, slope) = short
    (other, outputs_padded), (slopes_padded, slope_padded) = long
    close(other, value, tolerance)
    for key, wanted in outputs.items():
        found = np.asarray(outputs_padded[key])
        if wanted.ndim > 2:  # one row a point
            assert np.all(found[:, 7:] == 0)
            found = found[:, :7]
        assert_allclose(found, wanted, atol=tolerance * np.abs(wanted).max(), rtol=0, err_msg=key)
    assert np.abs(slope).max() > 1e-3
    assert_allclose(slope_padded[:, :7], slope, atol=2 * tolerance * np.abs(slope).max(), rtol=0)
    assert np.all(np.asarray(slope_padded)[:, 7:] == 0)
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(slopes))
    for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(slopes_padded), strict=True):
        assert_allclose(b, a, atol=tolerance * largest, rtol=0)
