"""Flows whose velocity is known: their density is, and where they end."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.transform
from flax import nnx
from numpy.testing import assert_allclose

from artifex.core.errors import InvalidInputError
from artifex.core.geometry import Frame
from artifex.geometric import BackboneFlow, BackboneFlowConfig, EGNNConfig, InvariantPointAttentionConfig
from artifex.geometric.chains import backbone_atoms, backbone_frames
from artifex.geometric.equivariant_flow_matching import EquivariantFlowMatching, EquivariantFlowMatchingConfig
from artifex.geometric.flow_paths import integrated, integrated_with_divergence
from artifex.geometric.sets import centred_noise

N, SIZE, SPREAD = 5, 4, 1.7
TINY = EGNNConfig(features=4, layers=1)


class Exact(EquivariantFlowMatching):
    """Sets whose coordinates are normal, of standard deviation SPREAD, without centre of mass."""

    def velocity(self, z: Any, t: Any, mask: Any) -> Any:
        del mask
        t = t[:, None, None]
        return (t * SPREAD**2 - (1 - t)) / ((1 - t) ** 2 + (t * SPREAD) ** 2) * z


@pytest.fixture(scope="module")
def exact() -> Exact:
    config = EquivariantFlowMatchingConfig(max_points=N, network=TINY, size_counts=(0, 0, 0, 1), scales=(2.0, 4.0, 10.0))
    return Exact(config, rngs=nnx.Rngs(0))


def test_density_is_that_of_a_normal_distribution_of_fewer_dimensions(exact: Exact):
    """The estimate's noise is that of |e|^2, chi squared of 3 (n - 1) dimensions, times the logarithm of the spread."""
    n, d = 4000, 3 * (SIZE - 1)
    mask = jnp.arange(N)[None] < jnp.full((1, 1), SIZE)
    x = 2.0 * SPREAD * centred_noise(jax.random.key(0), mask)  # one set, in units of which two are one of the flow's
    many = [jnp.repeat(a, n, axis=0) for a in (x + 3.0 * mask[..., None], mask)]
    found = np.asarray(exact.log_prob(many[0], mask=many[1], rngs=nnx.Rngs(1)))
    spread = 2 * SPREAD
    truth = -0.5 * float(jnp.sum(jnp.square(x))) / spread**2 - d * np.log(spread * np.sqrt(2 * np.pi))
    standard = np.log(SPREAD) * np.sqrt(2 * d / n)
    assert abs(found.mean() - truth) < 4 * standard + 2e-3


def test_samples_have_the_spread_of_the_data(exact: Exact):
    x, mask = exact.sample_sets(4000, rngs=nnx.Rngs(0))
    d = 3 * (SIZE - 1)
    variance = float(jnp.sum(jnp.square(x))) / (4000 * d)
    assert abs(variance / (2 * SPREAD) ** 2 - 1) < 4 * np.sqrt(2 / (4000 * d)) + 2e-3
    assert int(mask.sum()) == 4000 * SIZE


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_error_falls_with_the_solvers_order(solver: Any, order: int):
    x = jnp.ones((1, 1))
    errors = [
        abs(float(integrated(lambda x, t: -x * (1 + t)[:, None], x, steps, solver)[0, 0]) - np.exp(-1.5)) for steps in (8, 16)
    ]
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.2


def test_divergence_of_a_linear_velocity_is_its_trace():
    matrix = jnp.array([[0.5, 1.0], [-1.0, 0.2]])
    x, noise = jnp.array([[1.0, 2.0]]), jnp.array([[1.0, -1.0]])
    back, total = integrated_with_divergence(lambda x, t: x @ matrix.T, x, noise, 200)
    assert_allclose(total, [float((noise @ matrix @ noise.T)[0, 0])], rtol=1e-5)
    assert_allclose(integrated(lambda x, t: x @ matrix.T, back, 200), x, atol=1e-3)


def test_atoms_that_are_built_have_the_frames_and_bonds_they_were_built_from():
    rotations = scipy.spatial.transform.Rotation.random(3, rng=0).as_matrix().reshape(1, 3, 3, 3)
    frames = Frame(
        jnp.asarray(rotations, jnp.float32), jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 3)), jnp.float32)
    )
    atoms = np.asarray(backbone_atoms(frames, jnp.array([[True, True, False]])))
    assert not atoms[0, 2].any()
    back = backbone_frames(jnp.asarray(atoms[:, :2]))
    assert_allclose(back.rotation, frames.rotation[:, :2], atol=1e-5)
    n, ca, c, o = np.moveaxis(atoms[0, :2], 1, 0)
    lengths = [np.linalg.norm(a - b, axis=-1) for a, b in ((n, ca), (ca, c), (c, o))]
    assert_allclose(lengths, np.tile([[1.459], [1.525], [1.229]], (1, 2)), atol=1e-5)
    following = atoms[0, 1, 0] - c[0]  # O lies in the plane of CA, C and the next N, on the other side
    normal = np.cross(ca[0] - c[0], following)
    assert abs(np.dot(o[0] - c[0], normal)) < 1e-4 * np.linalg.norm(normal)
    across = following - np.dot(following, c[0] - ca[0]) * (c[0] - ca[0]) / 1.525**2
    assert np.dot(o[0] - c[0], across) < 0


def test_a_backbone_flow_refuses_what_it_was_not_told_of():
    ipa = InvariantPointAttentionConfig(
        features=4, layers=1, heads=1, scalars=2, query_points=1, value_points=1, pair_features=2
    )
    model = BackboneFlow(BackboneFlowConfig(max_residues=4, network=ipa), rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 3)), jnp.float32)
    with pytest.raises(InvalidInputError, match="n_residue_types is 0"):
        model(x, residue_type=jnp.zeros((1, 4), jnp.int32))
    with pytest.raises(InvalidInputError, match=r"backbones are \(B, L up to 4, 4, 3\)"):
        model(x[:, :, :3])
