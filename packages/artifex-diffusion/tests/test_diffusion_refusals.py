"""Mistakes that are made: each is one clear error, or the right result; never a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import save_file

from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.value_ranges import Interval, check_values
from artifex.diffusion import (
    DDIMConfig,
    DDIMModel,
    DDIMSamplerConfig,
    DDPMConfig,
    DDPMModel,
    DDPMSamplerConfig,
    EDMConfig,
    GuidedDiffusionConfig,
    GuidedDiffusionModel,
    HeunSamplerConfig,
    MLPBackboneConfig,
    NoiseScheduleConfig,
    RectifiedFlowConfig,
    ScoreSDEConfig,
    StraightPathConfig,
    VarianceExplodingConfig,
    load_diffusers,
)
from artifex.diffusion.processes import create_process

MLP = MLPBackboneConfig(hidden_dims=(8,), time_dim=8)
SHORT = NoiseScheduleConfig(num_timesteps=10)
FEW = DDIMSamplerConfig(steps=3)
X = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def classed() -> DDIMModel:
    """Of three classes, which are dropped now and then: class 3 would be no class."""
    made = DDIMConfig(
        input_shape=(2,), backbone=MLP.replace(num_classes=3), noise_schedule=SHORT, sampler=FEW, condition_dropout=0.1
    )
    return DDIMModel(made, rngs=nnx.Rngs(0))


def test_classes_that_there_are_not_are_refused_by_every_method(classed: DDIMModel):
    one_to_three = np.array([1, 2, 3, 1])
    for call in (
        lambda: classed(X, label=one_to_three),
        lambda: classed.denoise(X, 1.0, condition=one_to_three),
        lambda: classed.score(X, condition=one_to_three),
        lambda: classed.log_prob(X, condition=one_to_three, steps=1),
        lambda: classed.interpolate(X, -X, condition=one_to_three),
        lambda: classed.generate(4, condition=one_to_three),
    ):
        with pytest.raises(InvalidInputError, match="classes from 1 to 3, expected 0 to 2"):
            call()


def test_in_a_compiled_program_such_a_class_is_no_number_and_not_the_dropped_one(classed: DDIMModel):
    graph, state = nnx.split(classed)
    outputs = jax.jit(lambda label: nnx.merge(graph, state)(X, label=label)["prediction"])(jnp.array([0, 1, 2, 3]))
    assert_array_equal(np.isnan(outputs).all(axis=1), [False, False, False, True])


def test_lists_are_as_good_as_arrays(classed: DDIMModel):
    classes = [0, 1, 2, 0]
    for method, given in ((classed.score, {}), (classed.log_prob, {"steps": 1})):
        assert_allclose(
            method(X.tolist(), condition=classes, **given), method(X, condition=np.array(classes), **given), rtol=1e-6
        )


def test_the_trainer_learns_which_values_a_model_takes(classed: DDIMModel):
    assert classed.value_ranges({"x": X, "label": np.zeros(4)}) == {"label": range(3)}
    assert classed.value_ranges({"x": X, "condition": np.zeros(4)}) == {"condition": range(3)}
    with pytest.raises(DataError, match="numbered from 1; write label - 1"):
        check_values({"label": np.array([1, 2, 3])}, classed.value_ranges({"label": X}), "it")
    clipped = DDPMModel(DDPMConfig(input_shape=(2,), backbone=MLP, clip_x0=2.0), rngs=nnx.Rngs(0))
    assert clipped.value_ranges({"x": X}) == {"x": Interval(-2.0, 2.0, slack=0.02)}
    assert_array_equal(classed.conditions_for(5), [0, 1, 2, 0, 1])
    assert clipped.conditions_for(5) is None


def test_what_does_not_fit_is_said_before_anything_is_computed(classed: DDIMModel):
    plain = DDIMModel(DDIMConfig(input_shape=(2,), backbone=MLP, noise_schedule=SHORT, sampler=FEW), rngs=nnx.Rngs(0))
    for call, message in (
        (lambda: plain.denoise(np.zeros((3, 5), np.float32), 1.0), r"x has shape \(3, 5\), expected \(batch, 2\)"),
        (lambda: plain.denoise(np.zeros((3, 2), np.uint8), 1.0), "x is uint8, expected floating point"),
        (
            lambda: plain.denoise(X, np.zeros(3)),
            r"t has shape \(3,\), expected \(4,\), a time for each example, or one for all",
        ),
        (lambda: plain.score(X, t=np.zeros((4, 1))), r"t has shape \(4, 1\), expected \(4,\)"),
        (lambda: plain.log_prob(X, steps=0), "the sampler has steps=0; it takes at least 1"),
        (lambda: plain.interpolate(X, X, steps=0), "the sampler has steps=0"),
        (lambda: plain.interpolate(X, X[:2]), r"x0 has shape \(4, 2\) and x1 \(2, 2\)"),
        (lambda: classed(X, label=np.eye(4, 3)), r"expected class labels below 3 of shape \(4,\), or one for all"),
        (lambda: classed.generate(2, guidance_scale=-1.0), "guidance_scale is -1.0; it has to be a number of at least 0"),
        (lambda: classed.generate(2, guidance_scale=float("nan")), "guidance_scale is nan"),
        (lambda: classed.generate(2, guidance_scale="2"), "guidance_scale is '2'"),
        (lambda: classed.generate(2.5), "n_samples is 2.5"),
        (lambda: plain.generate(2, sampler=DDIMSamplerConfig(steps=20)), "steps=20; it takes at least 1 and at most 10"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            call()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DDIMConfig(input_shape=(2,), backbone=MLP, noise_schedule=SHORT), "steps=50; .* at most 10, .* take fewer"),
        (lambda: ScoreSDEConfig(input_shape=(2,), backbone=MLP, noise_schedule=SHORT), "steps=500; .* at most 10"),
        (
            lambda: EDMConfig(input_shape=(2,), backbone=MLP, sampler=HeunSamplerConfig(spacing="leading")),
            "'leading' leaves out the noisiest level",
        ),
        (
            lambda: RectifiedFlowConfig(input_shape=(2,), backbone=MLP, sampler=DDPMSamplerConfig(spacing="leading")),
            "use 'uniform' or 'linspace'",
        ),
        (
            lambda: GuidedDiffusionConfig(input_shape=(2,), backbone=MLP.replace(num_classes=3), condition_dropout=0.0),
            "set guidance_scale to None",
        ),
        (
            lambda: DDPMConfig(input_shape=(2,), backbone=MLP, noise_schedule="straight"),
            "this model's process is 'variance_preserving', not 'straight'; 'score_sde', .* take any",
        ),
        (
            lambda: EDMConfig(input_shape=(2,), backbone=MLP, noise_schedule={"kind": "variance_preserving"}),
            "this model's process is 'variance_exploding'",
        ),
    ],
)
def test_a_config_whose_samples_could_not_be_drawn_is_refused_when_it_is_made(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_only_process_of_a_model_may_be_named_as_where_any_may_stand():
    named = DDPMConfig(
        input_shape=(2,), backbone=MLP, noise_schedule={"kind": "variance_preserving", "schedule_type": "cosine"}
    )
    assert named == DDPMConfig(input_shape=(2,), backbone=MLP, noise_schedule=NoiseScheduleConfig(schedule_type="cosine"))
    assert EDMConfig(input_shape=(2,), backbone=MLP, noise_schedule="variance_exploding") == EDMConfig(
        input_shape=(2,), backbone=MLP
    )
    assert DDPMConfig.from_dict(named.to_dict()) == named


@pytest.mark.parametrize("config", [VarianceExplodingConfig(), StraightPathConfig(shift=2.0)])
def test_where_noise_grows_levels_begin_at_the_noise_that_sampling_begins_with(config):
    process = create_process(config)
    for spacing in (None, "uniform", "linspace", "karras", "log_ratio"):
        assert process.levels(5, spacing).sigma[0] == pytest.approx(process.start_scale, rel=2e-4)  # by ratio 0.9999 of it
    with pytest.raises(InvalidInputError, match="noise of that level that sampling begins with"):
        process.levels(5, "leading")


class Classifier(nnx.Module):
    """Logits of batch-normed, dropped-out features."""

    def __init__(self, rngs: nnx.Rngs):
        self.layer, self.norm = nnx.Linear(2, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs)
        self.norm.mean[...], self.norm.var[...] = jnp.array([1.0, -1.0, 0.5]), jnp.array([4.0, 1.0, 0.25])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x, t):
        return self.dropout(self.norm(self.layer(x)))


def test_a_classifier_is_used_as_it_is_evaluated_and_has_the_models_classes():
    made = GuidedDiffusionConfig(input_shape=(2,), backbone=MLP.replace(num_classes=3), noise_schedule=SHORT, sampler=FEW)
    model, classifier = GuidedDiffusionModel(made, rngs=nnx.Rngs(0)), Classifier(nnx.Rngs(1))
    kernel, bias = classifier.layer.kernel[...], classifier.layer.bias[...][None]

    def by_hand(x, t):  # running statistics, no dropout
        return (x @ kernel + bias - jnp.array([[1.0, -1.0, 0.5]])) / jnp.sqrt(jnp.array([[4.0, 1.0, 0.25]]) + 1e-5)

    led, wanted = (model.classifier_guided(4, c, condition=[0, 1, 2, 1], rngs=nnx.Rngs(2)) for c in (classifier, by_hand))
    assert_allclose(led, wanted, atol=1e-5)
    for bad in (lambda x, t: jnp.zeros((x.shape[0], 2)), lambda x, t: jnp.zeros(x.shape[0])):
        with pytest.raises(InvalidInputError, match=r"the classifier gives \(4.*\) for 4 examples, expected \(4, 3\)"):
            model.classifier_guided(4, bad, condition=1)
    with pytest.raises(InvalidTypeError, match="sampler takes a sampler's config"):
        model.classifier_guided(4, by_hand, condition=1, sampler="ddim")


SETTINGS = {
    "_class_name": "UNet2DModel",
    "sample_size": 4,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [4],
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "add_attention": False,
}


def test_folders_of_diffusers_in_parts_are_read_and_others_say_what_they_lack(tmp_path: Path):
    with pytest.raises(DataError, match=r"holds no config.json, which save_pretrained of diffusers writes$"):
        load_diffusers(tmp_path, rngs=nnx.Rngs(0))
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "transformer").mkdir()
    with pytest.raises(DataError, match=r"it is a whole pipeline: give its network, .*transformer"):
        load_diffusers(tmp_path, rngs=nnx.Rngs(0))
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS))
    with pytest.raises(DataError, match=r"neither diffusion_pytorch_model.safetensors nor .*index.json"):
        load_diffusers(tmp_path, rngs=nnx.Rngs(0))
    state = _random_state()
    parts = {"a.safetensors": list(state)[::2], "b.safetensors": list(state)[1::2]}
    index = {"weight_map": {name: file for file, names in parts.items() for name in names}}
    (tmp_path / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    save_file({name: state[name] for name in parts["a.safetensors"]}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match=r"lacks b.safetensors, which .*index.json lists"):
        load_diffusers(tmp_path, rngs=nnx.Rngs(0))
    save_file({name: state[name] for name in parts["b.safetensors"]}, tmp_path / "b.safetensors")
    whole = load_diffusers(state, settings=SETTINGS, rngs=nnx.Rngs(0))
    again = load_diffusers(tmp_path, rngs=nnx.Rngs(1))
    jax.tree.map(assert_array_equal, nnx.as_pure(nnx.state(again, nnx.Param)), nnx.as_pure(nnx.state(whole, nnx.Param)))


def _random_state() -> dict[str, np.ndarray]:
    """A state dict of theirs for ``SETTINGS``, by the shapes of PyTorch's layers: output features first."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *weight: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = weight, weight[:1]

    def residual(name: str, n_in: int) -> None:
        layer(f"{name}.norm1", n_in)
        layer(f"{name}.conv1", 4, n_in, 3, 3)
        layer(f"{name}.time_emb_proj", 4, 16)
        layer(f"{name}.norm2", 4)
        layer(f"{name}.conv2", 4, 4, 3, 3)
        if n_in != 4:
            layer(f"{name}.conv_shortcut", 4, n_in, 1, 1)

    layer("conv_in", 4, 1, 3, 3)
    layer("time_embedding.linear_1", 16, 4)
    layer("time_embedding.linear_2", 16, 16)
    residual("down_blocks.0.resnets.0", 4)
    for i in range(2):
        residual(f"mid_block.resnets.{i}", 4)
        residual(f"up_blocks.0.resnets.{i}", 8)
    layer("conv_norm_out", 4)
    layer("conv_out", 1, 4, 3, 3)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
