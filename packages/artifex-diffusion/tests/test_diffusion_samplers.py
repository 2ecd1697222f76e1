"""Every sampler with exact denoisers: moments, modes, orders of convergence, one scan, and the same numbers by hand."""

from __future__ import annotations

import math
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from artifex.core.errors import InvalidInputError
from artifex.diffusion import NoiseScheduleConfig, StraightPathConfig, VarianceExplodingConfig, samplers
from artifex.diffusion.likelihood import probability_flow_log_prob
from artifex.diffusion.processes import Levels, create_process
from artifex.diffusion.sampling import (
    DDIMSamplerConfig,
    DDPMSamplerConfig,
    DPMSolverSamplerConfig,
    EDMSamplerConfig,
    EulerSamplerConfig,
    HeunSamplerConfig,
    ProbabilityFlowSamplerConfig,
    create_sampler,
    log_levels,
)

sys.path.insert(0, str(Path(__file__).parent))
from exact_denoisers import eight_modes, gaussian

PROCESSES = {
    "vp": create_process(NoiseScheduleConfig(continuous_times=True)),
    "ve": create_process(VarianceExplodingConfig(sigma_min=0.01, sigma_max=40.0)),
    "straight": create_process(StraightPathConfig()),
}
SAMPLERS = {  # levels by ratio: the last one before the end is then far below the modes' width
    "ddpm": DDPMSamplerConfig(steps=500, spacing="karras"),
    "ddim": DDIMSamplerConfig(steps=300, spacing="karras"),
    "ddim_eta": DDIMSamplerConfig(steps=300, eta=0.7, spacing="karras"),
    "euler": EulerSamplerConfig(steps=300, spacing="karras"),
    "heun": HeunSamplerConfig(steps=60, spacing="karras"),
    "dpm_solver_pp_2m": DPMSolverSamplerConfig(steps=60, spacing="karras"),
    "edm": EDMSamplerConfig(steps=100, churn=30.0, spacing="karras"),
    "probability_flow": ProbabilityFlowSamplerConfig(steps=40),
}
N = 4096


def drawn(target, process, sampler, n=N):
    def draw(key):
        noise = process.start_scale * jax.random.normal(key, (n, 2))
        return create_sampler(sampler)(target.denoiser(process), noise, process, jax.random.fold_in(key, 1))

    return np.asarray(jax.jit(draw)(jax.random.key(0)), np.float64)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_gaussian_comes_out_with_its_mean_and_covariance(name: str, process: str):
    target = gaussian()
    x = drawn(target, PROCESSES[process], SAMPLERS[name])
    spread = np.sqrt(np.diag(target.covariance))
    assert_allclose(x.mean(0), target.means[0], atol=4 * spread.max() / math.sqrt(N))
    # a standard error of a variance is sqrt(2 / N) of it; solvers of order one add about 1 % in these many steps
    assert_allclose(np.cov(x.T), target.covariance, atol=(4 * math.sqrt(2 / N) + 0.02) * spread.max() ** 2)


@pytest.mark.parametrize("process", ["vp", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("ve", "straight"))])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_mixture_comes_out_with_its_modes(name: str, process: str):
    target = eight_modes()
    x = drawn(target, PROCESSES[process], SAMPLERS[name])
    distance = np.linalg.norm(x[:, None] - target.means[None], axis=-1)
    nearest = distance.argmin(1)
    weights = np.bincount(nearest, minlength=8) / N
    assert np.all(np.abs(weights - target.weights) < 4 * np.sqrt(target.weights * (1 - target.weights) / N))
    away = x - target.means[nearest]
    scale = np.sqrt(np.mean(away**2))
    # neither wider nor narrower: 2 N numbers tell the scale to 0.8 %; solvers of order one are allowed 6 %
    assert 0.94 < scale / 0.08 < 1.06, scale / 0.08


def exact_end(target, levels: Levels, x: np.ndarray) -> np.ndarray:
    """Of the probability flow of one Gaussian: each of its axes is stretched."""
    values, vectors = np.linalg.eigh(target.covariance)
    start, end = ((levels.alpha[i] ** 2 * values + levels.sigma[i] ** 2) for i in (0, -1))
    y = (x - levels.alpha[0] * target.means[0]) @ vectors
    return (y * np.sqrt(end / start)) @ vectors.T + levels.alpha[-1] * target.means[0]


