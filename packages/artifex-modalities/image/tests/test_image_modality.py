"""ImageModality: from stored arrays to model input and back."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from skimage.util import img_as_float32
from sklearn.datasets import load_sample_image

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import ChecksData, ModalityProtocol
from artifex.modalities.image import ImageModality, ImageModalityConfig, transforms

EVERY_AUGMENTATION = {"horizontal_flip": 0.5, "crop_padding": 2, "shift": 2, "brightness": 0.2, "contrast": 0.3}


def modality(**fields: Any) -> ImageModality:
    return ImageModality(ImageModalityConfig.from_dict({"height": 16, "width": 16, **fields}))


def prepare(m: ImageModality, x: Any, *, train: bool = False, seed: int = 0) -> np.ndarray:
    return np.asarray(m.prepare({"x": x}, rngs=nnx.Rngs(seed), train=train)["x"])


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Eight crops of a photograph, uint8 (8, 16, 16, 3)."""
    china = load_sample_image("china.jpg")
    return np.stack([china[40 * i : 40 * i + 16, 60 * i : 60 * i + 16] for i in range(8)])


def test_follows_the_protocol_and_is_static_to_jax() -> None:
    first, second = modality(binarize=0.5), modality(binarize=0.5)
    assert isinstance(first, ModalityProtocol)
    assert first == second
    assert hash(first) == hash(second)
    assert pickle.loads(pickle.dumps(first)) == first


def test_uint8_becomes_unit_intensities(photos: np.ndarray) -> None:
    np.testing.assert_allclose(prepare(modality(channels="rgb"), photos), img_as_float32(photos), rtol=1.2e-7)


def test_floats_are_taken_as_they_are() -> None:
    levels = (np.arange(2 * 16 * 16) % 17).reshape(2, 16, 16, 1) / 16
    np.testing.assert_array_equal(prepare(modality(), levels), levels)
    np.testing.assert_array_equal(prepare(modality(), levels.astype(jnp.bfloat16)), levels)


def test_binarising_at_a_half_is_at_least_8_of_16_levels_and_above_127_of_256() -> None:
    digits = (np.arange(256) % 17).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(prepare(modality(binarize=0.5), (digits / 16).astype(np.float32)), digits >= 8)
    eight_bit = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(prepare(modality(binarize=0.5), eight_bit), eight_bit > 127)


def test_colour_and_size_as_pillow_makes_them(photos: np.ndarray) -> None:
    ours = prepare(modality(height=9, width=7), photos)
    luma = photos.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    theirs = [Image.fromarray(y.astype(np.float32)).resize((7, 9), Image.Resampling.BILINEAR) for y in luma]
    np.testing.assert_allclose(ours[..., 0], np.stack([np.asarray(y) for y in theirs]), atol=1e-6)


def test_scale_and_standardise(photos: np.ndarray) -> None:
    unit = photos / 255.0
    np.testing.assert_allclose(prepare(modality(channels="rgb", scale="symmetric"), photos), 2 * unit - 1, atol=2e-7)
    mean, std = unit.mean((0, 1, 2)), unit.std((0, 1, 2))
    out = prepare(modality(channels="rgb", standardize={"mean": mean.tolist(), "std": std.tolist()}), photos)
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1.0, atol=1e-5)


def test_stochastic_binarisation_has_the_intensity_as_its_mean() -> None:
    x = np.full((400, 16, 16, 1), 0.3, np.float32)
    m = modality(binarize="stochastic")
    drawn = prepare(m, x)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert abs(drawn.mean() - 0.3) < 4 * (0.21 / x.size) ** 0.5
    assert not np.array_equal(drawn, prepare(m, x, seed=1))
    np.testing.assert_array_equal(drawn, prepare(m, x))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scale": "symmetric"},
        {"standardize": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}},
        {"dequantize_levels": 256},
        {"dequantize_levels": 256, "scale": "symmetric"},
    ],
    ids=str,
)
def test_restore_undoes_prepare(photos: np.ndarray, fields: dict[str, Any]) -> None:
    m = modality(channels="rgb", **fields)
    restored = m.restore(jnp.asarray(prepare(m, photos)))
    np.testing.assert_array_equal(transforms.to_uint8(np.asarray(restored)), photos)


