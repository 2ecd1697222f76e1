"""Geometry against SciPy, float64 references and automatic differentiation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from artifex.core.geometry import (
    Frame,
    bond_angle,
    dihedral,
    frame_from_points,
    kabsch,
    masked_mean,
    so3_exp,
    so3_log,
    uniform_rotations,
)

RNG = np.random.default_rng(0)
AXES = RNG.normal(size=(6, 3))
AXES = np.concatenate([np.eye(3), -np.eye(3), AXES / np.linalg.norm(AXES, axis=1, keepdims=True)])
ANGLES = (0.0, 1e-7, 1e-3, 9.9e-3, 1.01e-2, 0.5, 2.0, np.pi - 1e-3, np.pi - 1e-6, np.pi)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    """Each kind, and a tolerance of a few roundings of it."""
    with jax.enable_x64(request.param is np.float64):
        yield request.param


def rounding(dtype, times=20):
    return times * float(np.finfo(dtype).eps)


@pytest.mark.parametrize("angle", ANGLES)
def test_rotations_are_scipys_and_come_back(angle, dtype):
    w = (angle * AXES).astype(dtype)
    r = so3_exp(jnp.asarray(w))
    assert r.dtype == dtype
    assert_allclose(r, Rotation.from_rotvec(w.astype(np.float64)).as_matrix(), atol=rounding(dtype))
    back = np.asarray(so3_log(r))
    # at pi the vector and its negative are one rotation
    flipped = np.where(np.sum(back * w, axis=1, keepdims=True) < 0, -back, back) if angle > np.pi - 2e-6 else back
    assert_allclose(flipped, w, atol=rounding(dtype), rtol=rounding(dtype))


@pytest.mark.parametrize("angle", ANGLES)
def test_gradients_of_rotations_are_finite_and_right(angle):
    with jax.enable_x64(True):
        w = jnp.asarray(angle * AXES[7])
        slope = jax.jacfwd(so3_exp)(w)
        step = 1e-6
        differences = [(so3_exp(w + step * e) - so3_exp(w - step * e)) / (2 * step) for e in jnp.eye(3)]
        assert_allclose(slope, np.stack(differences, axis=-1), atol=1e-8)  # rounding / step, and step^2
        through = jax.jacrev(lambda w: so3_log(so3_exp(w)))(w)
        assert np.isfinite(through).all()
        if angle < np.pi - 1e-9:  # there log is the inverse of exp
            assert_allclose(through, np.eye(3), atol=1e-8)
        assert np.isfinite(jax.jacrev(so3_log)(so3_exp(w))).all()


def test_logarithms_of_half_turns_about_every_axis():
    r = Rotation.from_rotvec(np.pi * AXES).as_matrix().astype(np.float32)
    assert_allclose(so3_exp(so3_log(jnp.asarray(r))), r, atol=rounding(np.float32))


def frames(n, seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return Frame(
        jnp.asarray(Rotation.random(n, random_state=seed).as_matrix().astype(dtype)),
        jnp.asarray(rng.normal(size=(n, 3)).astype(dtype)),
    )


def test_frames_compose_invert_and_apply(dtype):
    one, other = frames(4, 0, dtype), frames(4, 1, dtype)
    x = jnp.asarray(RNG.normal(size=(4, 5, 3)).astype(dtype))
    truth = np.stack([Rotation.from_matrix(r).apply(p) + t for r, t, p in zip(*map(np.array, (*one, x)), strict=True)])
    assert_allclose(one.apply(x), truth, atol=rounding(dtype))
    assert_allclose(one.compose(other).apply(x), one.apply(other.apply(x)), atol=rounding(dtype))
    assert_allclose(one.invert().apply(one.apply(x)), x, atol=rounding(dtype))
    assert_allclose(one.apply_inverse(x), one.invert().apply(x), atol=rounding(dtype))


def test_a_frame_from_points_moves_with_them(dtype):
    points = jnp.asarray(RNG.normal(size=(4, 3, 3)).astype(dtype))
    made = frame_from_points(*(points[:, i] for i in range(3)))
    assert_allclose(made.rotation @ jnp.swapaxes(made.rotation, -1, -2), np.tile(np.eye(3), (4, 1, 1)), atol=rounding(dtype))
    assert_allclose(np.linalg.det(made.rotation), 1, atol=rounding(dtype))
    local = np.asarray(made.apply_inverse(points))
    assert_allclose(local[:, 1], 0, atol=rounding(dtype))
    assert_allclose(local[:, 2, 1:], 0, atol=rounding(dtype))
    assert (local[:, 2, 0] > 0).all()
    assert_allclose(local[:, 0, 2], 0, atol=rounding(dtype))
    assert (local[:, 0, 1] > 0).all()
    moved = frames(4, 2, dtype)
    there = moved.apply(points)
    again = frame_from_points(*(there[:, i] for i in range(3)))
    assert_allclose(again.rotation, moved.rotation @ made.rotation, atol=rounding(dtype, 100))


@pytest.mark.parametrize("points", [np.zeros((3, 3)), np.outer([0, 1, 2], [1, 2, 3])], ids=["point", "line"])
def test_a_frame_of_a_line_has_finite_gradients(points):
    slope = jax.grad(lambda p: jnp.sum(frame_from_points(p[0], p[1], p[2]).rotation))(jnp.float32(points))
    assert np.isfinite(slope).all()


def test_alignment_is_scipys(dtype):
    fixed = RNG.normal(size=(10, 3)).astype(dtype)
    moving = RNG.normal(size=(10, 3)).astype(dtype)
    made = kabsch(jnp.asarray(moving), jnp.asarray(fixed))
    centred, aimed = (p.astype(np.float64) - p.astype(np.float64).mean(0) for p in (moving, fixed))
    truth, rssd = Rotation.align_vectors(aimed, centred)
    assert_allclose(made.rotation, truth.as_matrix(), atol=rounding(dtype, 100))
    distance = np.sqrt(np.sum(np.square(np.asarray(made.apply(jnp.asarray(moving))) - fixed)))
    assert_allclose(distance, rssd, rtol=rounding(dtype, 100))


def test_alignment_never_reflects():
    fixed = RNG.normal(size=(10, 3))
    mirrored = fixed * [1, 1, -1]
    made = kabsch(jnp.float32(mirrored), jnp.float32(fixed))
    assert_allclose(np.linalg.det(made.rotation), 1, atol=rounding(np.float32))
    truth, _ = Rotation.align_vectors(fixed - fixed.mean(0), mirrored - mirrored.mean(0))
    assert_allclose(made.rotation, truth.as_matrix(), atol=1e-5)  # the smallest singular value is well apart


def test_what_is_masked_changes_no_alignment_and_no_gradient():
    fixed, moving = (jnp.asarray(RNG.normal(size=(2, 6, 3)).astype(np.float32)) for _ in range(2))
    mask = jnp.arange(6)[None] < jnp.array([[4], [6]])
    hidden = jnp.where(mask[..., None], moving, jnp.nan)

    def distance(moving, fixed, mask):
        return jnp.sum(jnp.where(mask[..., None], kabsch(moving, fixed, mask).apply(moving) - fixed, 0) ** 2)

    alone = kabsch(moving[0, :4], fixed[0, :4])
    assert_allclose(kabsch(hidden, fixed, mask).rotation[0], alone.rotation, atol=rounding(np.float32))
    clean = jnp.where(mask[..., None], moving, 7.0)
    slopes = [jax.grad(lambda m: jnp.sum(kabsch(m, fixed, mask).rotation * fixed[:, :3]))(m) for m in (hidden, clean)]
    assert_allclose(*slopes, atol=1e-6)
    assert not np.asarray(slopes[0])[0, 4:].any()


CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)


@pytest.mark.parametrize("points", [RNG.normal(size=(5, 3)), CUBE, CUBE[:4]], ids=["any", "cube", "plane"])
def test_the_gradient_of_an_alignment_is_right_for_symmetric_points_too(points):
    """Central differences in float64: an error of step^2 and of rounding over step, both near 1e-10."""
    with jax.enable_x64(True):
        fixed, way = jnp.asarray(points), jnp.asarray(np.random.default_rng(3).normal(size=points.shape))
        turned = kabsch(fixed, fixed).apply(fixed) @ so3_exp(jnp.array([0.3, -0.2, 0.5]))

        def turn(step):
            return kabsch(turned + step * way, fixed).rotation

        _, slope = jax.jvp(turn, (0.0,), (1.0,))
        assert_allclose(slope, (turn(1e-5) - turn(-1e-5)) / 2e-5, atol=1e-8)


@pytest.mark.parametrize("points", [np.zeros((4, 3)), np.outer(range(4), [1, 2, 3])], ids=["point", "line"])
def test_the_gradient_of_an_alignment_that_is_not_unique_is_finite(points):
    points = jnp.float32(points)
    made = kabsch(points, points)
    assert_allclose(np.linalg.det(made.rotation), 1, atol=1e-5)
    assert_allclose(made.apply(points), points, atol=1e-5)
    slope = jax.grad(lambda p: jnp.sum(kabsch(p, points).rotation * jnp.arange(9.0).reshape(3, 3)))(points)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("degrees", [-179, -120, -60, -1, 0, 1, 60, 90, 179, 180])
def test_dihedrals_are_what_a_turn_about_the_bond_makes(degrees, dtype):
    """Clockwise seen along the bond is counterclockwise about its direction, which is how SciPy turns."""
    bond = np.array([0.3, -1.0, 0.7])
    a = np.array([1.0, 0.2, 0.4])
    end = Rotation.from_rotvec(np.radians(degrees) * bond / np.linalg.norm(bond)).apply(a) + 2 * bond
    made = dihedral(*(jnp.asarray(p.astype(dtype)) for p in (a, np.zeros(3), bond, end)))
    difference = (np.degrees(float(made)) - degrees + 180) % 360 - 180
    assert abs(difference) < np.degrees(rounding(dtype))


def test_bond_angles_keep_their_digits(dtype):
    angles = np.array([0.0, 1e-3, 0.5, 2.0, np.pi - 1e-3, np.pi])
    c = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=-1).astype(dtype)
    a = jnp.broadcast_to(jnp.array([1.5, 0, 0], dtype), c.shape)
    assert_allclose(bond_angle(a, jnp.zeros(c.shape, dtype), jnp.asarray(c)), angles, atol=rounding(dtype))


@pytest.mark.parametrize(("angle", "n"), [(bond_angle, 3), (dihedral, 4)])
@pytest.mark.parametrize("points", [np.zeros((4, 3)), np.outer(range(4), [1, 0, 0]), np.outer(range(4), [1, 2, 3])])
def test_gradients_of_angles_on_a_line_are_finite(angle, n, points):
    slope = jax.grad(lambda p: angle(*p))(list(jnp.float32(points)[:n]))
    assert all(np.isfinite(s).all() for s in slope)


def test_masked_means_see_nothing_that_is_masked():
    x = RNG.normal(size=(3, 5)).astype(np.float32)
    mask = np.array([[1, 1, 0, 1, 0], [0] * 5, [1] * 5], bool)
    hidden = jnp.asarray(np.where(mask, x, np.nan))
    value = masked_mean(hidden, jnp.asarray(mask), axis=1)
    assert_allclose(value, [x[0, mask[0]].mean(), 0, x[2].mean()], rtol=1e-6)
    slope = jax.grad(lambda x: jnp.sum(masked_mean(x, jnp.asarray(mask), axis=1)))(hidden)
    assert_allclose(slope, mask / np.maximum(mask.sum(1, keepdims=True), 1), rtol=1e-6)
    assert_allclose(masked_mean(hidden, jnp.asarray(mask)), x[mask].mean(), rtol=1e-5)
    assert masked_mean(hidden, jnp.asarray(mask), axis=(0, 1), keepdims=True).shape == (1, 1)


def test_uniform_rotations_have_no_preferred_direction():
    n = 20_000
    r = np.asarray(jax.jit(lambda k: uniform_rotations(k, (n,)))(jax.random.key(0)))
    assert np.abs(r.mean(axis=0)).max() < 4 / np.sqrt(3 * n)
    assert_allclose(np.square(r).mean(axis=0), np.full((3, 3), 1 / 3), atol=4 * np.sqrt(4 / 45 / n))


def dots(jaxpr):
    """Every product of matrices in a traced function, and in the functions that it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from dots(inner)


FRAME = Frame(jnp.eye(3)[None], jnp.ones((1, 3)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: FRAME.apply(x),
        lambda x: FRAME.apply_inverse(x),
        lambda x: Frame(so3_exp(x[:, 0]), x[:, 0]).compose(FRAME),
        lambda x: FRAME.compose(Frame(so3_exp(x[:, 0]), x[:, 0])).invert(),
        lambda x: kabsch(x, x + 1),
        jax.grad(lambda x: kabsch(x, x**2).apply(x).sum()),
    ],
    ids=["apply", "apply_inverse", "so3_exp", "compose and invert", "kabsch", "gradient of kabsch"],
)
def test_accelerators_keep_all_digits(function):
    """Products of float32 lose 13 of 23 bits there unless they are asked not to."""
    found = list(dots(jax.make_jaxpr(function)(jnp.ones((1, 4, 3))).jaxpr))
    assert found
    assert {equation.params["precision"] for equation in found} == {(jax.lax.Precision.HIGHEST,) * 2}
