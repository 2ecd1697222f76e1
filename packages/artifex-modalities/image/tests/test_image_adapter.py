"""Models among images: from stored images to images and back, and a modality with streams of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import ModelAdapter
from artifex.modalities.image import ImageModality, ImageModalityConfig, ImageModelAdapter

STORED = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), np.uint8)


def adapter(**fields):
    return ImageModelAdapter(ImageModality(ImageModalityConfig(height=6, width=5, channels="rgb", **fields)))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scale": "symmetric"},
        {"flatten": True},
        {"standardize": {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.1)}},
        {"augment": {"shift": 2}},
    ],
    ids=["unit", "symmetric", "flat", "standardised", "augmented in training only"],
)
def test_stored_images_come_back_as_they_were(fields):
    made = adapter(**fields)
    assert isinstance(made, ModelAdapter)
    x = made.preprocess(STORED)["x"]
    back = made.postprocess(x)
    assert (back.dtype, back.shape) == (np.uint8, STORED.shape)
    np.testing.assert_array_equal(back, STORED)


def test_intensities_are_rounded_and_clipped():
    made = ImageModelAdapter(ImageModality(ImageModalityConfig(height=1, width=4)))
    x = jnp.array([-0.5, 0.4 / 255, 0.6 / 255, 1.7]).reshape(1, 1, 4, 1)
    assert made.postprocess(x).ravel().tolist() == [0, 0, 1, 255]


def test_a_batch_keeps_its_other_keys():
    batch = adapter().preprocess({"x": STORED, "label": np.arange(3)})
    assert batch["label"].tolist() == [0, 1, 2]
    assert batch["x"].dtype == jnp.float32


class Shifting(nnx.Module):
    """In model space, [-1, 1]: encodes by halving, decodes by doubling, reconstructs the negative."""

    def __call__(self, x, *, rngs=None, condition=None):
        return {"mean": x.mean(), "condition": condition}

    def generate(self, n_samples=1, *, rngs=None, value=1.0):
        return jnp.full((n_samples, 6, 5, 3), value)

    def encode(self, x):
        return x / 2

    def decode(self, z):
        return 2 * z

    def reconstruct(self, x):
        return -x

    def interpolate(self, x0, x1, n_steps):
        t = jnp.linspace(0.0, 1.0, n_steps)[None, :, None, None, None]
        return (1 - t) * x0[:, None] + t * x1[:, None]


def test_every_method_takes_stored_images_and_gives_images():
    model = adapter(scale="symmetric").adapt_model(Shifting())
    np.testing.assert_array_equal(model.reconstruct(STORED), 255 - STORED)
    np.testing.assert_array_equal(model.decode(model.encode(STORED)), STORED)
    assert (model.generate(2) == 255).all()
    assert (model.generate(2, value=-1.0) == 0).all()
    assert model.generate(2).shape == (2, 6, 5, 3)
    path = model.interpolate(STORED, STORED[::-1], 3)
    np.testing.assert_array_equal(path[:, [0, 2]], np.stack([STORED, STORED[::-1]], axis=1))
    outputs = model(STORED, condition=7)
    np.testing.assert_allclose(outputs["mean"], 2 * (STORED / 255).mean() - 1, atol=1e-6)
    assert outputs["condition"] == 7


def test_it_has_no_method_that_the_model_has_not():
    class Plain(nnx.Module):
        def __call__(self, x, *, rngs=None):
            return {}

        def generate(self, n_samples=1, *, rngs=None):
            return jnp.zeros((n_samples, 6, 5, 3))

    model = adapter().adapt_model(Plain())
    assert [name for name in ("encode", "decode", "reconstruct", "interpolate", "log_prob") if hasattr(model, name)] == []
    with pytest.raises(InvalidTypeError, match="adapt_model takes a model with __call__ and generate, got int: 3"):
        adapter().adapt_model(3)
    with pytest.raises(InvalidTypeError, match="ImageModelAdapter takes an ImageModality, got ImageModalityConfig"):
        ImageModelAdapter(ImageModalityConfig(height=2, width=2))


# --- a modality with streams of its own ---

GREY = {"x": np.full((4, 6, 6), 128, np.uint8)}
DITHERED = ImageModalityConfig(height=6, width=6, binarize="stochastic")


def test_the_modalitys_own_streams_serve_where_none_are_given():
    rngs = nnx.Rngs(3)
    modality = ImageModality(config=DITHERED, rngs=rngs)
    first, second = (modality.prepare(GREY, train=True)["x"] for _ in range(2))
    assert (first != second).any()
    again = ImageModality(config=DITHERED, rngs=nnx.Rngs(3)).prepare(GREY, train=True)["x"]
    np.testing.assert_array_equal(first, again)
    given = modality.prepare(GREY, rngs=nnx.Rngs(5), train=True)["x"]
    np.testing.assert_array_equal(given, ImageModality(DITHERED).prepare(GREY, rngs=nnx.Rngs(5), train=True)["x"])


def test_streams_change_neither_equality_nor_hash():
    one, other = ImageModality(DITHERED, rngs=nnx.Rngs(0)), ImageModality(DITHERED)
    assert one == other
    assert hash(one) == hash(other)


def test_without_streams_only_what_draws_nothing_is_prepared():
    with pytest.raises(InvalidInputError, match="this image config draws random numbers"):
        ImageModality(DITHERED).prepare(GREY, train=True)
    assert ImageModality(ImageModalityConfig(height=6, width=6)).prepare(GREY, train=True)["x"].shape == (4, 6, 6, 1)
    with pytest.raises(InvalidTypeError, match=r"rngs=nnx.Rngs\(seed\), got int: 0"):
        ImageModality(DITHERED, rngs=0)


def test_streams_kept_outside_do_not_serve_inside_a_compiled_function():
    modality = ImageModality(DITHERED, rngs=nnx.Rngs(0))
    with pytest.raises(Exception, match="trace level"):
        jax.jit(lambda x: modality.prepare({"x": x}, train=True)["x"])(GREY["x"])


# --- a modality without a config ---


def test_without_a_config_images_keep_their_size():
    modality = ImageModality()
    assert modality == ImageModality(config=None)
    prepared = modality.prepare({"x": STORED, "label": np.arange(3)}, train=True)
    np.testing.assert_allclose(prepared["x"], STORED / 255, atol=1e-6)
    assert prepared["label"].tolist() == [0, 1, 2]
    assert modality.prepare({"x": STORED[..., 0]}, train=False)["x"].shape == (3, 6, 5, 1)
    np.testing.assert_array_equal(modality.restore(jnp.array([[-1.0, 0.5, 2.0]])), [[0.0, 0.5, 1.0]])
    modality.check({"x": STORED})
    with pytest.raises(InvalidInputError, match=r"x\[1\] holds 200"):
        modality.check({"x": np.array([0.0, 200.0]).reshape(2, 1, 1)})


@pytest.mark.parametrize(("channels", "mode"), [(1, "grayscale"), (3, "rgb"), (4, "rgba"), (6, 6)])
def test_the_modality_of_a_data_set_has_its_sizes(channels, mode, tmp_path):
    arrays = {"x": np.full((2, 4, 7, channels), 200, np.uint8)}
    rngs = nnx.Rngs(0)
    modality = ImageModality(rngs=rngs).for_data(arrays)
    assert modality.config == ImageModalityConfig(height=4, width=7, channels=mode)
    assert modality.shape == (4, 7, channels)
    assert modality.rngs is not None
    assert modality.for_data({}) is modality
    assert ImageModality().save_samples(arrays["x"] / 255.0, tmp_path / "grid").is_file()


def test_without_a_config_and_data_there_is_no_shape():
    with pytest.raises(AttributeError, match=r"has no shape of its own; take ImageModality\(\).for_data\(arrays\)"):
        _ = ImageModality().shape
    for arrays, found in (({}, "no x"), ({"x": np.zeros((4, 3))}, r"\(4, 3\)")):
        with pytest.raises(InvalidInputError, match=f"size and channels are taken from 'x'.*got {found}"):
            ImageModality().for_data(arrays)
    with pytest.raises(InvalidTypeError, match="ImageModality takes an ImageModalityConfig, got dict"):
        ImageModality({"height": 3})
