"""Processes and parameterisations: what they promise, against formulas written out another way."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from artifex.core.errors import InvalidInputError
from artifex.diffusion import (
    EpsilonConfig,
    NoiseScheduleConfig,
    PreconditioningConfig,
    StraightPathConfig,
    VarianceExplodingConfig,
    VConfig,
    VelocityConfig,
    X0Config,
    noise_table,
)
from artifex.diffusion.parameterizations import create_parameterization, min_snr_weight
from artifex.diffusion.processes import create_process
from artifex.diffusion.sampling import EDMSampler, EDMSamplerConfig, log_levels

PROCESSES = {
    "linear": NoiseScheduleConfig(),
    "cosine": NoiseScheduleConfig(schedule_type="cosine"),
    "zero_snr": NoiseScheduleConfig(zero_terminal_snr=True),
    "ve": VarianceExplodingConfig(),
    "straight": StraightPathConfig(shift=3.0),
}
PREDICTIONS = {
    "epsilon": EpsilonConfig(),
    "x0": X0Config(),
    "v": VConfig(),
    "velocity": VelocityConfig(),
    "edm": PreconditioningConfig(sigma_data=0.7),
}


SPACINGS = (None, "uniform", "leading", "linspace", "karras", "log_ratio")
GROWING = ("ve", "straight")  # which have to begin at the noisiest level: test_diffusion_refusals.py


@pytest.mark.parametrize(
    ("name", "spacing"), [(n, s) for n in PROCESSES for s in SPACINGS if s != "leading" or n not in GROWING]
)
def test_levels_go_down_and_are_those_of_their_times(name: str, spacing):
    process = create_process(PROCESSES[name])
    levels = process.levels(12, spacing)
    assert np.all(np.diff(levels.ratio[np.isfinite(levels.ratio)]) < 0)
    alpha, sigma = process.at(jnp.asarray(levels.t, jnp.float32))
    # times are float32: near t = 1 on a straight path that is one part in ten thousand of what is left
    assert_allclose(alpha, levels.alpha, rtol=2e-3, atol=1e-6)
    assert_allclose(sigma, levels.sigma, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "cosine", "ve", "straight"])
def test_a_ratio_finds_its_level(name: str):
    process = create_process(PROCESSES[name])
    ratio = np.geomspace(10, 0.2, 7)
    levels = process.at_ratio(ratio)
    assert_allclose(levels.ratio, ratio, rtol=1e-9)
    alpha, sigma = process.at(jnp.asarray(levels.t, jnp.float32))
    assert_allclose(sigma / alpha, ratio, rtol=2e-3)


def test_without_signal_at_the_end_every_table_is_whole():
    table = noise_table(NoiseScheduleConfig(zero_terminal_snr=True, num_timesteps=50))
    assert table.alpha[-1] == 0
    assert table.sigma[-1] == 1
    usual = noise_table(NoiseScheduleConfig(num_timesteps=50))
    assert table.alpha[0] == pytest.approx(usual.alpha[0])
    assert np.all(np.diff(table.alpha) < 0)


def test_training_times_are_drawn_as_said():
    key = jax.random.key(0)
    n = 20_000
    steps = np.asarray(create_process(NoiseScheduleConfig(num_timesteps=10)).training_times(key, (n,)))
    assert set(steps) == set(range(10))
    log_normal = np.log(create_process(VarianceExplodingConfig(log_mean=-1.0, log_std=0.5)).training_times(key, (n,)))
    assert stats.kstest(log_normal, stats.norm(-1.0, 0.5).cdf).pvalue > 1e-3
    config = VarianceExplodingConfig(times="log_uniform")
    log_uniform = np.log(create_process(config).training_times(key, (n,)))
    low, high = np.log([config.sigma_min, config.sigma_max])
    assert stats.kstest(log_uniform, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    logit_normal = create_process(StraightPathConfig(times="logit_normal")).training_times(key, (n,))
    assert stats.kstest(np.log(logit_normal / (1 - logit_normal)), stats.norm.cdf).pvalue > 1e-3


@pytest.mark.parametrize("process", ["linear", "ve", "straight"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_network_that_gives_the_target_denoises(prediction: str, process: str):
    path, made = create_process(PROCESSES[process]), create_parameterization(PREDICTIONS[prediction])
    levels = path.at_ratio(np.geomspace(5, 0.1, 8))
    alpha, sigma = (jnp.asarray(level, jnp.float32)[:, None] for level in (levels.alpha, levels.sigma))
    x0, noise = (jax.random.normal(jax.random.key(i), (8, 3)) for i in range(2))
    skip, out, _ = made.coefficients(alpha, sigma)
    x = alpha * x0 + sigma * noise
    assert_allclose(skip * x + out * made.target(x0, noise, alpha, sigma), x0, atol=2e-5)


def test_preconditioning_has_unit_variance_everywhere():
    made = create_parameterization(PREDICTIONS["edm"])
    levels = create_process(PROCESSES["ve"]).at_ratio(np.array([40.0, 1.0, 0.01]))
    alpha, sigma = (jnp.asarray(level, jnp.float32)[:, None] for level in (levels.alpha, levels.sigma))
    x0, noise = 0.7 * jax.random.normal(jax.random.key(0), (3, 40_000)), jax.random.normal(jax.random.key(1), (3, 40_000))
    _, _, scale = made.coefficients(alpha, sigma)
    for of_unit_variance in (scale * (x0 + sigma * noise), made.target(x0, noise, alpha, sigma)):
        assert_allclose(np.var(of_unit_variance, axis=1), 1.0, atol=0.04)  # 5 standard errors


def test_min_snr_weights_are_the_papers():
    table = noise_table(NoiseScheduleConfig())
    alpha, sigma = (jnp.asarray(column, jnp.float32) for column in table)
    snr, gamma = (table.alpha / table.sigma) ** 2, 5.0
    wanted = {"epsilon": np.minimum(snr, gamma) / snr, "v": np.minimum(snr, gamma) / (snr + 1), "x0": np.minimum(snr, gamma)}
    for name, weight in wanted.items():
        out = create_parameterization(PREDICTIONS[name]).coefficients(alpha, sigma).out
        assert_allclose(min_snr_weight(alpha, sigma, out, gamma), weight, rtol=1e-4)


def test_churn_raises_levels_within_its_range_only():
    process = create_process(VarianceExplodingConfig())
    sampler = EDMSampler(EDMSamplerConfig(steps=20, churn=10.0, churn_min=0.1, churn_max=20.0))
    levels = process.levels(20, None)
    raised = sampler.raised(levels, process)
    inside = (levels.sigma >= 0.1) & (levels.sigma <= 20)
    assert_allclose(raised.sigma / levels.sigma, np.where(inside, np.sqrt(2) if np.sqrt(2) - 1 < 10 / 20 else 1.5, 1.0))


def test_log_levels_hold_the_whole_range():
    levels = log_levels(create_process(VarianceExplodingConfig()), 4)
    assert len(levels.t) == 9
    assert_allclose(levels.sigma[[0, -1]], [80.0, 0.002])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoiseScheduleConfig(schedule_type="cosine", beta_start=0.1), "cosine schedule has no betas"),
        (lambda: NoiseScheduleConfig(beta_start=0.5, beta_end=0.1), "has to grow"),
        (lambda: NoiseScheduleConfig(num_timesteps=0), "num_timesteps"),
        (lambda: VarianceExplodingConfig(sigma_min=2.0, sigma_max=1.0), "sigma_min is 2.0 and sigma_max 1.0"),
        (lambda: VarianceExplodingConfig(times="log_uniform", log_mean=0.0), "have neither"),
        (lambda: EDMSamplerConfig(churn_min=3.0, churn_max=2.0), "no level lies between"),
        (lambda: EDMSamplerConfig(steps=0), "steps"),
    ],
)
def test_bad_input_is_refused(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_more_sampling_steps_than_there_are_is_refused():
    with pytest.raises(InvalidInputError, match="steps=20; it takes at least 1 and at most 10"):
        create_process(NoiseScheduleConfig(num_timesteps=10)).levels(20, None)
