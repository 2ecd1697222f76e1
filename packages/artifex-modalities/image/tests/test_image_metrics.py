"""PSNR and SSIM against scikit-image, which computes in float64 here; ours is float32."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.datasets import load_sample_image

from artifex.core.errors import InvalidInputError
from artifex.modalities.image import psnr, ssim

WINDOWS = {
    "paper": ({}, {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}),
    "gaussian, sample covariance": (
        {"sample_covariance": True},
        {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": True},
    ),
    "scikit-image's default": ({"window": "uniform", "sample_covariance": True}, {}),
    "uniform 9": ({"window": "uniform", "window_size": 9}, {"win_size": 9, "use_sample_covariance": False}),
    "other constants": (
        {"k1": 0.03, "k2": 0.1},
        {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "K1": 0.03, "K2": 0.1},
    ),
}


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Four crops of a photograph, uint8 (4, 40, 33, 3), and the same with little, more and much noise, and darker."""
    china = load_sample_image("china.jpg")
    x = np.stack([china[i : i + 40, 2 * i : 2 * i + 33] for i in (0, 80, 160, 240)])
    rng = np.random.default_rng(0)
    noise = np.array([2.0, 10.0, 60.0, 0.0]).reshape(4, 1, 1, 1) * rng.normal(size=x.shape)
    y = x * np.array([1.0, 1.0, 1.0, 0.7]).reshape(4, 1, 1, 1) + noise
    return x, np.clip(np.rint(y), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("data_range", [255, 1.0, 2.0])
def test_psnr_equals_scikit_image(pairs: tuple[np.ndarray, np.ndarray], data_range: float) -> None:
    x, y = (a if data_range == 255 else a.astype(np.float64) / 255 * data_range for a in pairs)
    truth = [peak_signal_noise_ratio(a, b, data_range=data_range) for a, b in zip(x, y, strict=True)]
    ours = jax.jit(lambda a, b: psnr(a, b, data_range=data_range))(x, y)
    # The mean's relative error of some 1e-6 is 4e-6 dB; float32 holds 30 dB to 2e-6.
    np.testing.assert_allclose(ours, truth, atol=2e-5)


@pytest.mark.parametrize(("ours", "theirs"), WINDOWS.values(), ids=WINDOWS)
def test_ssim_equals_scikit_image(pairs: tuple[np.ndarray, np.ndarray], ours: dict, theirs: dict) -> None:
    x, y = (a.astype(np.float64) / 255 for a in pairs)
    truth = [structural_similarity(a, b, data_range=1.0, channel_axis=-1, **theirs) for a, b in zip(x, y, strict=True)]
    computed = jax.jit(lambda a, b: ssim(a, b, **ours))(x, y)
    # Variances are off by some 1e-7 and are compared with C2 = 9e-4 at the least; the mean over places takes most of it away.
    np.testing.assert_allclose(computed, truth, atol=1e-5)


@pytest.fixture(scope="module")
def random_pairs() -> tuple[np.ndarray, np.ndarray]:
    """A thousand pairs, float32 (1000, 13, 14, 2): dark and bright, flat and lively, with little noise and much."""
    rng = np.random.default_rng(0)
    shape, one = (1000, 13, 14, 2), (1000, 1, 1, 1)
    x = rng.uniform(size=one) + 10 ** rng.uniform(-2, 0, one) * rng.normal(size=shape)
    y = rng.uniform(0.5, 1, one) * x + 10 ** rng.uniform(-2, -0.3, one) * rng.normal(size=shape)
    return x.clip(0, 1).astype(np.float32), y.clip(0, 1).astype(np.float32)


def test_psnr_is_scikit_images_in_a_thousand_cases(random_pairs: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = (a.astype(np.float64) for a in random_pairs)
    truth = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(psnr(*random_pairs), truth, atol=2e-5)  # as above


@pytest.mark.parametrize(("ours", "theirs"), WINDOWS.values(), ids=WINDOWS)
def test_ssim_is_scikit_images_in_a_thousand_cases(
    random_pairs: tuple[np.ndarray, np.ndarray], ours: dict, theirs: dict
) -> None:
    x, y = (a.astype(np.float64) for a in random_pairs)
    truth = [structural_similarity(a, b, data_range=1.0, channel_axis=-1, **theirs) for a, b in zip(x, y, strict=True)]
    # As above; of so small an image the mean is over 6 to 112 places, where it was over 1 000 and more: errors of up to 1e-4 at
    # a place leave 3e-5 of it.
    np.testing.assert_allclose(ssim(*random_pairs, **ours), truth, atol=3e-5)


def test_the_range_is_that_of_the_type_and_arguments_have_the_names_of_the_convention() -> None:
    x = jnp.full((12, 12, 1), 100, jnp.uint8)
    assert float(psnr(samples=x, references=x + 10)) == pytest.approx(20 * np.log10(255 / 10), abs=1e-4)
    assert float(psnr(x, x + 10)) == float(psnr(x / 255, (x + 10) / 255))
    assert float(ssim(samples=x, references=x + 10)) == pytest.approx(float(ssim(x / 255, (x + 10) / 255)), abs=1e-6)
    with pytest.raises(InvalidInputError, match="images of int32 and int32 have no range of their own; give data_range"):
        psnr(x.astype(jnp.int32), x.astype(jnp.int32))


def test_ssim_of_grey_uint8(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = (a[..., :1] for a in pairs)
    truth = [structural_similarity(a[..., 0], b[..., 0], data_range=255) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y, data_range=255, window="uniform", sample_covariance=True), truth, atol=1e-5)


def test_ssim_of_bright_flat_images_survives_float32() -> None:
    """Where mean² is a thousand times C2, mean(x²) - mean² in float32 would be rounding errors alone."""
    rng = np.random.default_rng(1)
    x, y = 0.97 + 1e-3 * rng.normal(size=(2, 32, 32, 1))
    truth = structural_similarity(
        x[..., 0], y[..., 0], data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert float(ssim(x, y)) == pytest.approx(truth, abs=1e-6)


def test_equal_images(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    x, _ = pairs
    np.testing.assert_allclose(ssim(x, x, data_range=255), 1.0, atol=1e-6)
    assert np.isinf(psnr(x, x, data_range=255)).all()


def test_batch_axes_are_kept(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = (jnp.asarray(a).reshape(2, 2, *a.shape[1:]) for a in pairs)
    for metric in (psnr, ssim):
        folded = metric(x, y, data_range=255)
        np.testing.assert_allclose(folded, np.asarray(metric(*pairs, data_range=255)).reshape(2, 2), rtol=1e-5)
        assert metric(x[0, 0], y[0, 0], data_range=255).shape == ()


def test_ssim_has_finite_gradients(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = (jnp.asarray(a, jnp.float32) / 255 for a in pairs)
    assert np.isfinite(jax.grad(lambda a: ssim(a, y).sum())(x)).all()


@pytest.mark.parametrize(
    ("metric", "arguments", "message"),
    [
        (psnr, {"data_range": 0.0}, "data_range has to be positive"),
        (ssim, {"window": "hann"}, "'gaussian' or 'uniform'"),
        (ssim, {"window_size": 8}, "odd"),
        (ssim, {"window_size": 9}, "at least that large; got 8 x 8"),
    ],
)
def test_bad_arguments(metric: object, arguments: dict, message: str) -> None:
    x = jnp.zeros((2, 8, 8, 1))
    with pytest.raises(InvalidInputError, match=message):
        metric(x, x, **arguments)  # type: ignore[operator]


UNIT = np.full((2, 12, 12, 1), 0.5, np.float32)
BYTES = np.full((2, 12, 12, 1), 128, np.uint8)


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize("data_range", [None, 1.0, 255.0])
def test_floats_beside_uint8_are_refused_in_either_order(metric: Any, data_range: float | None) -> None:
    """They were compared as they were: -43 dB, without a word."""
    for samples, references, found in [
        (UNIT, BYTES, r"samples are float32 \(0 to 1\), references are uint8 \(0 to 255\)"),
        (BYTES, jnp.asarray(UNIT, jnp.bfloat16), r"samples are uint8 \(0 to 255\), references are bfloat16 \(0 to 1\)"),
        (BYTES, UNIT > 0.2, r"samples are uint8 .* references are bool"),
    ]:
        for apply in (metric, lambda x, y, **k: jax.jit(lambda x, y: metric(x, y, **k))(x, y)):
            with pytest.raises(InvalidInputError, match=f"{found}.*divide the uint8 ones by 255"):
                apply(samples, references, data_range=data_range)
    # The advice, followed:
    assert float(psnr(UNIT, BYTES / 255)[0]) == pytest.approx(-20 * np.log10(128 / 255 - 0.5), abs=1e-3)
    scaled = psnr(UNIT * 255, BYTES.astype(np.float32), data_range=255)
    assert float(scaled[0]) == pytest.approx(-20 * np.log10(128 / 255 - 0.5), abs=1e-3)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_floats_that_are_not_from_0_to_1_need_their_range(metric: Any) -> None:
    for samples, references, found in [
        (UNIT, 255 * UNIT, "samples from 0.5 to 0.5 and references from 127.5 to 127.5"),
        (255 * UNIT, UNIT, "samples from 127.5 to 127.5 and references from 0.5 to 0.5"),
        (255 * UNIT, 255 * UNIT, "samples from 127.5"),
        (UNIT, -UNIT, "references from -0.5 to -0.5"),
        (255 * UNIT, UNIT > 0, "samples from 127.5"),
    ]:
        with pytest.raises(InvalidInputError, match=rf"{found}.*: give data_range \(255 for 0..255, 2 for \[-1, 1\]\)"):
            metric(samples, references)
    assert np.isfinite(metric(255 * UNIT, 255 * UNIT - 1, data_range=255)).all()
    assert np.isfinite(metric(UNIT, -UNIT, data_range=2)).all()
    assert np.isfinite(metric(UNIT, UNIT > 0)).all()  # a mask is 0 or 1
    assert np.isfinite(metric(UNIT + 0.5005, UNIT)).all()  # what rounding does
    broken = UNIT.copy()
    broken[1] = np.nan
    assert np.isnan(np.asarray(metric(broken, UNIT))).tolist() == [False, True]


def test_lists_are_images_too() -> None:
    assert float(psnr(np.zeros((1, 2, 2, 1)).tolist(), np.full((1, 2, 2, 1), 0.1).tolist())[0]) == pytest.approx(20, abs=1e-4)


def test_shapes_that_differ() -> None:
    with pytest.raises(InvalidInputError, match=r"\(2, 8, 8, 1\) and \(1, 8, 8, 1\)"):
        psnr(jnp.zeros((2, 8, 8, 1)), jnp.zeros((1, 8, 8, 1)))
