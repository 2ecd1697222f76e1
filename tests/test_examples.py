"""Every example runs: in a small form here, since its figure takes longer."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.shown
def test_vae_digits(tmp_path):
    log_likelihood = load("vae_digits").main(epochs=15, output=tmp_path)
    # pixels drawn each by its own frequency reach -25.19 nats on this split; a tenth of the training is well past that
    assert log_likelihood > -22.0
    walk = np.asarray(Image.open(tmp_path / "walks.png"))
    assert walk.shape[0] > 8 * 8 * 8
    assert walk.shape[1] > 10 * 8 * 8
    assert walk.std() > 30


@pytest.mark.shown
def test_flow_posterior():
    nats, p_values = load("flow_posterior").main("two_moons", simulations=2000, steps=150, transforms=1, observations=20)
    assert nats < 4.0  # the prior in the posterior's place is 5.04 nats away
    assert p_values.shape == (2,)


@pytest.mark.shown
def test_the_posterior_of_two_moons_is_a_density_that_its_samples_follow():
    simulator = load("flow_posterior").two_moons()
    edges = np.linspace(-0.5, 0.5, 401)  # a quarter of the crescents' standard deviation apart
    middle = (edges[:-1] + edges[1:]) / 2
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.exp(np.asarray(simulator.log_posterior(jnp.asarray(grid, jnp.float32)), np.float64)) * 0.0025**2
    assert abs(mass.sum() - 1) < 2e-3
    theta = simulator.posterior(jax.random.key(0), 20_000)
    for found, expected in (((theta**2).mean(0), mass @ grid**2), (theta.mean(0), mass @ grid)):
        np.testing.assert_allclose(found, expected, atol=5 * 0.35 / np.sqrt(20_000))
    # of what is simulated from the posterior, the observation is as likely as any: simulating turns the moon back
    made = simulator.simulate(jax.random.key(1), theta[:2000])
    assert np.all(np.asarray(made).std(0) < 0.2)
    assert np.all(np.isfinite(simulator.log_posterior(theta)))


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "bar"), [("two_moons", 0.3), ("gaussian_linear", 0.4)])
def test_flow_posterior_comes_near_the_truth_and_is_calibrated(name, bar):
    """The bars are about twice what one seed gave, 0.143 and 0.223 nats: they notice a loss, and claim no optimum."""
    nats, p_values = load("flow_posterior").main(name, simulations=20_000, steps=5000)
    assert -0.05 < nats < bar
    assert np.all(p_values > 1e-3)  # of twelve, each below that with one chance in a thousand, were all posteriors right


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"vae_digits", "flow_posterior"}