def test_restore_clips() -> None:
    out = modality(scale="symmetric").restore(jnp.full((1, 16, 16, 1), -3.0))
    np.testing.assert_array_equal(out, 0.0)


def test_dequantised_symmetric_images_lie_within_their_level(photos: np.ndarray) -> None:
    out = prepare(modality(channels="rgb", dequantize_levels=256), photos)
    np.testing.assert_array_equal(np.floor(out * 256), photos)


@pytest.mark.parametrize("option", EVERY_AUGMENTATION)
def test_every_augmentation_changes_training_images_only(photos: np.ndarray, option: str) -> None:
    plain = prepare(modality(channels="rgb"), photos)
    m = modality(channels="rgb", augment={option: EVERY_AUGMENTATION[option]})
    changed = prepare(m, photos, train=True)
    assert not np.array_equal(changed, plain)
    assert changed.min() >= 0.0
    assert changed.max() <= 1.0
    np.testing.assert_array_equal(prepare(m, photos, train=False), plain)
    assert not np.array_equal(changed, prepare(m, photos, train=True, seed=1))


def test_brightness_leaves_alpha_alone(photos: np.ndarray) -> None:
    m = modality(channels="rgba", augment={"brightness": 0.3, "contrast": 0.3})
    np.testing.assert_array_equal(prepare(m, photos, train=True)[..., 3], 1.0)


def test_no_random_numbers_are_drawn_without_need(photos: np.ndarray) -> None:
    rngs = nnx.Rngs(sample=0)
    modality(channels="rgb").prepare({"x": photos}, rngs=rngs, train=True)
    assert rngs.sample.count[...] == 0


def test_each_draw_has_its_own_key(photos: np.ndarray) -> None:
    rngs = nnx.Rngs(sample=0)
    modality(channels="rgb", augment=EVERY_AUGMENTATION, dequantize_levels=256).prepare({"x": photos}, rngs=rngs, train=True)
    assert rngs.sample.count[...] == len(EVERY_AUGMENTATION) + 1


def test_other_keys_are_handed_on_and_the_batch_is_left_alone(photos: np.ndarray) -> None:
    batch = {"x": photos, "label": np.arange(8)}
    out = modality(channels="rgb").prepare(batch, rngs=nnx.Rngs(0), train=True)
    assert out["label"] is batch["label"]
    assert batch["x"] is photos