SOLVERS = {
    "ddim": (samplers.ddim, 1),
    "euler": (samplers.euler, 1),
    "heun": (samplers.heun, 2),
    "dpm_solver_pp_2m": (samplers.dpm_solver_pp_2m, 2),
    "probability_flow": (samplers.probability_flow, 4),
}


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", SOLVERS)
def test_its_error_falls_with_its_order(name: str, process: str):
    target, (solve, order), path = gaussian(), SOLVERS[name], PROCESSES[process]
    noise = np.random.default_rng(0).normal(size=(64, 2))

    def error(steps: int) -> float:
        count = 2 * steps + 1 if name == "probability_flow" else steps + 1
        levels = path.at_ratio(np.geomspace(20.0, 0.1, count))
        x = np.sqrt(levels.alpha[0] ** 2 + levels.sigma[0] ** 2) * noise
        got = jax.jit(lambda x: solve(target.denoiser(path), x, levels))(jnp.asarray(x, jnp.float32))
        return float(np.abs(np.asarray(got, np.float64) - exact_end(target, levels, x)).max())

    few = {1: 32, 2: 24, 4: 6}[order]
    measured = math.log2(error(few) / error(2 * few))
    assert order - 0.25 < measured < order + 0.75, measured


def test_ddim_with_all_its_noise_is_ddpm():
    process, target, key = PROCESSES["vp"], eight_modes(), jax.random.key(3)
    levels = process.levels(20, None).to_the_end()
    x = jax.random.normal(key, (16, 2))
    a = samplers.ddim(target.denoiser(process), x, levels, key, eta=1.0)
    b = samplers.ddpm(target.denoiser(process), x, levels, key)
    assert_allclose(a, b, atol=2e-5)


def test_without_churn_the_stochastic_sampler_is_heun():
    process, target, key = PROCESSES["ve"], eight_modes(), jax.random.key(3)
    x = process.start_scale * jax.random.normal(key, (16, 2))
    sampler = create_sampler(EDMSamplerConfig(steps=10, churn=0.0))
    levels = process.levels(10, None).to_the_end()
    assert_allclose(
        sampler(target.denoiser(process), x, process, key), samplers.heun(target.denoiser(process), x, levels), atol=1e-5
    )


def test_heun_at_the_start_of_a_straight_path_is_heun_in_time():
    process, target = PROCESSES["straight"], eight_modes()
    denoise = target.denoiser(process)
    levels = Levels(*(column[:2] for column in process.levels(6, None)))
    x = got = jax.random.normal(jax.random.key(0), (16, 2))
    t, s = levels.t
    velocity = (x - denoise(x, t)) / t
    x_end = x + (s - t) * velocity
    x = x + (s - t) * (velocity + (x_end - denoise(x_end, s)) / s) / 2
    assert_allclose(samplers.heun(denoise, got, levels), x, atol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_is_one_scan_over_the_levels(name: str):
    process = PROCESSES["vp"]
    sampler = create_sampler(SAMPLERS[name])
    calls = []

    def denoise(x, t):
        calls.append(t)
        return jnp.tanh(x)

    jaxpr = jax.make_jaxpr(lambda x, key: sampler(denoise, x, process, key))(jnp.ones((3, 2)), jax.random.key(0))
    assert sum(eqn.primitive.name == "scan" for eqn in jaxpr.jaxpr.eqns) == 1
    assert len(calls) <= 2  # a scan may trace its body twice to settle types; never once a step


@pytest.mark.parametrize("process", PROCESSES)
def test_the_likelihood_of_a_gaussian_is_exact(process: str):
    target, path = gaussian(), PROCESSES[process]
    # what the noisiest level still knows of the data's mean and spread is left out: centred data, or a mean small beside it
    target.means[:] = 0
    if process == "ve":
        path = create_process(VarianceExplodingConfig(sigma_min=0.003, sigma_max=80.0))
    x = np.random.default_rng(1).multivariate_normal(target.means[0], target.covariance, size=64)
    levels = log_levels(path, 100)
    found = jax.jit(lambda x: probability_flow_log_prob(target.denoiser(path), x, levels))(jnp.asarray(x, jnp.float32))
    target.covariance += levels.ratio[-1] ** 2 * np.eye(2)  # of the data as they are at the least noise
    assert_allclose(found, target.log_prob(x), atol=1e-3)


def test_an_estimated_trace_is_right_on_average():
    target, path = eight_modes(), PROCESSES["vp"]
    x = jnp.asarray(np.repeat(target.means[:1] + 0.05, 512, axis=0), jnp.float32)
    levels = log_levels(path, 30)
    run = partial(probability_flow_log_prob, target.denoiser(path), x, levels)
    estimates = np.asarray(jax.jit(lambda key: run(key=key))(jax.random.key(0)))
    exact = float(jax.jit(run)()[0])
    error = estimates.std() / math.sqrt(len(estimates))
    assert error > 0  # the estimates differ
    assert abs(estimates.mean() - exact) < 4 * error


def test_the_probability_flow_refuses_levels_it_has_no_middles_of():
    levels = PROCESSES["vp"].levels(4, None)
    with pytest.raises(InvalidInputError, match=r"2 N \+ 1 levels in equal steps"):
        samplers.probability_flow(lambda x, t: x, jnp.ones((1, 2)), levels)
