"""What the models are made of, what a step sees, and what is refused."""

from __future__ import annotations

import re
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose
from pydantic import ValidationError

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import ChoosesConditions, DeclaresValues
from artifex.gan import (
    DCGAN,
    GAN,
    WGAN,
    ConditionalGAN,
    ConditionalGANConfig,
    ConvDiscriminatorConfig,
    ConvGeneratorConfig,
    DCGANConfig,
    DiscriminatorConfig,
    GANConfig,
    GeneratorConfig,
    WGANConfig,
)
from artifex.gan.layers import BatchNorm, downward, upward

X = jnp.asarray(np.random.default_rng(0).normal(size=(16, 2)), jnp.float32)
DENSE = {
    "generator": GeneratorConfig(latent_dim=3, hidden_dims=(8,), output_shape=(2,)),
    "discriminator": DiscriminatorConfig(hidden_dims=(8,)),
}


def dcgan(shape=(1, 12, 12), **settings):
    return DCGANConfig(
        generator=ConvGeneratorConfig(latent_dim=3, hidden_dims=(6, 4), output_shape=shape),
        discriminator=ConvDiscriminatorConfig(hidden_dims=(4, 6)),
        **settings,
    )


# sizes


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_every_size_can_be_reached_by_strides_that_fit(padding, stride):
    reached = 0
    for size in range(1, 40):
        try:
            sizes = upward(size, 2, 4, stride, padding)
        except ValueError:
            assert size <= (stride**2 if padding == "SAME" else 13)
            continue
        reached += 1
        assert sizes[-1] == size
        for before, after in pairwise(sizes):
            grown = stride * before + (0 if padding == "SAME" else 4 - stride)
            assert before >= 1
            assert grown - stride < after <= grown  # one pixel less to start from would not do
    assert reached > 25


@pytest.mark.parametrize(("size", "padding"), [(28, "SAME"), (29, "VALID"), (64, "SAME")])
def test_sizes_downward_are_those_of_the_convolutions(size, padding):
    config = ConvDiscriminatorConfig(hidden_dims=(2, 2), input_shape=(1, size, size), padding=padding)
    made = jax.eval_shape(lambda: jax.lax.conv(jnp.zeros((1, 1, size, size)), jnp.zeros((1, 1, 4, 4)), (2, 2), padding))
    assert config.sizes()[1] == made.shape[2:]
    assert downward(size, 2, 4, 2, padding)[0] == size


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_images_of_any_size_in_either_format(data_format):
    shape = (3, 9, 14) if data_format == "channels_first" else (9, 14, 3)
    config = DCGANConfig(
        generator=ConvGeneratorConfig(latent_dim=3, hidden_dims=(6, 4), output_shape=shape, data_format=data_format),
        discriminator=ConvDiscriminatorConfig(hidden_dims=(4, 6), data_format=data_format),
    )
    model = nnx.eval_shape(lambda: DCGAN(config, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(model)
    made = jax.eval_shape(lambda state: nnx.merge(graph, state)(jnp.zeros((5, *shape))), state)
    assert made["samples"].shape == (5, *shape)
    assert made["logits"].shape == (5,)


def test_both_formats_are_the_same_function_of_transposed_images():
    first = DCGAN(dcgan((2, 12, 10)), rngs=nnx.Rngs(0))
    config = DCGANConfig(
        generator=ConvGeneratorConfig(latent_dim=3, hidden_dims=(6, 4), data_format="channels_last"),
        discriminator=ConvDiscriminatorConfig(hidden_dims=(4, 6), input_shape=(12, 10, 2), data_format="channels_last"),
    )
    last = DCGAN(config, rngs=nnx.Rngs(0))
    x = first.generate(3, rngs=nnx.Rngs(1))
    assert_allclose(last.generate(3, rngs=nnx.Rngs(1)), x.transpose(0, 2, 3, 1), rtol=1e-6, atol=1e-7)
    assert_allclose(
        last(x.transpose(0, 2, 3, 1), rngs=nnx.Rngs(1))["logits"], first(x, rngs=nnx.Rngs(1))["logits"], rtol=1e-5, atol=1e-6
    )


def test_augmentation_takes_its_axes_from_whichever_network_knows_them():
    """A dense discriminator behind a convolutional generator: shifts are of rows and columns, not of channels."""
    config = GANConfig(
        generator=ConvGeneratorConfig(latent_dim=3, hidden_dims=(6,), output_shape=(2, 16, 16)),
        discriminator=DiscriminatorConfig(hidden_dims=(4,)),
        augment=("translation",),
    )
    model = GAN(config, rngs=nnx.Rngs(0))
    stripes = jnp.broadcast_to(jnp.array([1.0, 2.0])[:, None, None], (8, 2, 16, 16))
    moved = np.asarray(jax.jit(lambda x: model._augmented(x, nnx.Rngs(0)))(stripes))
    assert {tuple(np.unique(moved[:, c])) for c in (0, 1)} == {(0.0, 1.0), (0.0, 2.0)}


# batch norm


def test_batch_norm_is_numpys_and_moves_its_averages_by_a_tenth():
    norm, x = BatchNorm(2, rngs=nnx.Rngs(0)), np.random.default_rng(1).normal(3, 2, (8, 2)).astype(np.float32)
    wanted = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...])
    assert_allclose(norm(jnp.asarray(x)), wanted, rtol=1e-4, atol=1e-5)
    assert_allclose(norm.mean[...], 0.1 * x.mean(0), rtol=1e-5)
    assert_allclose(norm.variance[...], 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-5)


