"""Scores of distance from the training data, on densities that are known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from artifex.core.errors import InvalidInputError
from artifex.flow.out_of_distribution import complexity_score, compressed_bits, log_likelihood_ratio, mutate


def area_under_curve(inside: np.ndarray, outside: np.ndarray) -> float:
    """Probability that an example from inside has the higher score."""
    return float(np.mean(inside[:, None] > outside[None]))


def test_the_ratio_tells_content_where_the_likelihood_tells_background() -> None:
    # sixteen elements: one of content, at 1 inside; fifteen of background, which are steadier outside and so more likely
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=(500, 16)), 0.3 * rng.normal(size=(500, 16))
    inside[:, 0] = 1 + 0.1 * rng.normal(size=500)

    def log_prob(x: np.ndarray, mean: float, scale: float) -> jax.Array:
        content = scipy.stats.norm.logpdf(x[:, 0], mean, scale)
        return jnp.asarray(content + scipy.stats.norm.logpdf(x[:, 1:]).sum(axis=1), jnp.float32)

    scores = [log_prob(x, 1, 0.5) for x in (inside, outside)]
    ratios = [log_likelihood_ratio(score, log_prob(x, 0, 1)) for score, x in zip(scores, (inside, outside), strict=True)]
    assert area_under_curve(*map(np.asarray, scores)) < 0.3
    assert area_under_curve(*map(np.asarray, ratios)) > 0.9


def test_mutation_replaces_the_asked_share_of_elements_by_levels() -> None:
    x = jnp.full((100, 10, 10), 0.5)
    y = np.asarray(mutate(jax.random.key(0), x, 0.3, 4))
    share = np.mean(y != 0.5)  # no level of four is at one half
    assert abs(share - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 10_000)
    counts = np.array([np.mean(np.isclose(y[y != 0.5], level / 3)) for level in range(4)])
    assert np.all(np.abs(counts - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 3000))
    np.testing.assert_array_equal(mutate(jax.random.key(0), x, 0.0, 4), x)


def test_the_complexity_of_a_flat_image_is_small_and_of_noise_that_of_its_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)) / 255
    bits = compressed_bits(np.concatenate([noise, np.full((1, 32, 32, 1), 0.2)]), 256)
    np.testing.assert_allclose(bits[:2], 8 * 32 * 32, rtol=0.02)
    assert bits[2] < 0.03 * bits[0]
    # a uniform model codes the noise as shortly as the compressor, and the flat image eight bits an element dearer
    scores = complexity_score(np.full(3, -1024 * np.log(256)), bits)
    np.testing.assert_allclose(scores[:2], 0, atol=0.02 * 8192)
    assert scores[2] < -0.9 * 8192


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: log_likelihood_ratio(jnp.zeros(3), jnp.zeros(2)), "one of each"),
        (lambda: mutate(jax.random.key(0), jnp.zeros((1, 2)), 1.5, 4), "a probability"),
        (lambda: compressed_bits(np.full((1, 2), 2.0), 256), r"values in \[0, 1\]"),
        (lambda: compressed_bits(np.zeros((1, 2)), 1000), "2 to 256 levels"),
    ],
)
def test_bad_input_is_refused(ask, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        ask()


def test_what_would_be_mixed_up_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="x is int32; expected intensities"):
        mutate(jax.random.key(0), jnp.array([[200, 100]]), 0.5, 256)
    with pytest.raises(InvalidInputError, match=r"log_prob has shape \(3,\), bits \(3, 1\)"):
        complexity_score(np.zeros(3), np.zeros((3, 1)))
