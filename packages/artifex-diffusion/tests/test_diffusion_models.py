"""Models around a network that is exact for a Gaussian; conditions, guidance, latents; and what is refused."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError, RunError
from artifex.core.frozen import Frozen
from artifex.core.plugins import register_model
from artifex.core.storage import load_model, save_model
from artifex.core.testing.conformance import conformance
from artifex.diffusion import (
    DDIMConfig,
    DDIMModel,
    DDPMConfig,
    DDPMModel,
    DDPMSamplerConfig,
    DPMSolverSamplerConfig,
    EDMConfig,
    EDMModel,
    GuidedDiffusionConfig,
    GuidedDiffusionModel,
    HeunSamplerConfig,
    LatentDiffusionConfig,
    LatentDiffusionModel,
    MLPBackboneConfig,
    NoiseScheduleConfig,
    RectifiedFlowConfig,
    RectifiedFlowModel,
    ScoreSDEConfig,
    UNetBackboneConfig,
    VConfig,
)

MLP = MLPBackboneConfig(hidden_dims=(16, 16), time_dim=8)
SHORT = NoiseScheduleConfig(num_timesteps=100, schedule_type="cosine")
SPREAD, MEAN = 0.6, 0.3


class ExactNetwork(nnx.Module):
    """What a network would give that denoises ``N(MEAN, SPREAD^2)`` exactly, whatever it is asked to predict."""

    def __init__(self, model, time_of_label):
        self.process, self.parameterization, self.time_of_label = model.process, model.parameterization, time_of_label

    def __call__(self, x, label, condition=None):
        alpha, sigma = (level[:, None] for level in self.process.at(self.time_of_label(label)))
        skip, out, scale = self.parameterization.coefficients(alpha, sigma)
        x = x / scale
        denoised = MEAN + alpha * SPREAD**2 / ((alpha * SPREAD) ** 2 + sigma**2) * (x - alpha * MEAN)
        return (denoised - skip * x) / out


LABELS = {"ddpm": lambda label: label, "edm": lambda label: jnp.exp(label / 250), "flow": lambda label: label / 1000}
MODELS = {
    "ddpm": lambda: DDPMModel(DDPMConfig(input_shape=(2,), backbone=MLP, noise_schedule=SHORT), rngs=nnx.Rngs(0)),
    "edm": lambda: EDMModel(EDMConfig(input_shape=(2,), backbone=MLP), rngs=nnx.Rngs(0)),
    "flow": lambda: RectifiedFlowModel(RectifiedFlowConfig(input_shape=(2,), backbone=MLP), rngs=nnx.Rngs(0)),
}


@pytest.fixture(params=MODELS)
def exact(request: pytest.FixtureRequest):
    model = MODELS[request.param]()
    model.network = ExactNetwork(model, LABELS[request.param])
    return model


def test_samples_have_the_datas_moments(exact):
    n = 4096
    x = np.asarray(exact.generate(n, rngs=nnx.Rngs(1)), np.float64)
    assert_allclose(x.mean(0), MEAN, atol=4 * SPREAD / np.sqrt(n))
    assert_allclose(x.std(0), SPREAD, rtol=4 / np.sqrt(2 * n) + 0.02)
    heun = exact.generate(n, sampler=HeunSamplerConfig(steps=30), rngs=nnx.Rngs(1))
    assert_allclose(np.std(heun, axis=0), SPREAD, rtol=4 / np.sqrt(2 * n) + 0.02)


def test_score_and_likelihood_are_the_datas(exact):
    x = jnp.asarray(np.random.default_rng(0).normal(MEAN, SPREAD, (16, 2)), jnp.float32)
    levels = exact.process.at_ratio(np.array([0.5]))
    (t,), (alpha,), (sigma,) = levels
    score = exact.score(x, t=t)
    assert_allclose(score, -(x - alpha * MEAN) / ((alpha * SPREAD) ** 2 + sigma**2), rtol=5e-3, atol=1e-3)
    least = exact.process.at_ratio(np.zeros(1)).ratio[0] ** 2
    variance = SPREAD**2 + least
    wanted = np.sum(-0.5 * (x - MEAN) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance), axis=1)
    # what the noisiest level, 80 times the noise, still knows of the mean is left out: 3 * 0.3 / 80 nats at most
    assert_allclose(exact.log_prob(x, steps=60), wanted, atol=0.015)


def test_the_loss_of_an_exact_network_is_that_of_the_posterior(exact):
    """What is left is the variance of x_0 given x_t, in the network's units: no network does better."""
    n = 20_000
    x = jnp.asarray(np.random.default_rng(0).normal(MEAN, SPREAD, (n, 2)), jnp.float32)
    outputs = exact(x, rngs=nnx.Rngs(2))
    loss = float(exact.loss_fn({"x": x}, outputs)["loss"])
    t = exact.process.training_times(jax.random.key(5), (n,))
    alpha, sigma = exact.process.at(t)
    posterior = 1 / (1 / SPREAD**2 + (alpha / sigma) ** 2)
    out = exact.parameterization.coefficients(alpha, sigma).out
    assert loss == pytest.approx(float(jnp.mean(posterior / out**2)), rel=0.05)


