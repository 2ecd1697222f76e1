"""The KL autoencoder: terms of its loss by hand, units of its latents, any prior, and what it learns of digits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import laplace, norm

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.storage import load_model, save_model
from artifex.vae import KLAutoencoder, KLAutoencoderConfig, VQVAEConfig
from artifex.vae.kl_autoencoder import unit_scale

CONFIG = KLAutoencoderConfig(input_shape=(7, 5, 2), hidden_dims=(4, 8), latent_channels=3, blocks_per_level=1)
X = jax.random.uniform(jax.random.key(0), (4, 7, 5, 2))


def make(**changes) -> KLAutoencoder:
    return KLAutoencoder(CONFIG.replace(**changes), rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def model() -> KLAutoencoder:
    """Weights moved, so that nothing is zero; latents in units of their own."""
    made, rng = make(), np.random.default_rng(0)
    params = nnx.state(made, nnx.Param)
    nnx.update(made, jax.tree.map(lambda weight: np.float32(weight + 0.1 * rng.normal(size=weight.shape)), params))
    made.latent_scale[...] = 0.5
    return made


@pytest.mark.parametrize(
    ("shape", "levels", "latent"), [((28, 28, 1), 4, (4, 4)), ((7, 6, 3), 2, (4, 3)), ((5, 5, 1), 1, (5, 5))]
)
def test_sizes_halve_between_levels_and_come_back(shape, levels, latent):
    config = KLAutoencoderConfig(input_shape=shape, hidden_dims=(4,) * levels, blocks_per_level=1, latent_channels=2)
    assert config.latent_shape == (*latent, 2)
    made = nnx.eval_shape(lambda: KLAutoencoder(config, rngs=nnx.Rngs(0))(jnp.zeros((3, *shape))))
    assert made["mean"].shape == made["log_variance"].shape == made["z"].shape == (3, *latent, 2)
    assert made["reconstruction"].shape == (3, *shape)


def test_the_loss_is_its_equation(model: KLAutoencoder):
    rng = np.random.default_rng(0)
    outputs = {name: rng.normal(size=(4, 4, 3, 3)) for name in ("mean", "log_variance")}
    outputs["parameters"] = rng.normal(size=X.shape)
    terms = model.loss_fn({"x": X}, jax.tree.map(jnp.float32, outputs))
    scale = np.exp(float(model.likelihood.log_scale[...]))
    nll = -laplace(outputs["parameters"], scale).logpdf(np.asarray(X, np.float64)).sum((1, 2, 3)).mean()
    mean, sd = outputs["mean"], np.exp(outputs["log_variance"] / 2)
    # KL(N(m, s^2) || N(0, 1)) = cross entropy - entropy, with E[log N(z; 0, 1)] written out
    kl = (0.5 * np.log(2 * np.pi) + (mean**2 + sd**2) / 2 - norm(mean, sd).entropy()).sum((1, 2, 3)).mean()
    assert_allclose(terms["reconstruction_loss"], nll, rtol=1e-5)
    assert_allclose(terms["kl"], kl, rtol=1e-5)
    assert_allclose(terms["loss"], nll + 1e-6 * kl, rtol=1e-5)


def test_the_learned_scale_goes_to_the_mean_absolute_error():
    """The best Laplace scale for given means is the mean absolute error: there the gradient is zero, and falls through it."""
    made, error = make(), 0.25
    outputs = {"parameters": X + error, "mean": jnp.zeros((4, 4, 3, 3)), "log_variance": jnp.zeros((4, 4, 3, 3))}

    gradient_of = nnx.jit(nnx.grad(lambda model: model.loss_fn({"x": X}, outputs)["loss"]))

    def slope(scale: float) -> float:
        made.likelihood.log_scale[...] = np.log(scale)
        gradient = gradient_of(made)
        return float(gradient["likelihood"]["log_scale"][...])

    assert abs(slope(error)) < 1e-3  # of a sum of 70 terms
    assert slope(error / 1.1) < -1
    assert slope(error * 1.1) > 1


def test_encode_and_decode_share_the_unit_of_the_scale(model: KLAutoencoder):
    raw = model.encoder(X)
    posterior = model.encode(X)
    assert_allclose(posterior.mean, 0.5 * raw.mean, rtol=1e-5, atol=1e-5)  # compiled and not
    assert_allclose(jnp.exp(posterior.log_variance / 2), 0.5 * jnp.exp(raw.log_variance / 2), rtol=1e-5)
    assert_allclose(model.decode(posterior.mean), model.likelihood.mean(model.decoder(raw.mean)), rtol=1e-4, atol=1e-5)
    assert_allclose(model.reconstruct(X), model.decode(posterior.mean), rtol=1e-4, atol=1e-5)
    drawn = model.reconstruct(X, deterministic=False, rngs=nnx.Rngs(3))
    assert not np.allclose(drawn, model.reconstruct(X))
    assert_array_equal(drawn, model.reconstruct(X, deterministic=False, rngs=nnx.Rngs(3)))


def test_the_measured_scale_makes_unit_variance_and_is_saved(tmp_path):
    made = make()
    made.encoder.head.bias[...] = jnp.array([3.0, 6.0, 9.0, 1.0, 2.0, 3.0])  # latents far from standard normal ones
    before = made(X, rngs=nnx.Rngs(1))
    scale = made.set_latent_scale(X, rngs=nnx.Rngs(2))
    mean, variance = np.asarray(before["mean"]), np.exp(before["log_variance"])
    truth = 1 / np.sqrt(np.mean(variance + np.square(mean - mean.mean())))  # the law of total variance: 0.23
    assert_allclose(scale, truth, rtol=0.2)  # three standard errors of 144 latents
    posterior = made.encode(X)
    total = np.exp(posterior.log_variance) + np.square(posterior.mean - posterior.mean.mean())
    assert_allclose(np.mean(total), 1.0, rtol=0.4)  # of a variance, twice that of its root
    after = made(X, rngs=nnx.Rngs(1))  # training goes on in the network's own units
    assert_array_equal(before["parameters"], after["parameters"])
    loaded = load_model(save_model(made, tmp_path / "model"), rngs=nnx.Rngs(9))
    assert_array_equal(loaded.latent_scale[...], scale)


def test_unit_scale_is_one_over_the_standard_deviation():
    z = np.random.default_rng(0).normal(3.0, 0.2, size=(5, 4, 3))
    assert_allclose(unit_scale(jnp.float32(z)), 1 / z.std(), rtol=1e-5)
    assert unit_scale(jnp.bfloat16(z)).dtype == jnp.float32
    with pytest.raises(InvalidInputError, match="two elements"):
        unit_scale(jnp.ones(1))


@pytest.mark.parametrize("flat", [False, True])
def test_a_prior_of_ones_own_draws_the_latents(model: KLAutoencoder, flat: bool):
    class Prior:
        def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array:
            assert rngs is not None
            z = jax.random.normal(rngs.sample(), (n_samples, 4, 3, 3))
            return z.reshape(n_samples, -1) if flat else z

    z = jax.random.normal(nnx.Rngs(5).sample(), (2, 4, 3, 3))
    assert_array_equal(model.generate(2, prior=Prior(), rngs=nnx.Rngs(5)), model.decode(z))


def test_a_prior_that_does_not_fit_is_refused(model: KLAutoencoder):
    class Prior:
        def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array:
            return jnp.zeros((n_samples, 3, 4, 3))

    with pytest.raises(InvalidInputError, match=r"shape \(2, 3, 4, 3\), expected \(2, 4, 3, 3\), or flattened"):
        model.generate(2, prior=Prior())


def test_bad_input_is_one_clear_error(model: KLAutoencoder):
    with pytest.raises(InvalidInputError, match=r"x has shape \(4, 5, 7, 2\), expected \(batch, 7, 5, 2\)"):
        model.encode(X.transpose(0, 2, 1, 3))
    with pytest.raises(InvalidInputError, match=r"z has shape \(1, 4, 3, 2\), expected \(batch, 4, 3, 3\)"):
        model.decode(jnp.zeros((1, 4, 3, 2)))
    with pytest.raises(InvalidInputError, match="n_samples is 0"):
        model.generate(0)
    with pytest.raises(InvalidTypeError, match="takes a KLAutoencoderConfig, got VQVAEConfig"):
        KLAutoencoder(VQVAEConfig(input_shape=(8, 8, 1), hidden_dims=(4,)), rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_dims": ()}, "at least 1"),
        ({"blocks_per_level": 0}, "greater than 0"),
        ({"kl_weight": -1.0}, "greater than or equal to 0"),
        ({"activation": "sillu"}, "'silu'"),
        ({"input_shape": (8, 8)}, "input_shape"),
    ],
)
def test_the_config_says_what_is_wrong(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        CONFIG.replace(**changes)


@pytest.mark.nightly
def test_digits_come_back():
    """100 steps halve the absolute error of the best constant image; 32 latents stand for 64 pixels."""
    from sklearn.datasets import load_digits

    engine = pytest.importorskip("artifex.training")  # the distribution stands without it
    x = np.float32(load_digits().images[..., None] / 16)
    made = make(input_shape=(8, 8, 1), hidden_dims=(8, 8), latent_channels=2, attention=False)
    settings = engine.TrainerConfig(steps=100, batch_size=64, optimizer={"learning_rate": 3e-3})
    engine.Trainer(made, settings, seed=0).fit({"x": x[:1500]})
    held_out = x[1500:]
    error = np.abs(np.asarray(made.reconstruct(jnp.asarray(held_out))) - held_out).mean()
    constant = np.abs(np.median(x[:1500], axis=0) - held_out).mean()
    assert error < 0.5 * constant