def test_jitted_equals_unjitted_and_is_traced_once(photos: np.ndarray) -> None:
    traces = 0

    def step(m: ImageModality, x: jax.Array, key: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return m.prepare({"x": x}, rngs=nnx.Rngs(key), train=True)["x"]

    def fresh() -> ImageModality:
        return modality(height=12, width=12, channels="rgb", augment=EVERY_AUGMENTATION, scale="symmetric")

    jitted = jax.jit(step, static_argnums=0)
    first = jitted(fresh(), photos, jax.random.key(0))
    jitted(fresh(), photos[::-1], jax.random.key(1))
    assert traces == 1
    np.testing.assert_allclose(first, step(fresh(), photos, jax.random.key(0)), atol=2e-6)


def test_a_sharded_batch_gives_what_an_unsharded_one_does(photos: np.ndarray) -> None:
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    placed = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    x = np.tile(photos, (jax.device_count(), 1, 1, 1))
    m = modality(height=12, width=12, channels="rgb", augment=EVERY_AUGMENTATION, dequantize_levels=256)

    @jax.jit
    def step(x: jax.Array, key: jax.Array) -> jax.Array:
        return m.prepare({"x": x}, rngs=nnx.Rngs(key), train=True)["x"]

    sharded = step(jax.device_put(x, placed), jax.random.key(0))
    np.testing.assert_allclose(sharded, step(x, jax.random.key(0)), atol=2e-6)


def test_grey_images_may_come_without_an_axis_for_channels(photos: np.ndarray) -> None:
    grey = photos[..., 0]
    np.testing.assert_array_equal(prepare(modality(), grey), prepare(modality(), grey[..., None]))
    np.testing.assert_array_equal(prepare(modality(channels="rgb"), grey)[..., 2], prepare(modality(), grey)[..., 0])


def test_channels_that_are_no_colours() -> None:
    x = np.random.default_rng(0).random((3, 16, 16, 5), np.float32)
    np.testing.assert_array_equal(prepare(modality(channels=5), x), x)


@pytest.mark.parametrize(
    ("fields", "x", "message"),
    [
        ({}, np.zeros((2, 16, 16, 1), np.int64), "got int64 of shape"),
        ({}, np.zeros((2, 16, 16, 1), bool), "uint8 in 0..255 or floats"),
        ({}, np.zeros((16, 16), np.uint8), r"got \(16, 16\)"),
        ({}, np.zeros((2, 16, 16, 2), np.uint8), "1 or 3 or 4"),
        ({"channels": 5}, np.zeros((2, 16, 16, 3), np.uint8), "set channels=3"),
        ({"channels": "rgb"}, np.zeros((2, 3, 16, 16), np.uint8), r"put the channels last, as x.transpose\(0, 2, 3, 1\) does"),
        ({}, np.zeros((2, 0, 16, 1), np.uint8), r"got \(2, 0, 16, 1\)"),
    ],
)
def test_arrays_that_are_no_images(fields: dict[str, Any], x: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        prepare(modality(**fields), x)


def stored(value: float, row: int = 3, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """Five images between 0 and 1, one of which holds ``value``."""
    x = np.linspace(0, 1, 5 * 16 * 16).reshape(5, 16, 16)
    x[row, 2, 1] = value
    return {"x": x.astype(dtype)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (255, r"x\[503\] holds 255, .* lie in \[0, 1\]: they go from 0 to 255; divide them by 255, or store them as uint8"),
        (-1, r"x\[503\] holds -1, .* store \(x \+ 1\) / 2, and set the modality's scale to 'symmetric'"),
        (1.01, r"x\[503\] holds 1.01, .* rescale them"),
        (-3.5, r"x\[503\] holds -3.5, .* from -3.5 to 1; rescale them"),
        (1e30, r"x\[503\] holds 1e\+30, .* rescale them"),
        (np.nan, r"x\[503\] holds nan, .* mend what is not finite"),
        (-np.inf, r"x\[503\] holds -inf, .* mend what is not finite"),
    ],
)
def test_values_that_are_no_intensities_are_found_on_the_host(value: float, message: str) -> None:
    """Floats from 0 to 255 were trained on without a word."""
    m = modality()
    assert isinstance(m, ChecksData)
    for dtype in (np.float32, np.float64):
        with pytest.raises(InvalidInputError, match=message):
            m.check(stored(value, dtype=dtype), first_row=500)


def test_stored_images_pass(photos: np.ndarray) -> None:
    m = modality(channels="rgb")
    for x in (photos, photos / 255, (photos / 255).astype(np.float16), photos[:0], photos[..., 0], jnp.asarray(photos / 255)):
        m.check({"x": x, "label": np.full(len(x), -1)})  # type: ignore[dict-item]
    m.check(stored(1.0005))  # what rounding does
    with pytest.raises(InvalidInputError, match="got int64 of shape"):
        m.check({"x": photos.astype(np.int64)})
    with pytest.raises(InvalidInputError, match="has the key 'x'"):
        m.check({"image": photos})
    with pytest.raises(InvalidInputError, match=r"x\[0\] holds 255, "):
        m.check({"x": photos.astype(jnp.bfloat16) * 0 + 255})


def test_batches_without_x_and_streams_without_sample(photos: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="the key 'x'; got the keys \\['image'\\]"):
        modality().prepare({"image": photos}, rngs=nnx.Rngs(0), train=True)
    with pytest.raises(InvalidInputError, match="a stream 'sample'"):
        modality(binarize="stochastic").prepare({"x": photos}, rngs=nnx.Rngs(params=0), train=True)
    with pytest.raises(InvalidTypeError, match="takes an ImageModalityConfig, got dict"):
        ImageModality({"height": 8})  # type: ignore[arg-type]


def test_samples_are_written_as_one_png(tmp_path: Path, photos: np.ndarray) -> None:
    m = modality(channels="rgb", scale="symmetric")
    path = m.save_samples(prepare(m, photos), tmp_path / "step_0.5")
    assert path == tmp_path / "step_0.5.png"
    with Image.open(path) as read:
        canvas = np.asarray(read)
    # Three by three, each pixel enlarged four times, so that a side has 64 pixels; frames of 2.
    assert canvas.shape == (3 * 66 + 2, 3 * 66 + 2, 3)
    np.testing.assert_array_equal(canvas[2:66:4, 2:66:4], photos[0])


def test_channels_that_are_no_colours_are_drawn_side_by_side(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((2, 16, 16, 5), np.float32)
    with Image.open(modality(channels=5).save_samples(x, tmp_path / "five")) as read:
        canvas = np.asarray(read)
    assert canvas.shape == (2 * 66 + 2, 5 * 66 + 2)
    np.testing.assert_array_equal(canvas[68:132:4, 68:132:4], transforms.to_uint8(x[1, ..., 1]))


def test_samples_of_another_shape_are_refused(tmp_path: Path) -> None:
    for shape in [(2, 16, 16, 3), (16, 16, 1)]:
        with pytest.raises(InvalidInputError, match="are needed"):
            modality().save_samples(np.zeros(shape), tmp_path / "x")
    with pytest.raises(InvalidInputError, match="are needed"):
        modality().restore(jnp.zeros((2, 16, 15, 1)))
    assert not list(tmp_path.iterdir())


def test_flattened_images_are_the_same_numbers_as_vectors_and_come_back_as_images(photos: np.ndarray, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"channels": "rgb", "standardize": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}}
    flat, images = modality(**fields, flatten=True), modality(**fields)
    x = prepare(flat, photos)
    assert flat.shape == x.shape[1:] == (16 * 16 * 3,)
    np.testing.assert_array_equal(x, prepare(images, photos).reshape(8, -1))
    np.testing.assert_allclose(flat.restore(jnp.asarray(x)), img_as_float32(photos), atol=1e-6)
    shown = [
        Image.open(m.save_samples(part, tmp_path / str(i)))
        for i, (m, part) in enumerate([(flat, x), (images, prepare(images, photos))])
    ]
    np.testing.assert_array_equal(np.asarray(shown[0]), np.asarray(shown[1]))
    with pytest.raises(InvalidInputError, match="768"):
        flat.restore(jnp.asarray(photos, jnp.float32))


def test_a_condition_of_images_goes_the_same_way_and_other_conditions_stay():
    modality = ImageModality(ImageModalityConfig(height=4, width=4, channels="rgb", scale="symmetric"))
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    condition = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 1), np.uint8)
    made = modality.prepare({"x": x, "condition": condition}, rngs=nnx.Rngs(0), train=True)
    assert made["condition"].shape == (2, 4, 4, 3)
    alone = modality.prepare({"x": condition}, rngs=nnx.Rngs(0), train=True)
    np.testing.assert_array_equal(made["condition"], alone["x"])
    vectors = np.ones((2, 3), np.float32)
    assert modality.prepare({"x": x, "condition": vectors}, rngs=nnx.Rngs(0), train=True)["condition"] is vectors


def test_augmentation_that_would_part_an_image_from_its_condition_is_refused():
    modality = ImageModality(ImageModalityConfig(height=4, width=4, augment={"shift": 1}))
    batch = {"x": np.zeros((2, 4, 4, 1), np.uint8), "condition": np.zeros((2, 4, 4, 1), np.uint8)}
    with pytest.raises(InvalidInputError, match="leaves a condition of images where it is"):
        modality.prepare(batch, rngs=nnx.Rngs(0), train=True)
    assert modality.prepare(batch, rngs=nnx.Rngs(0), train=False)["x"].shape == (2, 4, 4, 1)