def moved(model, scale=0.3):
    """Parameters away from where they start: some start at zero, and then nothing depends on anything."""
    key = iter(jax.random.split(jax.random.key(7), 100))
    state = jax.tree.map(lambda p: p + scale * jax.random.normal(next(key), p.shape, p.dtype), nnx.state(model, nnx.Param))
    nnx.update(model, state)
    return model


@pytest.fixture(scope="module")
def guided():
    backbone = MLP.replace(num_classes=3)
    made = GuidedDiffusionConfig(
        input_shape=(2,), backbone=backbone, noise_schedule=SHORT, sampler={"kind": "ddim", "steps": 4}
    )
    return moved(GuidedDiffusionModel(made, rngs=nnx.Rngs(0)))


def test_guidance_is_the_line_through_both_denoisers(guided):
    x, t = jax.random.normal(jax.random.key(0), (4, 2)), jnp.full((4,), 30.0)
    condition = jnp.array([0, 1, 2, 2])
    asked = guided._denoised(x, t, condition)
    none = guided._denoised(x, t, jnp.full((4,), 3))  # the row behind the classes
    assert np.abs(asked - none).max() > 1e-3
    assert_allclose(guided._denoiser(condition, 2.5)(x, t[0]), none + 2.5 * (asked - none), atol=1e-5)
    assert_allclose(guided._denoiser(condition, None)(x, t[0]), asked, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_rescaled_guidance_has_the_spread_of_the_condition_alone(guided, share):
    """Lin et al. 2023, equations 14 to 16, written out for each example; a share of 1 is the whole way back."""
    model = GuidedDiffusionModel(guided.config.replace(guidance_rescale=share), rngs=nnx.Rngs(0))
    nnx.update(model, nnx.state(guided, nnx.Param))
    x, t, condition = jax.random.normal(jax.random.key(0), (4, 2)), jnp.asarray(30.0), jnp.array([0, 1, 2, 2])
    plain, strong = (np.asarray(guided._denoiser(condition, scale)(x, t), np.float64) for scale in (None, 6.0))
    found = np.asarray(model._denoiser(condition, 6.0)(x, t))
    for row, positive, cfg in zip(found, plain, strong, strict=True):
        back = cfg * positive.std() / cfg.std()
        assert_allclose(row, share * back + (1 - share) * cfg, rtol=1e-4)


def test_guidance_of_one_is_the_condition_alone_and_classes_take_turns(guided):
    plain = guided.generate(4, condition=[0, 1, 2, 0], guidance_scale=1.0, rngs=nnx.Rngs(1))
    turns = guided.generate(4, guidance_scale=1.0, rngs=nnx.Rngs(1))
    assert_array_equal(plain, turns)
    assert np.abs(guided.generate(4, rngs=nnx.Rngs(1)) - plain).max() > 1e-3


def test_dropped_conditions_are_as_many_as_said(guided):
    seen = []

    class Spy(nnx.Module):
        def __call__(self, x, t, condition):
            seen.append(np.asarray(condition))
            return x

    model = GuidedDiffusionModel(guided.config.replace(condition_dropout=0.25), rngs=nnx.Rngs(0))
    model.network = Spy()
    model(jnp.zeros((4000, 2)), label=jnp.ones(4000, jnp.int32), rngs=nnx.Rngs(0))
    (condition,) = seen
    assert set(condition) == {1, 3}
    assert np.mean(condition == 3) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 4000))