def test_real_and_generated_batches_are_judged_with_statistics_of_their_own():
    """Mixed statistics would let the discriminator's logits of real images depend on what the generator makes."""
    model = DCGAN(dcgan(), rngs=nnx.Rngs(0))
    real = jnp.asarray(np.random.default_rng(2).uniform(-1, 1, (6, 1, 12, 12)), jnp.float32)
    graph, state = nnx.split(model)

    @jax.jit
    def losses(state, scale):
        model = nnx.merge(graph, state)
        model.generator.layers[-1].layer.kernel[...] *= scale
        return model.discriminator_objective({"x": real}, rngs=nnx.Rngs(0)), nnx.state(model, nnx.BatchStat)

    (one, statistics), (other, _) = losses(state, 1.0), losses(state, 50.0)
    assert one["loss"] != other["loss"]
    assert one["real_accuracy"] == other["real_accuracy"]
    nnx.update(model, statistics)
    assert float(jnp.abs(model.discriminator.layers[1].norm.mean[...]).max()) > 0


def test_samples_and_the_forward_pass_take_running_averages_and_leave_them():
    model = DCGAN(dcgan(), rngs=nnx.Rngs(0))
    before = jax.tree.map(jnp.copy, nnx.as_pure(nnx.state(model, nnx.BatchStat)))
    many, few = model.generate(8, rngs=nnx.Rngs(3)), model.generate(8, rngs=nnx.Rngs(3))
    model(many, rngs=nnx.Rngs(0))
    assert_allclose(many, few)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.as_pure(nnx.state(model, nnx.BatchStat)))
    x = model(many[:1], rngs=nnx.Rngs(0))["logits"]
    assert_allclose(x, model(many, rngs=nnx.Rngs(0))["logits"][:1], rtol=1e-5, atol=1e-6)  # no example depends on others


# objectives


def test_the_generator_moves_at_each_nth_step_and_lazy_penalties_share_the_discriminators_optimiser():
    config = WGANConfig(**DENSE, penalty_every=4)
    made = {o.name: (o.every, o.parameters, o.optimizer_name) for o in WGAN(config, rngs=nnx.Rngs(0)).objectives()}
    assert made == {
        "discriminator": (1, "discriminator", "discriminator"),
        "penalty": (4, "discriminator", "discriminator"),
        "generator": (5, "generator", "generator"),
    }


