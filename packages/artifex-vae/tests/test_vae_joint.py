"""Joint VAEs: experts against SciPy's Gaussians, objectives against their parts, and what is missing changes nothing."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError
from scipy.special import logsumexp
from scipy.stats import norm

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.value_ranges import Interval
from artifex.vae import DiagonalGaussian, JointVAE, JointVAEConfig
from artifex.vae.joint import mixture_log_prob, product_of_experts

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(5, 10)).astype(np.float32)


def part(name: str, shape: list[int], **fields: Any) -> dict[str, Any]:
    return {
        "part": name,
        "encoder": {"hidden_dims": [8], "input_shape": shape},
        "decoder": {"hidden_dims": [8]},
        **fields,
    }


def made(experts: str = "product", **fields: Any) -> JointVAE:
    parts = fields.pop("parts", [part("image", [2, 3]), part("word", [4])])
    config = JointVAEConfig.from_dict({"parts": parts, "latent_dim": 3, "experts": experts, **fields})
    return JointVAE(config, rngs=nnx.Rngs(0))


def experts(n_parts: int = 3) -> tuple[DiagonalGaussian, np.ndarray, np.ndarray]:
    mean, log_variance = RNG.normal(size=(2, 5, n_parts, 2))
    return DiagonalGaussian(jnp.asarray(mean), jnp.asarray(log_variance)), mean, np.exp(0.5 * log_variance)


def test_product_of_experts_is_the_normalised_product_of_densities() -> None:
    given, mean, scale = experts()
    present = np.array([[True, True, True], [True, False, True], [False, True, False], [False] * 3, [True] * 3])
    product = product_of_experts(given, jnp.asarray(present))
    z = np.linspace(-12, 12, 200_001)
    for b in range(5):
        for axis in range(2):
            density = norm.pdf(z) * np.prod(
                [norm.pdf(z, mean[b, m, axis], scale[b, m, axis]) for m in np.nonzero(present[b])[0]], axis=0
            )
            density /= np.trapezoid(density, z)
            first = np.trapezoid(z * density, z)
            assert_allclose(product.mean[b, axis], first, atol=1e-5)
            assert_allclose(np.exp(product.log_variance[b, axis]), np.trapezoid((z - first) ** 2 * density, z), rtol=1e-4)


def test_mixture_log_prob_is_scipys() -> None:
    given, mean, scale = experts()
    weights = np.array([[1 / 3] * 3, [0.5, 0, 0.5], [0, 1, 0], [0.2, 0.3, 0.5], [0, 0, 0]])
    z = RNG.normal(size=(5, 4, 2))
    ours = mixture_log_prob(jnp.asarray(z), given, jnp.asarray(weights))
    for b in range(4):
        each = norm.logpdf(z[b][:, None], mean[b], scale[b]).sum(-1)
        assert_allclose(ours[b], logsumexp(each, axis=1, b=weights[b]), rtol=1e-4, atol=1e-5)
    assert_array_equal(ours[4], 0.0)  # nothing is there: no posterior


@pytest.mark.parametrize("kind", ["product", "mixture"])
@pytest.mark.parametrize("noise", [0.7, np.nan])
def test_what_stands_in_a_missing_part_changes_nothing(kind: str, noise: float) -> None:
    model = made(kind)
    mask = np.ones((5, 10), bool)
    mask[0, 6:] = mask[1, :6] = mask[2] = False
    mask[3, 7] = False  # one element of a part that is there
    filled = np.where(mask, X, noise).astype(np.float32)

    @jax.jit
    def value(model: JointVAE, x: jax.Array) -> Any:
        def loss(model: JointVAE, x: jax.Array) -> jax.Array:
            outputs = model(x, mask=mask, rngs=nnx.Rngs(sample=1))
            return model.loss_fn({"x": x, "mask": mask}, outputs)["loss"]

        return nnx.value_and_grad(loss)(model, x), jax.grad(loss, argnums=1)(model, x)

    (one, gradients), of_x = value(model, jnp.where(mask, X, 0.0))
    (other, others), of_filled = value(model, filled)
    assert one == other
    assert np.isfinite(one)
    jax.tree.map(assert_array_equal, gradients, others)
    assert_array_equal(of_x, of_filled)
    assert_array_equal(np.asarray(of_x)[~mask], 0.0)
    assert_array_equal(model.reconstruct(X * mask, mask=mask), model.reconstruct(filled, mask=mask))
    assert_array_equal(model.encode(filled, mask=mask).mean[2], 0.0)  # the prior


@pytest.mark.parametrize("kind", ["product", "mixture"])
def test_the_objective_is_that_of_its_paper(kind: str) -> None:
    """From the outputs, number by number: Bernoulli likelihoods, analytic divergences or densities."""
    model = made(kind)
    outputs = {name: np.asarray(a, np.float64) for name, a in model(X, rngs=nnx.Rngs(sample=0)).items()}
    found = model.loss_fn({"x": jnp.asarray(X)}, outputs)
    logits = outputs["parameters"]
    each = X[:, None] * logits - np.logaddexp(0, logits)
    image, word = each[..., :6].sum(-1), each[..., 6:].sum(-1)
    mean, log_variance = outputs["mean"], outputs["log_variance"]
    if kind == "mixture":
        z, scale = outputs["z"], np.exp(0.5 * log_variance)
        q = logsumexp(norm.logpdf(z[:, :, None], mean[:, None], scale[:, None]).sum(-1), axis=2) - np.log(2)
        elbo = np.mean(image + word + norm.logpdf(z).sum(-1) - q, axis=1)
        assert_allclose(found["loss"], -elbo.mean(), rtol=1e-5)
    else:
        precision = np.exp(-log_variance)
        total = [1 + precision.sum(1), 1 + precision[:, 0], 1 + precision[:, 1]]
        weighed = [(precision * mean).sum(1), precision[:, 0] * mean[:, 0], precision[:, 1] * mean[:, 1]]
        kl = [0.5 * np.sum(w**2 / t**2 + 1 / t - 1 + np.log(t), axis=-1) for w, t in zip(weighed, total, strict=True)]
        elbo = image[:, 0] + word[:, 0] - kl[0]
        assert_allclose(found["loss"], -np.mean(elbo + image[:, 1] - kl[1] + word[:, 2] - kl[2]), rtol=1e-5)
    assert_allclose(found["elbo"], elbo.mean(), rtol=1e-5)
    assert_allclose(found["reconstruction_loss"] + found["kl"], -elbo.mean(), rtol=1e-5)


def test_an_example_with_one_part_is_an_example_of_a_plain_vae() -> None:
    model = made()
    mask = np.tile(np.arange(10) < 6, (5, 1))
    found = model.loss_fn({"x": jnp.asarray(X), "mask": mask}, model(X, mask=mask, rngs=nnx.Rngs(sample=0)))
    assert_allclose(found["loss"], -found["elbo"], rtol=1e-6)  # and not twice that


def test_weights_and_likelihoods_of_their_own() -> None:
    parts = [part("image", [2, 3], weight=2.0), part("tone", [4], likelihood={"kind": "gaussian", "noise_scale": 0.5})]
    model, plain = made(parts=parts), made(parts=[parts[0] | {"weight": 1.0}, parts[1]])
    outputs = model(X, rngs=nnx.Rngs(sample=0))
    one, other = (m.loss_fn({"x": jnp.asarray(X)}, outputs)["reconstruction_loss"] for m in (model, plain))
    logits = np.asarray(outputs["parameters"])[:, 0, :6]
    image = np.mean(np.sum(X[:, :6] * logits - np.logaddexp(0, logits), axis=1))
    assert_allclose(one, other - image, rtol=1e-5)
    assert model.value_ranges({}) == {}
    (interval,) = made().value_ranges({}).values()
    assert isinstance(interval, Interval)
    assert (interval.low, interval.high) == (0.0, 1.0)


def test_the_mixtures_posterior_has_the_mixtures_moments() -> None:
    model = made("mixture")
    outputs = model(X, rngs=nnx.Rngs(sample=0))
    mean, variance = np.asarray(outputs["mean"]), np.exp(np.asarray(outputs["log_variance"]))
    posterior = model.encode(X)
    assert_allclose(posterior.mean, mean.mean(1), atol=1e-6)
    second = (variance + mean**2).mean(1)
    assert_allclose(np.exp(posterior.log_variance), second - mean.mean(1) ** 2, rtol=1e-4)


@pytest.mark.parametrize("kind", ["product", "mixture"])
def test_a_part_is_embedded_as_the_mean_of_what_it_says_alone(kind: str) -> None:
    model = made(kind)
    mask = np.ones(X.shape, bool)
    mask[0, :6] = mask[1, 6:] = False
    embedded = model.embed_parts(X, mask=mask)
    for m, alone in enumerate((np.arange(10) < 6, np.arange(10) >= 6)):
        assert_allclose(embedded[:, m], model.encode(X, mask=mask & alone).mean, atol=1e-6)
    assert not embedded[0, 0].any()
    assert not embedded[1, 1].any()


def test_generate_decodes_every_part() -> None:
    model = made()
    samples = model.generate(4, rngs=nnx.Rngs(0))
    assert samples.shape == (4, 10)
    assert ((samples > 0) & (samples < 1)).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parts": [part("a", [2])]}, "at least 2"),
        ({"parts": [part("a", [2]), part("a", [2])]}, "the parts are called a, a; give each a name of its own"),
        ({"parts": [part("a", [2]), {**part("b", [2]), "encoder": {"hidden_dims": []}}]}, "'b' is given as nowhere"),
        (
            {"parts": [part("a", [2]), {**part("b", [2]), "decoder": {"hidden_dims": [], "latent_dim": 7}}]},
            "decoder.latent_dim of part 'b' is 7, and latent_dim 3",
        ),
    ],
)
def test_configs_that_make_no_model(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        made(**fields)


def test_bad_input() -> None:
    model = made()
    with pytest.raises(InvalidInputError, match=r"x has shape \(5, 9\), expected \(batch, 10\)"):
        model(X[:, :9])
    with pytest.raises(InvalidInputError, match=r"mask has shape \(5, 2\) and x \(5, 10\)"):
        model(X, mask=np.ones((5, 2), bool))
    with pytest.raises(InvalidInputError, match="n_samples is 0"):
        model.generate(0)
    with pytest.raises(InvalidTypeError, match="JointVAE takes a JointVAEConfig, got dict"):
        JointVAE({}, rngs=nnx.Rngs(0))  # type: ignore[arg-type]