def test_a_classifier_adds_its_slope(guided):
    weights = jnp.array([[1.0, -2.0, 0.5], [0.3, 1.0, -1.0]])

    def classifier(x, t):
        return x @ weights

    x, t, condition = jax.random.normal(jax.random.key(0), (4, 2)), jnp.float32(40.0), jnp.array([0, 1, 2, 2])
    led = guided._led_denoiser(condition, classifier, 1.5)(x, t)
    alpha, sigma = (float(level[0]) for level in guided.process.at(t[None]))
    rows = jax.nn.softmax(x @ weights)
    slope = weights.T[condition] - rows @ weights.T  # of log softmax
    assert_allclose(led - guided._denoised(x, t, condition), 1.5 * sigma**2 / alpha * slope, atol=1e-5)
    drawn = guided.classifier_guided(4, classifier, condition=1, rngs=nnx.Rngs(1))
    assert drawn.shape == (4, 2)
    # a module and a function with the same numbers do the same
    layer = nnx.Linear(2, 3, use_bias=False, rngs=nnx.Rngs(0))
    layer.kernel[...] = weights

    class Classifier(nnx.Module):
        def __init__(self):
            self.layer = layer

        def __call__(self, x, t):
            return self.layer(x)

    assert_allclose(guided.classifier_guided(4, Classifier(), condition=1, rngs=nnx.Rngs(1)), drawn, atol=1e-5)


def test_any_sampler_goes_with_any_model_and_interpolations_end_where_they_should():
    made = DDIMConfig(input_shape=(2,), backbone=MLP, noise_schedule=SHORT)
    model = DDIMModel(made, rngs=nnx.Rngs(0))
    model.network = ExactNetwork(model, LABELS["ddpm"])
    x0, x1 = jnp.array([[0.1, 0.2]]), jnp.array([[0.9, -0.4]])
    path = model.interpolate(x0, x1, n_steps=4, steps=30)
    assert_allclose(path[:, 0], x0, atol=2e-3)
    assert_allclose(path[:, -1], x1, atol=2e-3)
    assert model.generate(3, sampler=DPMSolverSamplerConfig(steps=5)).shape == (3, 2)
    assert model.generate(3, sampler=DDPMSamplerConfig(steps=5, variance="large")).shape == (3, 2)


def test_clipped_samples_stay_within_their_bound():
    made = DDPMConfig(input_shape=(2,), backbone=MLP, noise_schedule=SHORT, clip_x0=0.5)
    model = moved(DDPMModel(made, rngs=nnx.Rngs(0)))
    assert np.abs(model.generate(64, rngs=nnx.Rngs(0))).max() <= 0.5


@config
class HalvesConfig(Config):
    """An autoencoder for tests."""

    gain: float = 4.0
    """Of the latents."""


@register_model("halves-for-tests", config=HalvesConfig, capabilities=("encode", "decode"))
class Halves(nnx.Module):
    """Encodes to so many times the example plus one."""

    def __init__(self, config, *, rngs):
        self.config = config
        self.gain = nnx.Param(jnp.array(config.gain), logical_axes=())

    def encode(self, x):
        return self.gain[...] * x + 1

    def decode(self, z):
        return (z - 1) / self.gain[...]


LATENT = LatentDiffusionConfig(
    input_shape=(3,), latent_shape=(3,), backbone=MLP, autoencoder=HalvesConfig(), noise_schedule=SHORT,
    sampler={"kind": "ddim", "steps": 4},
)  # fmt: skip
KEPT = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, KEPT)
save_model(Halves(HalvesConfig(), rngs=nnx.Rngs(0)), KEPT / "autoencoder")
VECTORS = {"x": np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)}
TestLatent = conformance({"halves": (LATENT.replace(pretrained=KEPT / "autoencoder"), VECTORS)})


def test_latents_are_scaled_by_what_the_first_batch_shows_and_the_autoencoder_is_frozen(tmp_path):
    trained = Halves(HalvesConfig(gain=2.0), rngs=nnx.Rngs(0))
    save_model(trained, tmp_path / "autoencoder")
    model = LatentDiffusionModel(LATENT.replace(pretrained=tmp_path / "autoencoder"), rngs=nnx.Rngs(0))
    assert not model.initialized
    x = 3 + 0.5 * jax.random.normal(jax.random.key(0), (64, 3))
    model.initialize({"x": x})
    assert model.initialized
    assert float(model.autoencoder.gain[...]) == 2.0
    assert float(model.latent_mean[...]) == pytest.approx(float(jnp.mean(2 * x + 1)), rel=1e-5)
    assert float(model.latent_scale[...]) == pytest.approx(float(1 / jnp.std(2 * x + 1)), rel=1e-5)
    assert not any("autoencoder" in str(path) for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param)))
    assert jax.tree.leaves(nnx.state(model.autoencoder, Frozen))
    save_model(model, tmp_path / "model")
    (tmp_path / "autoencoder" / "weights.safetensors").unlink()  # the model brings its own
    back = load_model(tmp_path / "model", rngs=nnx.Rngs(1))
    assert float(back.autoencoder.gain[...]) == 2.0
    assert back.initialized


