"""The models as a user meets them: every combination of networks and likelihood."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from artifex.core import create_model, load_model, save_model
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import (
    Decodes,
    Encodes,
    HasLogProb,
    Interpolates,
    Reconstructs,
    TrainableGenerativeModelProtocol,
)
from artifex.vae import (
    VAE,
    BetaVAE,
    BetaVAEConfig,
    CapacityConfig,
    ConvDecoder,
    ConvEncoder,
    DecoderConfig,
    DenseDecoder,
    DenseEncoder,
    EncoderConfig,
    VAEConfig,
    losses,
)
from artifex.vae.encoders import DiagonalGaussian

SHAPE, LATENT_DIM = (5, 7, 2), 3
PARTS = {
    "encoder": EncoderConfig(input_shape=SHAPE, latent_dim=LATENT_DIM, hidden_dims=(4, 6), activation="silu"),
    "decoder": DecoderConfig(hidden_dims=(6, 4), activation="silu"),
}
CONFIGS = {
    "dense_bernoulli": VAEConfig(**PARTS),
    "dense_gaussian": VAEConfig(**PARTS, likelihood="gaussian"),
    "dense_logistic": VAEConfig(**PARTS, likelihood={"kind": "discretized_logistic", "levels": 17}),
    "conv_predicted": VAEConfig(**PARTS, encoder_type="conv", likelihood={"kind": "gaussian", "noise_scale": "predicted"}),
    "capacity": BetaVAEConfig(**PARTS, capacity=CapacityConfig()),
    "linear": VAEConfig(
        encoder=EncoderConfig(input_shape=SHAPE, hidden_dims=()), decoder=DecoderConfig(hidden_dims=()), latent_dim=LATENT_DIM
    ),
}


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> VAE:
    return create_model(CONFIGS[request.param], rngs=nnx.Rngs(0))


@pytest.fixture
def vae() -> VAE:
    return VAE(CONFIGS["dense_bernoulli"], rngs=nnx.Rngs(0))


@pytest.fixture
def x() -> jax.Array:
    return jax.random.uniform(jax.random.key(7), (4, *SHAPE))


def loss_of(model: VAE, x: jax.Array, rngs: nnx.Rngs) -> jax.Array:
    step = {"step": 10} if isinstance(model, BetaVAE) else {}
    return model.loss_fn({"x": x}, model(x, rngs=rngs), **step)["loss"]


def test_follows_the_protocols(model: VAE):
    for protocol in (TrainableGenerativeModelProtocol, HasLogProb, Encodes, Decodes, Reconstructs, Interpolates):
        assert isinstance(model, protocol)


def test_outputs_and_loss_are_what_the_paper_says(model: VAE, x: jax.Array):
    """The loss put together anew from the parts that the outputs name."""
    outputs = model(x, rngs=nnx.Rngs(1))
    terms = model.loss_fn({"x": x}, outputs, **({"step": 10} if isinstance(model, BetaVAE) else {}))
    log_likelihood = model.likelihood.log_prob(x, outputs["parameters"]).sum((1, 2, 3))
    kl = losses.gaussian_kl(outputs["mean"], outputs["log_variance"])
    assert_allclose(terms["elbo"], jnp.mean(log_likelihood - kl), rtol=1e-5)
    assert_allclose(terms["elbo"], -terms["reconstruction_loss"] - terms["kl"], rtol=1e-5)
    assert_array_equal(outputs["reconstruction"], model.decode(outputs["z"]))
    assert set(terms) >= {"loss", "reconstruction_loss", "kl", "elbo"}
    assert all(value.shape == () and value.dtype == jnp.float32 for value in terms.values())


@pytest.mark.daily("conv_predicted", "dense_bernoulli", "capacity")
def test_gradient_reaches_every_parameter(model: VAE, x: jax.Array):
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    gradients = jax.jit(jax.grad(lambda p: loss_of(nnx.merge(graphdef, p, rest), x, nnx.Rngs(1))))(params)
    for path, gradient in nnx.to_flat_state(gradients):
        assert np.all(np.isfinite(gradient[...])), path
        assert np.any(gradient[...]), path


def test_every_parameter_has_logical_axes(model: VAE):
    for path, parameter in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        assert len(parameter.get_metadata()["logical_axes"]) == parameter.ndim, path


@pytest.mark.daily("conv_predicted", "dense_bernoulli", "capacity")
def test_compiled_equals_eager(model: VAE, x: jax.Array):
    graphdef, state = nnx.split(model)
    eager = loss_of(model, x, nnx.Rngs(1))
    compiled = jax.jit(lambda state, x: loss_of(nnx.merge(graphdef, state), x, nnx.Rngs(1)))(state, x)
    assert_allclose(compiled, eager, rtol=1e-5)


@pytest.mark.daily("conv_predicted", "dense_bernoulli", "capacity")
def test_same_seed_same_result_and_two_calls_differ(model: VAE, x: jax.Array):
    twin = create_model(model.config, rngs=nnx.Rngs(0))
    first, second = model(x)["z"], model(x)["z"]
    assert_array_equal(twin(x)["z"], first)
    assert np.all(first != second)
    assert_array_equal(model.generate(2, rngs=nnx.Rngs(3)), model.sample(2, rngs=nnx.Rngs(3)))
    assert np.any(model.generate(2) != model.generate(2))
    assert np.any(model.log_prob(x) != model.log_prob(x))


def test_the_callers_streams_are_left_alone():
    """The model keeps a fork: its own draws do not move the streams it was built with."""
    rngs = nnx.Rngs(0)
    model = VAE(CONFIGS["dense_bernoulli"], rngs=rngs)
    before = rngs.sample.count[...]
    model.generate()
    assert rngs.sample.count[...] == before


@pytest.mark.daily("conv_predicted", "dense_bernoulli", "capacity")
def test_reconstruct_decodes_the_posterior(model: VAE, x: jax.Array):
    assert_allclose(model.reconstruct(x), model.decode(model.encode(x).mean), rtol=1e-5, atol=1e-6)
    drawn = model.reconstruct(x, deterministic=False, rngs=nnx.Rngs(1))
    assert np.any(drawn != model.reconstruct(x, deterministic=False, rngs=nnx.Rngs(2)))


def test_reconstructing_from_the_mean_draws_nothing(model: VAE, x: jax.Array):
    before = [counter[...] for counter in jax.tree.leaves(nnx.state(model, nnx.RngCount), is_leaf=is_variable)]
    assert before
    model.reconstruct(x)
    after = [counter[...] for counter in jax.tree.leaves(nnx.state(model, nnx.RngCount), is_leaf=is_variable)]
    assert_array_equal(after, before)
    expected = model.reconstruct(x)
    model.rngs = None
    assert_array_equal(model.reconstruct(x), expected)
    with pytest.raises(InvalidInputError, match="keeps no streams of its own"):
        model.reconstruct(x, deterministic=False)


def is_variable(leaf: object) -> bool:
    return isinstance(leaf, nnx.Variable)


def test_a_draw_is_not_rounded_away_from_its_noise():
    """The density at ``z`` that the noise names is SciPy's, also where the posterior's mean and variance are bfloat16.

    Rounding ``z`` to eight bits would move it by a tenth of these posteriors' standard deviation, and log q by as much.
    """
    mean, log_variance = jnp.linspace(1, 2, 24).reshape(8, 3).astype("bfloat16"), jnp.full((8, 3), -7, "bfloat16")
    posterior = DiagonalGaussian(mean, log_variance)
    noise = jax.random.normal(jax.random.key(0), (8, 3))
    z = np.float64(posterior.reparameterize(noise))
    q = norm(np.float64(mean), np.exp(np.float64(log_variance) / 2))
    truth = (norm.logpdf(z) - q.logpdf(z)).sum(1)
    ratio = losses.log_importance_ratio(noise, posterior.reparameterize(noise), log_variance)
    assert_allclose(ratio, truth, atol=1e-3)  # noise of order one, found again from z / 0.03 in float32: 1e-5 each
    assert posterior.sample(jax.random.key(0)).dtype == jnp.bfloat16


@pytest.mark.daily("conv_predicted", "dense_bernoulli", "capacity")
def test_interpolation_is_linear_in_the_latent_and_ends_at_the_reconstructions(model: VAE, x: jax.Array):
    x0, x1 = x[:2], x[2:]
    path = model.interpolate(x0, x1, 5)
    assert path.shape == (2, 5, *SHAPE)
    z0, z1 = model.encode(x0).mean, model.encode(x1).mean
    for i, t in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        assert_allclose(path[:, i], model.decode((1 - t) * z0 + t * z1), rtol=1e-4, atol=1e-5)
    assert_allclose(path[:, 0], model.reconstruct(x0), rtol=1e-5, atol=1e-6)
    assert_allclose(path[:, -1], model.reconstruct(x1), rtol=1e-5, atol=1e-6)


@pytest.mark.daily("3", "4096")
@pytest.mark.parametrize("chunk_size", [1, 3, 28, 4096])
def test_log_prob_does_not_depend_on_chunks_beyond_its_noise(vae: VAE, x: jax.Array, chunk_size: int):
    """Seven hundred samples in chunks that do and do not divide them: the same estimate, to its Monte-Carlo error.

    The log weights here have a standard deviation of about one nat, so that of the estimate is near 1 / sqrt(700) = 0.04.
    """
    estimates = vae.log_prob(x, num_samples=700, chunk_size=chunk_size, rngs=nnx.Rngs(1))
    assert_allclose(estimates, vae.log_prob(x, num_samples=7000, rngs=nnx.Rngs(2)), atol=0.2)


def test_bounds_are_in_order(vae: VAE, x: jax.Array):
    """ELBO = E[IWAE_1] <= E[IWAE_5] <= E[IWAE_100], each an average over many draws."""

    def mean_and_error(num_samples: int, repeats: int) -> tuple[float, float]:
        draws = vae.log_prob(jnp.repeat(x[:1], repeats, axis=0), num_samples=num_samples, rngs=nnx.Rngs(num_samples))
        return float(draws.mean()), float(draws.std() / np.sqrt(repeats))

    posterior = vae.encode(jnp.repeat(x[:1], 2000, axis=0))
    parameters = vae.decoder(posterior.sample(jax.random.key(9)))
    log_likelihood = vae.likelihood.log_prob(jnp.repeat(x[:1], 2000, axis=0), parameters).sum((1, 2, 3))
    elbo = losses.elbo(log_likelihood, losses.gaussian_kl(*posterior))
    (one, error), (five, _), (many, _) = mean_and_error(1, 2000), mean_and_error(5, 2000), mean_and_error(100, 200)
    assert abs(float(elbo.mean()) - one) < 5 * np.hypot(error, float(elbo.std()) / np.sqrt(2000))
    assert one < five < many


def test_short_form_works_without_any_rngs():
    config = VAEConfig(
        encoder=EncoderConfig(hidden_dims=[32, 64], latent_dim=16),
        decoder=DecoderConfig(hidden_dims=[64, 32], output_dim=(28, 28, 1)),
        latent_dim=16,
    )
    model = VAE(config, rngs=nnx.Rngs(0))
    assert model(jnp.zeros((2, 28, 28, 1)))["reconstruction"].shape == (2, 28, 28, 1)
    assert model.sample(n_samples=4).shape == (4, 28, 28, 1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 2), (8, 8, 1), (13, 6, 3), (28, 28, 1)])
def test_conv_takes_any_size(shape: tuple[int, ...]):
    encoder, decoder = EncoderConfig(input_shape=shape, hidden_dims=(2, 3, 4)), DecoderConfig(hidden_dims=(4, 3, 2))
    config = VAEConfig(encoder=encoder, decoder=decoder, latent_dim=2, encoder_type="conv")
    outputs = nnx.eval_shape(lambda: VAE(config, rngs=nnx.Rngs(0))(jnp.zeros((2, *shape))))
    assert outputs["reconstruction"].shape == (2, *shape)


def test_observation_noise_draws_from_the_likelihood(vae: VAE):
    drawn = vae.generate(50, observation_noise=True, rngs=nnx.Rngs(0))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    mean = vae.generate(50, rngs=nnx.Rngs(0))
    assert_allclose(drawn.mean(), mean.mean(), atol=5 * 0.5 / np.sqrt(drawn.size))


@pytest.mark.parametrize("encoder_type", ["dense", "conv"])
def test_dtype_is_what_the_networks_compute_in(encoder_type: str, x: jax.Array):
    full = VAE(VAEConfig(**PARTS, encoder_type=encoder_type), rngs=nnx.Rngs(0))
    half = VAE(VAEConfig(**PARTS, encoder_type=encoder_type, dtype="bfloat16"), rngs=nnx.Rngs(0))
    outputs = half(x, rngs=nnx.Rngs(1))
    assert {value.dtype for value in outputs.values()} == {jnp.dtype("bfloat16")}
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(half, nnx.Param))} == {jnp.dtype("float32")}
    terms = half.loss_fn({"x": x}, outputs)
    assert terms["loss"].dtype == jnp.float32
    # bfloat16 keeps 8 bits: each of 70 logits is off by some 0.4 %
    assert_allclose(terms["loss"], full.loss_fn({"x": x}, full(x, rngs=nnx.Rngs(1)))["loss"], rtol=0.01)


def test_param_dtype_is_what_parameters_are_kept_in(x: jax.Array):
    model = VAE(VAEConfig(**PARTS, likelihood="gaussian", param_dtype="bfloat16"), rngs=nnx.Rngs(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype("bfloat16")}
    assert model(x.astype("bfloat16"))["reconstruction"].dtype == jnp.bfloat16


def test_training_can_start_at_any_scale_of_the_data(x: jax.Array):
    """The posterior starts near unit variance, so that even inputs around 100 do not swamp the first loss."""
    model = VAE(VAEConfig(**PARTS, likelihood="gaussian"), rngs=nnx.Rngs(0))
    assert jnp.max(jnp.abs(model.encode(100 * x).log_variance)) < 3


def test_save_and_load(model: VAE, x: jax.Array, tmp_path):
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert type(loaded) is type(model)
    assert loaded.config == model.config
    assert_array_equal(loaded.reconstruct(x), model.reconstruct(x))
    assert_array_equal(loaded(x, rngs=nnx.Rngs(1))["parameters"], model(x, rngs=nnx.Rngs(1))["parameters"])
    assert np.any(loaded.generate(2) != loaded.generate(2))


def test_abstract_model_costs_nothing(model: VAE):
    abstract = nnx.eval_shape(lambda: create_model(model.config, rngs=nnx.Rngs(0)))
    shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.state(abstract, nnx.Param))]
    assert shapes == [leaf.shape for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m: m(jnp.zeros((4, 70))),
            r"x has shape \(4, 70\), expected \(batch, 5, 7, 2\); reshape it: x\.reshape\(-1, 5, 7, 2",
        ),
        (lambda m: m(jnp.zeros(SHAPE)), r"x has shape \(5, 7, 2\), expected \(batch, 5, 7, 2\); add a batch axis: x\[None\]"),
        (lambda m: m(jnp.zeros((4, 8, 8, 2))), r"x has shape \(4, 8, 8, 2\), expected \(batch, 5, 7, 2\)$"),
        (lambda m: m(jnp.zeros((4, *SHAPE), jnp.uint8)), "x is uint8, expected floating point"),
        (lambda m: m.reconstruct(jnp.zeros((4, 8))), r"x has shape \(4, 8\)"),
        (lambda m: m.log_prob(jnp.zeros((4, 8))), r"x has shape \(4, 8\)"),
        (lambda m: m.decode(jnp.zeros((4, 8))), r"z has shape \(4, 8\), expected \(batch, 3\)"),
        (lambda m: m.generate(0), "n_samples is 0; it has to be an integer of at least 1"),
        (
            lambda m: m.interpolate(jnp.zeros((1, *SHAPE)), jnp.zeros((1, *SHAPE)), 1),
            "n_steps is 1; it has to be an integer of at least 2",
        ),
        (lambda m: m.interpolate(jnp.zeros((1, *SHAPE)), jnp.zeros((2, *SHAPE))), "every path has two ends"),
        (lambda m: m.log_prob(jnp.zeros((1, *SHAPE)), num_samples=0), "num_samples is 0"),
    ],
)
def test_bad_input_is_named(vae: VAE, call, message: str):
    with pytest.raises(InvalidInputError, match=message):
        call(vae)


@pytest.mark.parametrize("cls", [VAE, BetaVAE])
def test_a_wrong_config_is_named(cls: type):
    with pytest.raises(InvalidTypeError, match=f"{cls.__name__} takes a {cls.__name__}Config, got EncoderConfig"):
        cls(PARTS["encoder"], rngs=nnx.Rngs(0))


def test_missing_streams_are_named(vae: VAE, x: jax.Array):
    for call in (vae, vae.log_prob):
        with pytest.raises(InvalidInputError, match="sample"):
            call(x, rngs=nnx.Rngs(params=0))


@pytest.mark.parametrize("part", [DenseEncoder, ConvEncoder])
def test_an_encoder_of_its_own_needs_its_sizes(part: type):
    with pytest.raises(InvalidInputError, match="needs input_shape and latent_dim, got None and 3"):
        part(EncoderConfig(latent_dim=3, hidden_dims=(4,)), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("part", [DenseDecoder, ConvDecoder])
def test_a_decoder_of_its_own_needs_its_sizes(part: type):
    with pytest.raises(InvalidInputError, match=r"needs output_shape and latent_dim, got \(4, 4, 1\) and None"):
        part(DecoderConfig(output_shape=(4, 4, 1), hidden_dims=(4,)), n_parameters=1, rngs=nnx.Rngs(0))