def test_a_lazy_penalty_weighs_as_much_over_a_round():
    settings = {"r1": 2.0, "r2": 3.0}
    every, lazy = (
        GAN(GANConfig(**DENSE, **settings), rngs=nnx.Rngs(0)),
        GAN(GANConfig(**DENSE, **settings, penalty_every=4), rngs=nnx.Rngs(0)),
    )
    at_once = every.discriminator_objective({"x": X}, rngs=nnx.Rngs(1))
    apart = lazy.discriminator_objective({"x": X}, rngs=nnx.Rngs(1))
    assert "r1" not in apart
    assert_allclose(at_once["loss"] - apart["loss"], 2 * at_once["r1"] + 3 * at_once["r2"], rtol=1e-5)
    alone = lazy.penalty_objective({"x": X}, rngs=nnx.Rngs(1))
    assert_allclose(alone["loss"], 4 * (2 * alone["r1"] + 3 * alone["r2"]), rtol=1e-6)
    assert_allclose(alone["r1"], at_once["r1"], rtol=1e-6)


def test_no_gradient_of_the_discriminators_loss_reaches_the_generator():
    model = GAN(GANConfig(**DENSE), rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    grads = jax.jit(jax.grad(lambda p: nnx.merge(graph, p, rest).discriminator_objective({"x": X}, rngs=nnx.Rngs(0))["loss"]))(
        params
    )
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(grads["generator"]))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(grads["discriminator"]))


def test_the_class_reaches_samples_and_logits_by_projection():
    config = ConditionalGANConfig(**DENSE, n_classes=3, embedding_dim=4)
    model = ConditionalGAN(config, rngs=nnx.Rngs(0))
    same = [model.generate(4, condition=c, rngs=nnx.Rngs(1)) for c in (0, 2)]
    assert np.all(np.any(same[0] != same[1], axis=-1))
    judge, labels = model.discriminator, jnp.array([0, 1, 2, 2])
    features = judge.network.features(X[:4])
    wanted = judge.network(X[:4]) + jnp.sum(judge.embedding[...][labels] * features, axis=-1)
    assert_allclose(judge(X[:4], labels), wanted, rtol=1e-5)
    assert np.isnan(judge(X[:1], jnp.array([-1]))).all()
    assert np.isnan(jax.jit(judge)(X[:1], jnp.array([3]))).all()