def test_weights_of_the_autoencoder_are_read_while_initialize_is_compiled_as_training_does(tmp_path):
    save_model(Halves(HalvesConfig(gain=2.0), rngs=nnx.Rngs(0)), tmp_path / "autoencoder")
    model = LatentDiffusionModel(LATENT.replace(pretrained=tmp_path / "autoencoder"), rngs=nnx.Rngs(0))
    x = 3 + 0.5 * jax.random.normal(jax.random.key(0), (64, 3))
    nnx.jit(lambda model, x: model.initialize({"x": x}))(model, x)
    assert float(model.autoencoder.gain[...]) == 2.0
    assert float(model.latent_mean[...]) == pytest.approx(float(jnp.mean(2 * x + 1)), rel=1e-5)


def test_an_autoencoder_with_random_weights_is_refused_before_training(tmp_path):
    """Latents of a random network would be learned without a word, and decoded to nothing."""
    model = LatentDiffusionModel(LATENT, rngs=nnx.Rngs(0))
    with pytest.raises(RunError, match=r"model.pretrained is null, .* a Halves, has random weights; train it first"):
        model.initialize(VECTORS)
    save_model(Halves(HalvesConfig(), rngs=nnx.Rngs(0)), tmp_path / "autoencoder")
    model.load_autoencoder(tmp_path / "autoencoder")
    model.initialize(VECTORS)
    assert model.initialized


def test_exact_latents_come_out_as_the_data():
    model = LatentDiffusionModel(LATENT, rngs=nnx.Rngs(0))
    model.network = ExactNetwork(model, LABELS["ddpm"])
    model.latent_mean[...], model.latent_scale[...] = jnp.array(5.0), jnp.array(0.5)
    x = model.generate(4096, sampler=HeunSamplerConfig(steps=30), rngs=nnx.Rngs(0))
    # z' = N(0.3, 0.6), z = z' / 0.5 + 5, x = (z - 1) / 4
    assert_allclose(np.mean(x, axis=0), (MEAN / 0.5 + 5 - 1) / 4, atol=0.02)
    assert_allclose(np.std(x, axis=0), SPREAD / 0.5 / 4, rtol=0.06)


