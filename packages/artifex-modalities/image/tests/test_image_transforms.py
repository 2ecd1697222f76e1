"""Transforms against Pillow, scikit-image and NumPy, on a real photograph."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from skimage import color
from sklearn.datasets import load_sample_image

from artifex.modalities.image import transforms

PILLOW = {"nearest": Image.Resampling.NEAREST, "linear": Image.Resampling.BILINEAR, "cubic": Image.Resampling.BICUBIC}
PILLOW["lanczos3"] = Image.Resampling.LANCZOS


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """Two crops of a photograph, (2, 48, 40, 3), intensities in [0, 1]."""
    china = load_sample_image("china.jpg")
    return np.stack([china[100:148, 200:240], china[200:248, 300:340]]).astype(np.float32) / 255.0


@pytest.mark.parametrize("method", PILLOW)
@pytest.mark.parametrize("size", [(17, 24), (96, 80)])
def test_resize_equals_pillow(photo: np.ndarray, method: str, size: tuple[int, int]) -> None:
    ours = transforms.resize(jnp.asarray(photo), *size, method)
    theirs = np.stack(
        [[np.asarray(Image.fromarray(image[..., c]).resize(size[::-1], PILLOW[method])) for c in range(3)] for image in photo]
    )
    # No side here goes from even to odd: a centre would lie on an edge, where `nearest` is a matter of rounding.
    # Both add up at most 6 * 48 / 17 terms of at most 1 a axis in float32 or better: about 20 rounding errors of 6e-8.
    np.testing.assert_allclose(ours, np.clip(np.moveaxis(theirs, 1, -1), 0, 1), atol=2e-6)


def test_resize_to_the_same_size_changes_nothing(photo: np.ndarray) -> None:
    np.testing.assert_array_equal(transforms.resize(jnp.asarray(photo), 48, 40, "cubic"), photo)


def test_cubic_overshoot_is_clipped() -> None:
    edge = jnp.zeros((1, 4, 4, 1)).at[:, :, 2:].set(1.0)
    out = transforms.resize(edge, 16, 16, "cubic")
    assert out.min() == 0.0
    assert out.max() == 1.0


def test_luma_equals_scikit_image_and_pillow(photo: np.ndarray) -> None:
    ours = np.asarray(transforms.luma(jnp.asarray(photo)))
    # Luma of BT.601 is Y of YCbCr, which scikit-image gives in 16..235.
    np.testing.assert_allclose(ours[..., 0], (color.rgb2ycbcr(photo.astype(np.float64))[..., 0] - 16) / 219, atol=1e-6)
    stored = transforms.to_uint8(photo)
    pillow = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in stored]).astype(int)
    # Pillow rounds its weights to 16 bits: it may differ where the luma lies at half an integer.
    difference = np.abs(transforms.to_uint8(ours)[..., 0].astype(int) - pillow)
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_colour_conversions(photo: np.ndarray) -> None:
    rgb = jnp.asarray(photo)
    rgba = transforms.convert_colour(rgb, 4)
    np.testing.assert_array_equal(rgba[..., :3], photo)
    np.testing.assert_array_equal(rgba[..., 3], 1.0)
    np.testing.assert_array_equal(transforms.convert_colour(rgba, 3), photo)
    grey = transforms.luma(rgb)
    np.testing.assert_array_equal(transforms.convert_colour(rgba, 1), grey)
    np.testing.assert_array_equal(transforms.convert_colour(grey, 3), np.repeat(grey, 3, -1))
    np.testing.assert_array_equal(transforms.convert_colour(grey, 4)[..., 3], 1.0)


def test_uint8_and_unit_are_inverse() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    unit = np.asarray(transforms.to_unit(jnp.asarray(levels)))
    np.testing.assert_allclose(unit, levels / 255.0, rtol=1.2e-7)
    np.testing.assert_array_equal(transforms.to_uint8(unit), levels)
    np.testing.assert_array_equal(transforms.to_uint8(np.array([np.nan, -1.0, 2.0, np.inf])), [0, 0, 255, 255])


def test_flip_mirrors_and_has_its_probability(photo: np.ndarray) -> None:
    x = jnp.asarray(np.repeat(photo[:1, :4, :4], 4000, 0))
    out = np.asarray(transforms.random_flip(jax.random.key(0), x, 0.3))
    flipped = (out == photo[:1, :4, 3::-1]).all((1, 2, 3))
    kept = (out == photo[:1, :4, :4]).all((1, 2, 3))
    assert (flipped ^ kept).all()
    # Four standard deviations of a proportion of 4000.
    assert abs(flipped.mean() - 0.3) < 4 * (0.3 * 0.7 / 4000) ** 0.5
    np.testing.assert_array_equal(transforms.random_flip(jax.random.key(0), x, 1.0), x[:, :, ::-1])


@pytest.mark.parametrize(("move", "mode"), [(transforms.random_crop, "reflect"), (transforms.random_shift, "constant")])
def test_crop_and_shift_cut_windows_from_the_padded_image(photo: np.ndarray, move: object, mode: str) -> None:
    image = photo[0, :6, :5]
    out = np.asarray(move(jax.random.key(1), jnp.asarray(np.repeat(image[None], 400, 0)), 2))  # type: ignore[operator]
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode=mode)  # type: ignore[call-overload]
    windows = {(i, j): padded[i : i + 6, j : j + 5] for i in range(5) for j in range(5)}
    drawn = [next(corner for corner, window in windows.items() if np.array_equal(window, crop)) for crop in out]
    # All 25 corners turn up: a given one is missed by 400 draws with probability 8e-8.
    assert set(drawn) == set(windows)


def test_brightness_and_contrast(photo: np.ndarray) -> None:
    x = jnp.asarray(photo)
    delta = jnp.asarray([0.2, -0.1]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(transforms.adjust_brightness(x, delta), np.clip(photo + np.asarray(delta), 0, 1), atol=1e-7)
    factor = jnp.asarray([1.5, 0.5]).reshape(2, 1, 1, 1)
    mean = photo.astype(np.float64).mean((1, 2), keepdims=True)
    np.testing.assert_allclose(
        transforms.adjust_contrast(x, factor), np.clip(mean + np.asarray(factor) * (photo - mean), 0, 1), atol=1e-6
    )


def test_random_brightness_and_contrast_are_uniform_in_their_range() -> None:
    x = jnp.full((2000, 1, 2, 1), 0.5).at[:, :, 0].set(0.25)
    delta = np.asarray(transforms.random_brightness(jax.random.key(2), x, 0.2) - x)[:, 0, 1, 0]
    out = np.asarray(transforms.random_contrast(jax.random.key(3), x, 0.4))[:, 0, :, 0]
    factor = (out[:, 1] - out[:, 0]) / 0.25 - 1.0
    for drawn, width in ((delta, 0.2), (factor, 0.4)):
        assert np.abs(drawn).max() <= width + 1e-6
        # Four standard errors of the mean, and of the variance, width² / 3.
        assert abs(drawn.mean()) < 4 * width / (3 * 2000) ** 0.5
        assert drawn.var() == pytest.approx(width**2 / 3, rel=4 * (0.8 / 2000) ** 0.5)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_dequantisation_is_undone_exactly_and_its_noise_uniform(levels: int) -> None:
    level = np.arange(40_000) % levels
    x = jnp.asarray(level / (levels - 1), jnp.float32)
    noisy = np.asarray(transforms.dequantize(jax.random.key(4), x, levels))
    assert noisy.min() >= 0.0
    assert noisy.max() < 1.0
    np.testing.assert_allclose(transforms.quantize(jnp.asarray(noisy), levels), x, atol=1e-7)
    noise = noisy.astype(np.float64) * levels - level
    # Kolmogorov's distance to U[0, 1) exceeds 1.95 / sqrt(n) with probability 1e-3.
    distance = np.abs(np.sort(noise) - (np.arange(noise.size) + 0.5) / noise.size).max()
    assert distance < 1.95 / noise.size**0.5


def test_dequantisation_noise_never_reaches_the_next_level() -> None:
    """In float32 250 + (1 - 2⁻²⁴) rounds to 251."""
    x = jnp.full((2_000_000,), 250 / 255, jnp.float32)
    noisy = transforms.dequantize(jax.random.key(5), x, 256)
    assert jnp.floor(noisy * 256).max() == 250


def test_binarise_and_sample() -> None:
    x = jnp.asarray([0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(transforms.binarize(x, 0.5), [0, 0, 1, 1, 1])
    drawn = np.asarray(transforms.sample_binary(jax.random.key(6), jnp.repeat(x[None], 10_000, 0)))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(0), x, atol=4 * 0.5 / 100)


def test_standardise_equals_numpy_and_is_undone(photo: np.ndarray) -> None:
    mean, std = (0.48, 0.45, 0.4), (0.2, 0.25, 0.3)
    out = transforms.standardize(jnp.asarray(photo), mean, std)
    np.testing.assert_allclose(out, (photo - np.float32(mean)) / np.float32(std), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(transforms.destandardize(out, mean, std), photo, atol=1e-6)
