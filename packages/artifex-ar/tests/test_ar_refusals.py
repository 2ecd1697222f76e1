"""Mistakes that are made: each is one clear error, or the right result; never a wrong one.

A model and its program serve many of them: nothing here is larger than it has to be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.ar import (
    PixelCNN,
    PixelCNNConfig,
    PixelCNNPP,
    PixelCNNPPConfig,
    TransformerAR,
    TransformerARConfig,
    WaveNet,
    WaveNetConfig,
    load_huggingface,
    save_huggingface,
)
from artifex.core.errors import DataError, InvalidInputError, RunError
from artifex.core.value_ranges import Interval, check_values

LEVELS = 5
IMAGES = (np.random.default_rng(0).integers(0, LEVELS, (3, 3, 4, 1)) / (LEVELS - 1)).astype(np.float32)
SIGNALS = np.random.default_rng(0).uniform(-1, 1, (2, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def tokens() -> TransformerAR:
    made = TransformerARConfig(vocab_size=7, context_length=8, num_layers=1, embed_dim=8, num_heads=2, num_classes=3)
    return TransformerAR(made, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module", params=["pixel_cnn", "pixel_cnn_pp"])
def pixels(request: pytest.FixtureRequest) -> Any:
    shape: dict[str, Any] = {"image_shape": (3, 4, 1), "levels": LEVELS, "hidden_channels": 4, "num_layers": 1}
    if request.param == "pixel_cnn":
        return PixelCNN(PixelCNNConfig(**shape, first_kernel_size=3, num_classes=3), rngs=nnx.Rngs(0))
    return PixelCNNPP(PixelCNNPPConfig(**shape, num_mixtures=2, num_classes=3), rngs=nnx.Rngs(0))


@pytest.fixture(scope="module", params=["mu_law", "logistics"])
def waves(request: pytest.FixtureRequest) -> WaveNet:
    made = WaveNetConfig(
        length=6,
        num_layers=2,
        num_stacks=1,
        residual_channels=4,
        skip_channels=4,
        output=request.param,
        levels=17,
        num_classes=3,
    )
    return WaveNet(made, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prompt": [[1, 2], [3]]}, r"the prompts differ in length; .* prompt_lengths=\[len\(p\) for p in prompts\]"),
        ({"prompt": "Once"}, r"prompt is text, 'Once', expected integer tokens: encode it"),
        ({"prompt": []}, "expected integer tokens"),
        ({"stop_tokens": (7,)}, "stop_tokens holds 7 to 7, but the vocabulary goes from 0 to 6"),
        ({"stop_tokens": (2.5,)}, r"stop_tokens is \(2.5,\), expected integer tokens"),
        ({"stop_tokens": "a"}, "stop_tokens is 'a'"),
        ({"fill_token": 1.5}, "fill_token is 1.5"),
        ({"n_samples": 2.5}, "n_samples is 2.5; it has to be an integer of at least 1"),
        ({"n_samples": "2"}, "n_samples is '2'"),
        ({"max_new_tokens": 2.5}, "max_new_tokens is 2.5"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"top_k": 2.5}, "top_k is 2.5; it has to be an integer"),
        ({"temperature": "hot"}, "temperature is 'hot'; it has to be a number above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 1.5}, "top_p is 1.5; it has to be a number above 0 and at most 1"),
        ({"min_p": 0.0}, "min_p is 0.0"),
    ],
)
def test_generate_refuses(tokens: TransformerAR, given: dict[str, Any], message: str):
    with pytest.raises(InvalidInputError, match=message):
        tokens.generate(**given)


def test_one_stop_token_needs_no_tuple_and_more_tokens_than_there_are_is_all(tokens: TransformerAR):
    same = {"max_new_tokens": 4, "condition": 1}
    one = tokens.generate(3, stop_tokens=3, rngs=nnx.Rngs(1), **same)
    assert_array_equal(one, tokens.generate(3, stop_tokens=(3,), rngs=nnx.Rngs(1), **same))
    assert_array_equal(
        tokens.generate(3, top_k=7, rngs=nnx.Rngs(1), **same), tokens.generate(3, top_k=99, rngs=nnx.Rngs(1), **same)
    )


def test_calls_of_tokens_refuse_and_take_lists(tokens: TransformerAR):
    x = np.array([[1, 2, 3], [4, 5, 6]])
    assert_allclose(tokens.log_prob(x.tolist(), condition=[0, 2]), tokens.log_prob(x, condition=np.array([0, 2])), rtol=1e-6)
    with pytest.raises(InvalidInputError, match="classes from 2 to 3, expected 0 to 2"):
        tokens.log_prob(x, condition=[2, 3])
    with pytest.raises(InvalidInputError, match=r"x is int64 of shape \(2, 0\)|x is int32 of shape \(2, 0\)"):
        tokens(x[:, :0], condition=0)


def test_the_trainer_learns_which_tokens_and_classes_there_are(tokens: TransformerAR):
    x, mask = np.array([[1, 6, -1]]), np.array([[True, True, False]])
    ranges = tokens.value_ranges({"x": x, "label": x})
    assert ranges == {"x": range(7), "label": range(3)}
    check_values({"x": x, "mask": mask}, ranges, "it")  # padding may be anything
    with pytest.raises(DataError, match="'x' of row 0 holds 7, but it takes whole numbers from 0 to 6"):
        check_values({"x": np.array([[7, 9]]), "mask": mask[:, 1:]}, ranges, "it")
    assert_array_equal(tokens.conditions_for(4), [0, 1, 2, 0])


def test_images_on_another_scale_are_no_numbers(pixels: Any):
    """In a compiled program nothing can be raised; before training the trainer is told."""
    for other in (2 * IMAGES - 1, 255 * IMAGES, IMAGES + 1):
        log_prob = pixels.log_prob(other, condition=0)
        outside = (other < -0.125) | (other > 1.125)  # half a level
        assert_array_equal(np.isnan(log_prob), outside.any(axis=(1, 2, 3)))
    last = IMAGES.copy()
    last[:, -1, -1] = 1.5  # on which nothing else depends
    assert np.isnan(pixels.log_prob(last, condition=0)).all()
    near = np.clip(IMAGES + 0.1, None, 1.1)
    assert_allclose(pixels.log_prob(near, condition=0), pixels.log_prob(IMAGES, condition=0), rtol=1e-6)
    ranges = pixels.value_ranges({"x": IMAGES})
    check_values({"x": near}, ranges, "it")
    with pytest.raises(DataError, match=r"write \(x \+ 1\) / 2"):
        check_values({"x": 2 * IMAGES - 1}, ranges, "it")
    assert ranges["label"] == range(3)


@pytest.mark.daily("pixel_cnn_pp")
def test_images_of_few_digits_and_in_lists_are_on_their_levels(pixels: Any):
    wanted = pixels.log_prob(IMAGES, condition=[0, 1, 2])
    for same in (IMAGES.tolist(), IMAGES.astype(np.float16), jnp.asarray(IMAGES, jnp.bfloat16)):
        assert_allclose(pixels.log_prob(same, condition=np.arange(3)), wanted, rtol=1e-5)


def test_a_level_of_256_survives_bfloat16():
    """Its eight bits tell 256 levels of [0, 1] apart, but not if more than storing them is done in so few."""
    model = PixelCNNPP(PixelCNNPPConfig(image_shape=(1, 8, 1), hidden_channels=4, num_layers=1), rngs=nnx.Rngs(0))
    levels = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 1))
    got = model.on_levels(jnp.asarray(levels / 255, jnp.bfloat16))
    assert_allclose((np.asarray(got, np.float64) + 1) / 2 * 255, levels, atol=1e-3)


@pytest.mark.daily("pixel_cnn")
def test_a_prefix_lies_on_levels_as_data_do(pixels: Any):
    drawn = pixels.generate(3, prefix=IMAGES[:, :2], condition=[0, 1, 2], rngs=nnx.Rngs(3))
    off = IMAGES[:, :2] * 0.95 + 0.02
    assert_array_equal(pixels.generate(3, prefix=off.tolist(), condition=[0, 1, 2], rngs=nnx.Rngs(3)), drawn)
    for prefix, message in (
        (255 * IMAGES[:, :2], r"prefix holds 0 to 255, expected intensities in \[0, 1\]"),
        (np.full((3, 2, 4, 1), np.nan, np.float32), "prefix holds nan to nan"),
        (np.zeros((3, 2, 4, 1), np.uint8), "prefix is uint8 of shape"),
        (IMAGES[:1, :2], r"prefix is float32 of shape \(1, 2, 4, 1\), expected .* \(3, rows up to 3, 4, 1\)"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            pixels.generate(3, prefix=prefix)


@pytest.mark.daily("pixel_cnn_pp")
def test_numbers_and_classes_of_images_that_do_not_fit_are_said(pixels: Any):
    for call, message in (
        (lambda: pixels.generate(2.5), "n_samples is 2.5"),
        (lambda: pixels.generate(2, temperature="a"), "temperature is 'a'"),
        (lambda: pixels.generate(2, temperature=0), "temperature is 0; it has to be above 0, 0.01 say"),
        (lambda: pixels.log_prob(IMAGES, condition=np.arange(1, 4)), "classes from 1 to 3, expected 0 to 2"),
        (lambda: pixels.log_prob(np.zeros((3, 3, 4, 4), np.float32)), r"x has shape \(3, 3, 4, 4\), expected"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            call()


def test_signals_on_another_scale_are_no_numbers_and_a_prefix_of_them_is_refused(waves: WaveNet):
    loud = 3 * SIGNALS
    assert np.isnan(waves.log_prob(loud, condition=[0, 1])).all()
    last = np.where(np.arange(6) == 5, 1.5, SIGNALS).astype(np.float32)  # on which nothing else depends
    assert np.isnan(waves.log_prob(last, condition=[0, 1])).all()
    assert np.isfinite(waves.log_prob(SIGNALS.tolist(), condition=[0, 1])).all()
    ranges = waves.value_ranges({"x": SIGNALS, "label": loud})
    assert ranges["label"] == range(3)
    assert isinstance(ranges["x"], Interval)
    check_values({"x": np.array([[-1.0, 1.0]])}, ranges, "it")
    with pytest.raises(DataError, match="takes numbers from -1 to 1"):
        check_values({"x": loud}, ranges, "it")
    for call, message in (
        (lambda: waves.generate(2, prefix=loud[:, :2]), r"prefix holds .* expected samples in \[-1, 1\]"),
        (lambda: waves.generate(2, prefix=SIGNALS[0, :2]), r"prefix has shape \(2,\), expected \(2, at most 6\)"),
        (lambda: waves.generate(2, prefix=np.zeros((2, 3), np.int16)), "divide 16-bit samples by 32768"),
        (lambda: waves.generate(1, length=2.5), "length is 2.5"),
        (lambda: waves.log_prob(SIGNALS, condition=3), "classes from 3 to 3"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            call()
    drawn = (
        waves.generate(2, prefix=prefix, condition=0, rngs=nnx.Rngs(1)) for prefix in (SIGNALS[:, :2], SIGNALS[:, :2].tolist())
    )
    assert_array_equal(*drawn)


def test_features_go_with_classes_that_take_turns():
    made = WaveNetConfig(
        length=6, num_layers=1, num_stacks=1, residual_channels=4, skip_channels=4, levels=5, num_classes=3, condition_dim=2
    )
    model, features = WaveNet(made, rngs=nnx.Rngs(0)), np.ones((4, 6, 2), np.float32)
    turns = model.generate(4, condition=features, rngs=nnx.Rngs(1))
    assert_array_equal(turns, model.generate(4, condition=features, label=[0, 1, 2, 0], rngs=nnx.Rngs(1)))
    with pytest.raises(InvalidInputError, match=r"no label is given; pass label=\.\.\. with classes below 3"):
        model.log_prob(SIGNALS, condition=features[:2])
    assert model.conditions_for(4) is None
    assert model.value_ranges({"x": SIGNALS, "condition": features})["label"] == range(3)


@pytest.mark.parametrize("kind", ["image", "signal"])
def test_what_is_given_whole_draws_nothing(kind: str):
    """No key is needed, and no random bits are in the program."""
    if kind == "image":
        model: Any = PixelCNN(
            PixelCNNConfig(image_shape=(2, 2, 1), levels=3, hidden_channels=4, num_layers=1, first_kernel_size=3),
            rngs=nnx.Rngs(0),
        )
        program = jax.make_jaxpr(lambda x: model._raster(x, 2, None, 1.0, None))(jnp.zeros((1, 2, 2, 1)))
    else:
        model = WaveNet(
            WaveNetConfig(length=4, num_layers=1, num_stacks=1, residual_channels=4, skip_channels=4, levels=3),
            rngs=nnx.Rngs(0),
        )
        program = jax.make_jaxpr(lambda y: model._one_by_one(y, 4, (None, None), 1.0, None))(jnp.zeros((1, 4)))
    assert "random" not in str(program)
    assert "threefry" not in str(program)


def test_folders_of_transformers_that_cannot_be_read_say_why(tmp_path: Path):
    made = TransformerARConfig(
        vocab_size=7, context_length=8, num_layers=1, embed_dim=8, num_heads=2, start_token=0, metadata={"eos_token_id": 5}
    )
    folder = save_huggingface(TransformerAR(made, rngs=nnx.Rngs(0)), tmp_path / "whole")
    assert json.loads((folder / "config.json").read_text())["eos_token_id"] == 5
    assert load_huggingface(folder, rngs=nnx.Rngs(0)).config.metadata["eos_token_id"] == 5
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(RunError, match=r"cannot be read: .*it may be truncated"):
        load_huggingface(folder, rngs=nnx.Rngs(0))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-2.safetensors"}}))
    with pytest.raises(DataError, match=r"lacks model-2.safetensors, which model.safetensors.index.json lists"):
        load_huggingface(folder, rngs=nnx.Rngs(0))
    for file in folder.glob("model*"):
        file.unlink()
    with pytest.raises(DataError, match=r"holds neither model.safetensors nor .* safe_serialization=True"):
        load_huggingface(folder, rngs=nnx.Rngs(0))
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config.json cannot be read"):
        load_huggingface(folder, rngs=nnx.Rngs(0))


def test_a_prefix_longer_than_what_is_drawn_is_refused(pixels: Any, waves: WaveNet):
    """The message has both lengths; one that leaves nothing to draw is what comes back."""
    rows = IMAGES.shape[1]
    with pytest.raises(InvalidInputError, match=rf"shape \(3, {rows + 1}, 4, 1\), expected .*rows up to {rows}, 4, 1"):
        pixels.generate(3, prefix=np.concatenate([IMAGES, IMAGES[:, :1]], axis=1))
    whole = pixels.generate(3, prefix=IMAGES, condition=[0, 1, 2], rngs=nnx.Rngs(0))
    assert_array_equal(whole, IMAGES)
    length = 6
    with pytest.raises(InvalidInputError, match=r"prefix has shape \(2, 7\), expected \(2, at most 6\)"):
        waves.generate(2, length=length, prefix=np.zeros((2, 7), np.float32))
    drawn = waves.generate(2, length=length, prefix=np.zeros((2, 6), np.float32), rngs=nnx.Rngs(0))
    assert drawn.shape[:2] == (2, 6)