UNET = UNetBackboneConfig(hidden_dims=(8, 16), blocks_per_level=1)
BAD_CONFIGS = {
    "shape": (lambda: DDPMConfig(input_shape=(4,), backbone=UNET), r"takes images.*input_shape is \(4,\)"),
    "channels": (
        lambda: DDPMConfig(input_shape=(4, 4, 1), backbone=UNET.replace(in_channels=3)),
        "in_channels is 3, but input_shape .* has 1 channels",
    ),
    "widths": (lambda: UNetBackboneConfig(hidden_dims=(8, 16), channel_mult=(1, 3)), "differ; leave one out"),
    "attention": (
        lambda: DDPMConfig(input_shape=(4, 4, 1), backbone=UNET.replace(attention_resolutions=(3,))),
        r"attention_resolutions has \[3\], but the levels .* have \[4, 2\]",
    ),
    "guidance": (
        lambda: DDPMConfig(input_shape=(2,), backbone=MLP.replace(num_classes=2), guidance_scale=2.0),
        "conditions are never dropped",
    ),
    "rescale": (
        lambda: DDPMConfig(input_shape=(2,), backbone=MLP.replace(num_classes=2), guidance_rescale=0.7),
        r"guidance_rescale is 0\.7, but the model cannot be guided: condition_dropout is 0",
    ),
    "dropout": (lambda: DDPMConfig(input_shape=(2,), backbone=MLP, condition_dropout=0.1), "no condition to drop"),
    "guided": (lambda: GuidedDiffusionConfig(input_shape=(2,), backbone=MLP), "has no condition"),
    "zero_snr": (
        lambda: DDPMConfig(input_shape=(2,), backbone=MLP, noise_schedule={"zero_terminal_snr": True}),
        "use parameterization 'v', 'x0' or 'velocity'",
    ),
    "straight": (
        lambda: ScoreSDEConfig(input_shape=(2,), backbone=MLP, noise_schedule="straight"),
        "leaves nothing of the example .* use parameterization 'v', 'x0' or 'velocity'",
    ),
    "straight_noise": (
        lambda: RectifiedFlowConfig(input_shape=(2,), backbone=MLP, parameterization="epsilon"),
        "leaves nothing of the example",
    ),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_config_that_does_not_fit_names_both_sides(name: str):
    make, message = BAD_CONFIGS[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_bad_calls_are_refused(guided):
    model = MODELS["ddpm"]()
    conditional = DDPMModel(DDPMConfig(input_shape=(2,), backbone=MLP.replace(num_classes=3)), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=r"x has shape \(4, 3\), expected \(batch, 2\)"):
        model(jnp.zeros((4, 3)))
    with pytest.raises(InvalidInputError, match="expected floating point"):
        model(jnp.zeros((4, 2), jnp.int32))
    with pytest.raises(InvalidInputError, match="n_samples is 0"):
        model.generate(0)
    with pytest.raises(InvalidInputError, match="the model has none"):
        model.generate(2, condition=1)
    with pytest.raises(InvalidInputError, match="conditions are never dropped"):
        conditional.generate(2, condition=1, guidance_scale=2.0)
    with pytest.raises(InvalidInputError, match="no condition is given"):
        conditional(jnp.zeros((4, 2)))
    with pytest.raises(InvalidInputError, match="classes from 1 to 7, expected 0 to 2"):
        guided.generate(2, condition=[1, 7])
    with pytest.raises(InvalidInputError, match="3 rows for 2 examples"):
        guided.generate(2, condition=[1, 1, 1])
    with pytest.raises(InvalidTypeError, match="sampler takes a sampler's config"):
        guided.generate(2, sampler="ddim")
    for scale in (float("nan"), "a", float("inf")):
        with pytest.raises(InvalidInputError, match=r"classifier_scale is .*; it has to be a finite number"):
            guided.classifier_guided(2, lambda x, t: x, condition=1, classifier_scale=scale)
    for steps in (2.5, "2", 0, True):
        with pytest.raises(InvalidInputError, match=r"the sampler has steps=.*; it takes at least 1"):
            model.log_prob(jnp.zeros((4, 2)), steps=steps)
    words = UNET.replace(cross_attention_dim=5, attention_resolutions=(2,))
    with pytest.raises(InvalidInputError, match=r"of shape \(2, 0, 5\), expected .* of shape \(2, 1 or more, 5\)"):
        DDPMModel(DDPMConfig(input_shape=(4, 4, 1), backbone=words), rngs=nnx.Rngs(0))(
            jnp.zeros((2, 4, 4, 1)), condition=jnp.zeros((2, 0, 5))
        )
    with pytest.raises(InvalidTypeError, match="takes a DDPMConfig"):
        DDPMModel(EDMConfig(input_shape=(2,), backbone=MLP), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=r"latent_shape is \(2,\), but .* have shape \(3,\)"):
        LatentDiffusionModel(LATENT.replace(latent_shape=(2,)), rngs=nnx.Rngs(0))
    with pytest.raises(RunError, match="train one first"):
        LatentDiffusionModel(LATENT, rngs=nnx.Rngs(0)).load_autoencoder("nowhere")


def test_zero_terminal_snr_trains_at_its_last_step():
    made = DDPMConfig(
        input_shape=(2,), backbone=MLP, noise_schedule={"zero_terminal_snr": True, "num_timesteps": 2},
        parameterization=VConfig(), min_snr_gamma=5.0, sampler={"kind": "ddim", "steps": 2},
    )  # fmt: skip
    model = DDPMModel(made, rngs=nnx.Rngs(0))
    x = jnp.ones((64, 2))
    assert np.isfinite(float(model.loss_fn({"x": x}, model(x, rngs=nnx.Rngs(1)))["loss"]))
    assert np.all(np.isfinite(model.generate(8)))


@pytest.mark.parametrize(("shape", "widths"), [((7, 7, 1), (8, 8)), ((15, 17, 1), (8, 8, 8, 8)), ((28, 28, 1), (8, 8, 8, 8))])
def test_a_unet_takes_sides_that_do_not_halve(shape, widths):
    """Each level takes half of its sides, rounded up, and comes back to the size that it had; shapes alone are computed."""
    backbone = UNetBackboneConfig(hidden_dims=widths, blocks_per_level=1)
    model = DDPMModel(DDPMConfig(input_shape=shape, backbone=backbone), rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)

    def prediction(state, x):
        return nnx.merge(graph, state)(x, rngs=nnx.Rngs(0))["prediction"]

    def drawn(state):
        return nnx.merge(graph, state).generate(2, rngs=nnx.Rngs(0))

    assert jax.eval_shape(prediction, state, jnp.zeros((2, *shape))).shape == (2, *shape)
    assert jax.eval_shape(drawn, state).shape == (2, *shape)


def test_a_unet_of_more_levels_than_the_sides_have_is_refused():
    with pytest.raises(ValueError, match=r"4 levels of hidden_dims halve \(2, 2\) below one position; use fewer"):
        DDPMConfig(input_shape=(2, 2, 1), backbone=UNetBackboneConfig(hidden_dims=(8,) * 4))
