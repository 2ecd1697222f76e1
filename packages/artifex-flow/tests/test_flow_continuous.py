"""Flows along differential equations whose solutions are known; estimates against exact traces; refusals."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats
from flax import nnx

from artifex.core import create_model
from artifex.core.errors import InvalidInputError
from artifex.flow import ContinuousFlow, ContinuousFlowConfig, ODESolverConfig
from artifex.flow.bijections.ode import NeuralODE, divergence, estimated_divergence

MATRIX = np.random.default_rng(3).normal(size=(3, 3)) * 0.6
POINTS = np.random.default_rng(4).normal(size=(16, 3))
TOLERANCES = {"float32": (1e-6, 1e-5), "float64": (1e-11, 1e-9)}
"""Of the solver, and of its result."""


class Linear(nnx.Module):
    """``v = 2 t A x``: over the whole time the map is ``exp(A)``."""

    def __init__(self, dtype: str):
        self.matrix = nnx.Param(jnp.asarray(MATRIX, dtype))

    def __call__(self, x: jax.Array, t: jax.Array, condition: Any = None) -> jax.Array:
        return 2 * t[:, None] * (x @ self.matrix[...].T)


class Stretch(nnx.Module):
    """``v = tanh x``: ``sinh x(t) = e^t sinh x(0)``."""

    def __call__(self, x: jax.Array, t: jax.Array, condition: Any = None) -> jax.Array:
        return jnp.tanh(x)


def flow(velocity: nnx.Module, **fields: Any) -> ContinuousFlow:
    """A flow whose velocity is known."""
    model = ContinuousFlow(ContinuousFlowConfig(hidden_dims=(2,), **fields), rngs=nnx.Rngs(0))
    model.bijection.velocity = velocity
    return model


def moved(**fields: Any) -> ContinuousFlow:
    """A flow away from its start, as after some training."""
    model = create_model(ContinuousFlowConfig(input_dim=2, hidden_dims=(16,), **fields), rngs=nnx.Rngs(0))
    params = nnx.state(model, nnx.Param)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(params))))
    nnx.update(model, jax.tree.map(lambda p: p + 0.3 * jax.random.normal(next(keys), p.shape), params))
    return model


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.nightly)])
def test_a_linear_equation_is_the_change_of_variables_by_a_matrix_exponential(dtype: str) -> None:
    tolerance, allowed = TOLERANCES[dtype]
    with jax.enable_x64(dtype == "float64"):
        model = flow(Linear(dtype), input_dim=3, solver={"rtol": tolerance, "atol": tolerance})
        x, there = jnp.asarray(POINTS, dtype), scipy.linalg.expm(MATRIX)
        outputs = model(x)
        assert outputs["log_prob"].dtype == outputs["z"].dtype == dtype
        density = scipy.stats.multivariate_normal(np.zeros(3), there @ there.T)
        np.testing.assert_allclose(outputs["log_prob"], density.logpdf(POINTS), rtol=0, atol=allowed)
        np.testing.assert_allclose(outputs["z"], POINTS @ np.linalg.inv(there).T, atol=allowed)
        np.testing.assert_allclose(outputs["log_det"], -np.trace(MATRIX), atol=allowed)
        back, log_det = model.inverse(outputs["z"])
        np.testing.assert_allclose(back, POINTS, rtol=0, atol=10 * allowed)
        np.testing.assert_allclose(log_det, np.trace(MATRIX), rtol=0, atol=allowed)
        # the energies are integrals as well
        np.testing.assert_allclose(outputs["kinetic"], scipy.integrate.quad_vec(speed, 0, 1)[0], rtol=1e-4)
        np.testing.assert_allclose(outputs["jacobian"], 4 / 3 * np.sum(MATRIX**2), rtol=1e-4)


def speed(t: float) -> np.ndarray:
    """``|v|^2`` at time ``t`` of the paths that end in the points."""
    return np.sum((2 * t * POINTS @ scipy.linalg.expm(MATRIX * (t**2 - 1)).T @ MATRIX.T) ** 2, axis=1)


@pytest.mark.nightly
def test_the_error_of_the_density_falls_with_the_solvers_tolerances() -> None:
    x = np.linspace(-3, 3, 41)[:, None]
    z = np.arcsinh(np.sinh(x) / np.e)
    truth = scipy.stats.norm.logpdf(z) + np.log(np.cosh(x) / np.cosh(z) / np.e)
    with jax.enable_x64(True):
        errors = []
        for tolerance in (1e-2, 1e-4, 1e-6):
            solver = {"method": "bosh3", "rtol": tolerance, "atol": tolerance}
            model = flow(Stretch(), input_dim=1, solver=solver)
            errors.append(float(np.max(np.abs(model.log_prob(jnp.asarray(x)) - truth[:, 0]))))
    assert errors[0] > 10 * errors[1] > 100 * errors[2], errors
    assert errors[2] < 1e-5


DAILY = {"euler"}
ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "bosh3": 3, "tsit5": 5, "dopri5": 5, "dopri8": 8}


@pytest.mark.parametrize("method", [pytest.param(m, marks=() if m in DAILY else pytest.mark.nightly) for m in ORDERS])
def test_equal_steps_converge_with_the_order_of_the_method(method: str) -> None:
    with jax.enable_x64(True):
        z = jnp.array([[0.3], [-1.0]])
        truth = np.arcsinh(np.e * np.sinh(np.asarray(z)))
        solvers = [ODESolverConfig(method=method, steps=n) for n in (4, 8)]
        coarse, fine = (np.max(np.abs(NeuralODE(Stretch(), solver).transport(z) - truth)) for solver in solvers)
    assert abs(np.log2(coarse / fine) - ORDERS[method]) < 0.6  # the next order has a share in the error of the coarser


@pytest.mark.parametrize("draw", [jax.random.rademacher, jax.random.normal])
def test_hutchinsons_estimates_are_unbiased(draw: Any) -> None:
    x, n = jnp.array([[0.5, -1.0]]), 20_000
    velocity = jax.jit(lambda x: jnp.sin(x @ jnp.array([[1.0, 2.0], [-3.0, 0.5]])))
    rate, trace, norm = divergence(velocity, x)
    jacobian = jax.jacfwd(lambda x: velocity(x[None])[0])(x[0])
    np.testing.assert_allclose(trace[0], jnp.trace(jacobian), rtol=1e-5)
    np.testing.assert_allclose(norm[0], jnp.sum(jacobian**2), rtol=1e-5)
    noise = draw(jax.random.key(0), (n, 2), jnp.float32)
    same_rate, *estimates = estimated_divergence(velocity, jnp.repeat(x, n, axis=0), noise)
    np.testing.assert_allclose(same_rate[:1], rate, rtol=1e-6)
    for estimate, exact in zip(estimates, (trace, norm), strict=True):
        error = np.std(estimate) / n**0.5
        assert error > 0
        assert abs(np.mean(estimate) - exact[0]) < 5 * error


def test_the_noise_of_an_estimated_density_is_held_over_a_solve_and_drawn_for_each() -> None:
    model, n = flow(Linear("float32"), input_dim=3, trace="rademacher"), 2000
    x = jnp.repeat(jnp.asarray(POINTS[:1], "float32"), n, axis=0)
    estimates = np.asarray(model.log_prob(x, rngs=nnx.Rngs(0)))
    there = scipy.linalg.expm(MATRIX)
    exact = scipy.stats.multivariate_normal(np.zeros(3), there @ there.T).logpdf(POINTS[0])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    values = np.einsum("ni,ij,nj->n", signs, MATRIX, signs)  # the same noise at every time, or there would be others between
    deviations = exact - estimates + np.trace(MATRIX)
    assert np.max(np.min(np.abs(deviations[:, None] - values), axis=1)) < 1e-4
    assert abs(estimates.mean() - exact) < 5 * estimates.std() / n**0.5
    own = np.asarray(model.log_prob(x))
    assert not np.array_equal(own, estimates)
    assert not np.array_equal(own, model.log_prob(x))


CELLS, EDGE, FAR = 120, 9.0, np.array([[1e4, -1e4], [1e30, 1e30]], np.float32)
CONDITION = jnp.array([[0.5, -0.5, 1.0]])


class Explored(NamedTuple):
    """What one call of each method gave: a program takes longer to compile than to run."""

    model: ContinuousFlow
    samples: np.ndarray
    """``(4000, 2)``."""
    given: tuple[jax.Array, jax.Array]
    """Further samples and their log density, as they come."""
    on_grid: np.ndarray
    """Log density."""
    at_given: np.ndarray
    at_far: np.ndarray


@pytest.fixture(scope="module")
def explored() -> Explored:
    model = moved(condition_dim=3, solver={"rtol": 1e-6, "atol": 1e-6})
    samples = model.sample(4000, condition=CONDITION, rngs=nnx.Rngs(1))
    given = model.sample_and_log_prob(32, condition=CONDITION, rngs=nnx.Rngs(1))
    middle = (np.arange(CELLS) + 0.5) * (2 * EDGE / CELLS) - EDGE
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)
    x = jnp.concatenate([jnp.asarray(grid), given[0], FAR])
    log_prob = model.log_prob(x, condition=jnp.repeat(CONDITION, len(x), axis=0))
    return Explored(model, np.asarray(samples), given, *np.split(np.asarray(log_prob), [len(grid), len(x) - len(FAR)]))


def test_density_integrates_to_one_and_belongs_to_the_samples(explored: Explored) -> None:
    mass = np.exp(explored.on_grid.astype(np.float64)).reshape(CELLS, CELLS) * (2 * EDGE / CELLS) ** 2
    assert abs(mass.sum() - 1) < 5e-3
    ends = np.linspace(-EDGE, EDGE, CELLS + 1)[1:]
    for axis in (0, 1):  # Kolmogorov-Smirnov: one true sampler in a thousand fails
        cumulative = np.interp(np.sort(explored.samples[:, axis]), ends, np.cumsum(mass.sum(axis=1 - axis)))
        assert np.max(np.abs(cumulative - np.arange(1, 4001) / 4000)) < 1.95 / 4000**0.5


def test_samples_come_with_their_density(explored: Explored) -> None:
    np.testing.assert_allclose(explored.at_given, explored.given[1], rtol=0, atol=1e-4)


def test_far_out_the_density_is_a_number_or_zero(explored: Explored) -> None:
    assert np.all(np.isfinite(explored.at_far) | np.isneginf(explored.at_far))


def test_there_and_back_again_ten_standard_deviations_out(explored: Explored) -> None:
    x = jnp.concatenate([10 * jnp.eye(2), -10 * jnp.eye(2), explored.given[0][:12]])
    condition = jax.random.normal(jax.random.key(0), (16, 3))
    z, log_det = explored.model.forward(x, condition=condition)
    back, inverse_log_det = explored.model.inverse(z, condition=condition)
    np.testing.assert_allclose(back, x, rtol=0, atol=1e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=0, atol=1e-4)
    with pytest.raises(InvalidInputError, match=r"got none, expected one of shape \(16, 3\)"):
        explored.model.forward(x)


@pytest.mark.nightly
@pytest.mark.parametrize("adjoint", ["checkpoint", "backsolve"])
def test_gradients_are_those_of_the_matrix_exponential(adjoint: str) -> None:
    with jax.enable_x64(True):
        solver = {"rtol": 1e-9, "atol": 1e-9, "adjoint": adjoint}
        model = flow(Linear("float64"), input_dim=3, solver=solver)
        graph, params, rest = nnx.split(model, nnx.Param, ...)
        rest = nnx.as_pure(rest)

        @jax.jit
        @jax.grad
        def gradients(given: Any) -> jax.Array:
            params, x = given
            outputs = nnx.merge(graph, params, rest)(x)
            return jnp.sum(outputs["log_prob"] + outputs["jacobian"])

        by_params, by_x = gradients((nnx.as_pure(params), jnp.asarray(POINTS)))
    back = scipy.linalg.expm(-MATRIX)
    z = POINTS @ back.T
    np.testing.assert_allclose(by_x, -z @ back, rtol=1e-7, atol=1e-7)
    for direction in np.eye(9).reshape(9, 3, 3):
        change = scipy.linalg.expm_frechet(-MATRIX, -direction, compute_expm=False)
        wanted = -np.sum(z * (POINTS @ change.T)) + len(POINTS) * (8 / 3 * np.vdot(MATRIX, direction) - np.trace(direction))
        np.testing.assert_allclose(np.vdot(jax.tree.leaves(by_params)[0], direction), wanted, rtol=1e-7)


def test_weights_add_the_energies_to_the_loss() -> None:
    outputs = {name: jnp.array([1.0, 3.0]) for name in ("log_prob", "kinetic", "jacobian")}
    model = flow(Stretch(), input_dim=2, kinetic_weight=0.5, jacobian_weight=2.0)
    terms = model.loss_fn({"x": jnp.zeros((2, 2))}, outputs)
    assert float(terms["loss"]) == -2.0 + 0.5 * 2.0 + 2.0 * 2.0
    np.testing.assert_allclose(terms["bits_per_dimension"], -1 / np.log(2), rtol=1e-6)


def test_a_solution_that_is_given_up_is_nan() -> None:
    assert np.all(np.isnan(NeuralODE(Stretch(), ODESolverConfig(max_steps=1)).transport(jnp.ones((2, 1)))))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"solver": {"method": "euler"}}, "give steps"),
        ({"solver": {"method": "rk45"}}, "tsit5"),
        ({"solver": {"rtol": 0.0}}, "rtol"),
        ({"trace": "hutchinson"}, "rademacher"),
        ({"kinetic_weight": -1.0}, "kinetic_weight"),
        ({"activation": "silo"}, "silu"),
    ],
)
def test_bad_configs_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ContinuousFlowConfig(input_dim=2, **fields)


def test_bad_input_is_refused() -> None:
    model = flow(Stretch(), input_dim=2)
    with pytest.raises(InvalidInputError, match=r"expected \(batch, 2\)"):
        model.log_prob(jnp.zeros((4, 3)))
    with pytest.raises(InvalidInputError, match="dequantisation"):
        model.forward(jnp.zeros((4, 2), jnp.int32))
    with pytest.raises(InvalidInputError, match="at least 1"):
        model.sample(0)