# bad input


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: ConvGeneratorConfig(latent_dim=2, hidden_dims=(8, 8, 8, 8), output_shape=(1, 8, 8)),
            "cannot reach an axis of 8",
        ),
        (
            lambda: ConvGeneratorConfig(latent_dim=2, hidden_dims=(8,), output_shape=(1, 2, 8), padding="VALID"),
            r"of one pixel they make 4; give fewer hidden_dims",
        ),
        (
            lambda: ConvGeneratorConfig(
                latent_dim=2, hidden_dims=(8,), output_shape=(1, 8, 8), kernel_size=(2, 2), stride=(3, 3)
            ),
            "a kernel of 2 at stride 3 leaves pixels",
        ),
        (
            lambda: ConvDiscriminatorConfig(hidden_dims=(8, 8, 8), input_shape=(1, 8, 8), padding="VALID"),
            "after 1 of them 3 is left",
        ),
        (lambda: ConvGeneratorConfig(latent_dim=2, hidden_dims=(8,), output_shape=(8, 8)), "the shape of one example is"),
        (
            lambda: dcgan((1, 12, 12), r1=1.0).replace(discriminator={"hidden_dims": (4,), "norm": "batch"}),
            "depends on the others",
        ),
        (lambda: dcgan().replace(discriminator={"hidden_dims": (4,), "input_shape": (1, 8, 8)}), "these have to be equal"),
        (
            lambda: dcgan().replace(discriminator={"hidden_dims": (4,), "data_format": "channels_last"}),
            "data_format is 'channels",
        ),
        (lambda: dcgan(penalty_every=4), "there is no penalty"),
        (lambda: GANConfig(**DENSE, augment=("color",)), "augment changes images"),
        (lambda: WGANConfig(**DENSE, gradient_penalty=0.0), "nothing holds the critic's slope"),
        (lambda: GeneratorConfig(latent_dim=2, hidden_dims=(8,), negative_slope=0.1), "activation 'relu' has none"),
        (
            lambda: DCGANConfig(generator={"latent_dim": 2, "hidden_dims": (8,)}, discriminator={"hidden_dims": (8,)}),
            "nobody knows",
        ),
        (
            lambda: ConvGeneratorConfig(latent_dim=2, hidden_dims=(8,), output_shape=(28, 28, 3)),
            r"would be 28 channels of 28 × 3 pixels.*data_format: channels_last, or the shape \(3, 28, 28\)",
        ),
        (lambda: ConvDiscriminatorConfig(hidden_dims=(8,), input_shape=(28, 28, 1)), "would be 28 channels of 28 × 1 pixels"),
        (
            lambda: ConvDiscriminatorConfig(hidden_dims=(8,), input_shape=(1, 8, 8), kernel_size=(1, 1)),
            "a kernel of 1 at stride 2 passes over pixels unseen",
        ),
        (lambda: DiscriminatorConfig(hidden_dims=(8,), norm="instance"), "one position nothing is left; use norm 'layer'"),
        (lambda: GeneratorConfig(latent_dim=2, hidden_dims=(8,), norm="instance"), "generator: an instance norm"),
        (
            lambda: ConvDiscriminatorConfig(hidden_dims=(8, 8), input_shape=(1, 4, 4), norm="instance"),
            "discriminator: an instance norm",
        ),
        (
            lambda: ConvGeneratorConfig(latent_dim=2, hidden_dims=(8, 8), output_shape=(1, 4, 4), norm="instance"),
            "generator: an instance norm",
        ),
    ],
)
def test_configs_that_cannot_be_built_say_why(make, said):
    with pytest.raises(ValidationError, match=said):
        make()


def test_batches_that_do_not_fit_are_told_what_would():
    model = DCGAN(dcgan((1, 12, 12)), rngs=nnx.Rngs(0))
    with pytest.raises(
        InvalidInputError, match=re.escape("x has shape (2, 12, 12, 1), expected (batch, 1, 12, 12); its channels")
    ):
        model(jnp.zeros((2, 12, 12, 1)))
    with pytest.raises(InvalidInputError, match="add a batch axis"):
        model(jnp.zeros((1, 12, 12)))
    with pytest.raises(InvalidInputError, match="x is uint8"):
        model(jnp.zeros((2, 1, 12, 12), jnp.uint8))
    for n in (0, -1, 2.0, "2", True):
        with pytest.raises(InvalidInputError, match=f"n_samples is {n!r}; it has to be an integer of at least 1"):
            model.generate(n)
    with pytest.raises(InvalidTypeError, match="DCGAN takes a DCGANConfig, got GANConfig"):
        DCGAN(GANConfig(**DENSE), rngs=nnx.Rngs(0))
    classes = ConditionalGAN(ConditionalGANConfig(**DENSE, n_classes=3), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match="classes from 0 to 3, expected integer class labels below 3"):
        classes.generate(2, condition=np.array([0, 3]))
    with pytest.raises(InvalidInputError, match="no condition is given"):
        classes.discriminator_objective({"x": X}, rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=r"n_samples is 1\.5"):
        classes.generate(1.5)


