"""CycleGAN, PatchGAN and the image pool."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose
from pydantic import ValidationError

from artifex.core.errors import InvalidInputError
from artifex.gan import (
    CycleGAN,
    CycleGANConfig,
    PatchDiscriminatorConfig,
    PatchGAN,
    PatchGANConfig,
    ResNetGeneratorConfig,
)
from artifex.gan.image_pool import ImagePool

SMALL = {
    "generator": ResNetGeneratorConfig(hidden_dims=(4, 8), n_blocks=1, stem_size=3),
    "discriminator": PatchDiscriminatorConfig(hidden_dims=(4, 8), kernel_size=3),
}
BATCH = {
    "x": jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (4, 3, 7, 9)), jnp.float32),
    "condition": jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (4, 1, 7, 9)), jnp.float32),
}
SHAPES = {"shape": (3, 7, 9), "condition_shape": (1, 7, 9)}


@pytest.fixture(scope="module")
def cycle():
    return CycleGAN(CycleGANConfig(**SMALL, **SHAPES, pool_size=6), rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def patch():
    return PatchGAN(PatchGANConfig(**SMALL, **SHAPES, n_scales=2), rngs=nnx.Rngs(0))


# the pool


def test_a_pool_fills_then_gives_back_each_image_that_it_takes_a_newer_one_for():
    pool = ImagePool(6, (1,))
    graph, state = nnx.split(pool)

    @jax.jit
    def exchange(state, images, key):
        pool = nnx.merge(graph, state)
        return pool.exchange(images, key), nnx.state(pool)

    held, exchanged, rounds = set(), 0, 60
    for i in range(rounds):
        images = 1.0 + 3 * i + jnp.arange(3.0)[:, None]
        seen, state = exchange(state, images, jax.random.key(i))
        new, given = {float(v) for v in images[:, 0]}, {float(v) for v in seen[:, 0]}
        after = {float(v) for v in state["images"][...][:, 0]} - {0.0}
        if i < 2:
            assert given == new  # filling
        else:
            exchanged += len(given - new)
            assert given - new <= held
        assert held | new == given | after if i >= 2 else after == held | new  # nothing is lost, nothing doubled
        held = after
    n = 3 * (rounds - 2)
    assert abs(exchanged / n - 0.5) < 4 * np.sqrt(0.25 / n)


def test_a_pool_stays_as_it_is_in_evaluation_and_has_to_hold_a_batch():
    pool = nnx.view(ImagePool(2, (1,)), deterministic=True)
    assert pool.exchange(jnp.ones((5, 1)), jax.random.key(0)).shape == (5, 1)
    assert int(pool.filled[...]) == 0
    with pytest.raises(InvalidInputError, match="a pool of 2 images is smaller than a batch of 3; raise pool_size to 3"):
        ImagePool(2, (1,)).exchange(jnp.ones((3, 1)), jax.random.key(0))


# the models


def test_the_cycles_loss_is_what_its_equation_says(cycle):
    model, x, c = cycle, BATCH["x"], BATCH["condition"]
    terms = model.generator_objective(BATCH, rngs=nnx.Rngs(0))
    to_x, to_c = model.generator.x, model.generator.condition
    wanted = np.mean(np.abs(to_c(to_x(c)) - c)) + np.mean(np.abs(to_x(to_c(x)) - x))
    assert_allclose(terms["cycle"], wanted, rtol=1e-5)
    game = [
        0.5 * np.mean((judge(fake) - 1) ** 2)
        for judge, fake in ((model.discriminator.x, to_x(c)), (model.discriminator.condition, to_c(x)))
    ]
    assert_allclose(terms["adversarial"], sum(game), rtol=1e-5)
    assert_allclose(terms["loss"], sum(game) + 5 * wanted, rtol=1e-5)
    # Zhu et al. 2017, section 4, whose squares are not halved
    assert_allclose(2 * terms["loss"], 2 * sum(game) + 10 * wanted, rtol=1e-5)


def test_translations_go_both_ways_and_generate_starts_from_its_condition(cycle):
    made = cycle.generate(4, condition=BATCH["condition"])
    assert made.shape == (4, 3, 7, 9)
    assert_allclose(made, cycle.translate(BATCH["condition"]))
    assert cycle.translate(BATCH["x"], to="condition").shape == (4, 1, 7, 9)
    outputs = cycle(BATCH["x"])
    assert_allclose(outputs["returned"], cycle.translate(outputs["translated"]), rtol=1e-5, atol=1e-6)


def test_the_discriminators_fill_the_pools_in_training_only(cycle):
    graph, state = nnx.split(cycle)

    @jax.jit
    def filled(state):
        model, held = (nnx.merge(graph, nnx.as_pure(state)) for _ in range(2))
        model.discriminator_objective(BATCH, rngs=nnx.Rngs(0))
        held = nnx.view(held, deterministic=True)
        held.discriminator_objective(BATCH, rngs=nnx.Rngs(0))
        return model.pool.x.filled[...], model.pool.condition.images[...][:4], held.pool.x.filled[...]

    n, images, none = filled(state)
    assert (int(n), int(none)) == (4, 0)
    assert_allclose(images, cycle.translate(BATCH["x"], to="condition"), rtol=1e-4, atol=1e-5)


def test_paired_translation_descends_its_distance_and_every_scale_judges(patch):
    terms = patch.generator_objective(BATCH, rngs=nnx.Rngs(0))
    assert_allclose(terms["l1"], np.mean(np.abs(patch.generate(4, condition=BATCH["condition"]) - BATCH["x"])), rtol=1e-5)
    assert_allclose(terms["loss"], terms["adversarial"] + 100 * terms["l1"], rtol=1e-5)
    pair = jnp.concatenate([BATCH["condition"], BATCH["x"]], axis=1).transpose(0, 2, 3, 1)
    assert [logits.shape for logits in patch.discriminator(pair)] == [(4, 4, 5), (4, 2, 2)]
    outputs = patch(BATCH["x"], condition=BATCH["condition"])
    assert outputs["translated"].shape == (4, 3, 7, 9)


# bad input


def test_what_translation_cannot_do_is_said(cycle, patch):
    for model in (cycle, patch):
        with pytest.raises(InvalidInputError, match=r"starts from images; pass condition=images of shape \(2, 1, 7, 9\)"):
            model.generate(2)
        with pytest.raises(InvalidInputError, match="4 images are given for 2 samples"):
            model.generate(2, condition=BATCH["condition"])
        with pytest.raises(InvalidInputError, match=r"holds .*x and condition.*; got \['x'\]"):
            model.generator_objective({"x": BATCH["x"]}, rngs=nnx.Rngs(0))
        for condition in (3, [1.0, 2.0]):
            with pytest.raises(InvalidInputError, match="which is no batch of images; pass condition="):
                model.generate(2, condition=condition)
        with pytest.raises(InvalidInputError, match="n_samples is 0"):
            model.generate(0)
        for wrong in ("abc", None, [[1.0], [1.0, 2.0]]):
            with pytest.raises(InvalidInputError, match=r"x is a .* that makes no array of numbers"):
                model.discriminator_objective({**BATCH, "x": wrong}, rngs=nnx.Rngs(0))
            with pytest.raises(InvalidInputError, match=r"condition is a .* that makes no array of numbers|starts from images"):
                model.generate(2, condition=wrong)
    pairs = {**BATCH, "x": BATCH["x"][:3]}
    for objective in (patch.generator_objective, patch.discriminator_objective):
        with pytest.raises(InvalidInputError, match="x holds 3 images and condition 4; they are pairs: give as many"):
            objective(pairs, rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match="x holds 3 images and condition 4"):
        patch(pairs["x"], condition=pairs["condition"])
    with pytest.raises(InvalidInputError, match="to is 'y'"):
        cycle.translate(BATCH["x"], to="y")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CycleGANConfig(shape=(3, 8, 8), condition_shape=(3, 8, 9)), "height and width have to be equal"),
        (lambda: CycleGANConfig(**SHAPES, identity_weight=1.0), "x has 3 channels and condition 1"),
        (lambda: PatchGANConfig(shape=(3, 7, 9), n_scales=4), "images of 7 × 9 cannot be halved that often"),
        (lambda: CycleGANConfig(shape=(8, 8)), "convolutions take images"),
        (lambda: CycleGANConfig(**SHAPES, cycle_weight=float("inf")), "finite"),
        (lambda: CycleGANConfig(shape=(3, 8, 8)), "discriminator: an instance norm .* one position nothing is left"),
        (lambda: PatchGANConfig(shape=(3, 4, 4)), "generator: an instance norm"),
        (
            lambda: PatchGANConfig(**{**SMALL, "discriminator": {"hidden_dims": (4, 8)}}, shape=(3, 4, 4), n_scales=2),
            "discriminator: an instance norm",
        ),
    ],
)
def test_configs_that_cannot_be_built_say_why(make, said):
    with pytest.raises(ValidationError, match=said):
        make()