def test_a_list_is_judged_as_an_array_is():
    """Of the conditional model too, which counts its examples before it looks at them; and what is no array is named."""
    model = ConditionalGAN(ConditionalGANConfig(**DENSE, n_classes=3), rngs=nnx.Rngs(0))
    x, label = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2), [0, 1, 2, 0]
    made = [model(given, label=label, rngs=nnx.Rngs(1)) for given in (x, x.tolist())]
    jax.tree.map(assert_allclose, *made)
    found = [model.generator_objective({"x": given, "label": label}, rngs=nnx.Rngs(1))["loss"] for given in (x, x.tolist())]
    assert_allclose(*found)
    for wrong in ("abc", None, [[1.0], [1.0, 2.0]]):
        with pytest.raises(InvalidInputError, match=r"x is a .* that makes no array of numbers"):
            model(wrong, label=label)
        with pytest.raises(InvalidInputError, match=r"x is a .* that makes no array of numbers"):
            model.discriminator_objective({"x": wrong, "label": label}, rngs=nnx.Rngs(1))
    with pytest.raises(
        InvalidInputError, match="condition is a list that makes no array, expected integer class labels below 3"
    ):
        model.generate(2, condition=[[0], [1, 2]])


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        (np.eye(3)[[0, 1]], r"float64 of shape \(2, 3\), .*; of one-hot rows: .argmax\(-1\)"),
        (np.array([[0], [1]]), r"int64 of shape \(2, 1\), .*; take its axis off: \[:, 0\]"),
        (np.array([0.0, 1.0]), r"float64 of shape \(2,\), .*; as integers: .astype\(int\)"),
        (np.array([True, False]), "bool of shape .*; as integers"),
        (np.array(["cat", "dog"]), "<U3 of shape"),
        ([-1, 0], "classes from -1 to 0"),
        ([0, 1, 2], r"of shape \(3,\), expected"),
    ],
)
def test_labels_that_are_none_are_told_how_they_could_be(labels, hint):
    model = nnx.eval_shape(lambda: ConditionalGAN(ConditionalGANConfig(**DENSE, n_classes=3), rngs=nnx.Rngs(0)))
    with pytest.raises(InvalidInputError, match=hint):
        model.generate(2, condition=labels)


def test_classes_are_declared_and_chosen_in_turns():
    """The trainer looks for labels that are no class in the data before it starts; a sampler asks which classes come next."""
    model = nnx.eval_shape(lambda: ConditionalGAN(ConditionalGANConfig(**DENSE, n_classes=3), rngs=nnx.Rngs(0)))
    assert isinstance(model, DeclaresValues)
    assert isinstance(model, ChoosesConditions)
    assert model.value_ranges({"x": X, "label": np.zeros(4)}) == {"label": range(3)}
    assert model.value_ranges({"x": X, "condition": np.zeros(4), "label": np.zeros(4)}) == {"condition": range(3)}
    assert model.conditions_for(5).tolist() == [0, 1, 2, 0, 1]


def test_kernels_of_one_pixel_and_a_stride_of_one_are_a_model_too():
    window = {"kernel_size": (1, 1), "stride": (1, 1)}
    config = DCGANConfig(
        generator=ConvGeneratorConfig(latent_dim=3, hidden_dims=(6, 4), output_shape=(1, 5, 7), **window),
        discriminator=ConvDiscriminatorConfig(hidden_dims=(4, 6), **window),
    )
    made = DCGAN(config, rngs=nnx.Rngs(0)).generate(2)
    assert made.shape == (2, 1, 5, 7)
    assert np.std(np.asarray(made)) > 0


def test_in_a_batch_of_one_nothing_lies_apart():
    """A diversity of 0 there would be a false alarm of collapse."""
    model = GAN(GANConfig(**DENSE), rngs=nnx.Rngs(0))
    found = model.discriminator_objective({"x": X[:1]}, rngs=nnx.Rngs(0))["diversity"]
    assert float(found.weight) == 0
    assert float(model.discriminator_objective({"x": X}, rngs=nnx.Rngs(0))["diversity"]) > 0
