"""The VQ-VAE: nearest codes by brute force, averages by hand, the straight-through gradient, and codebooks in use."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import InvalidInputError
from artifex.vae import VQVAE, VQVAEConfig
from artifex.vae.codebook import (
    CodeAverages,
    codebook_perplexity,
    moved_averages,
    nearest_code,
    restart_dead_codes,
    straight_through,
)

CONFIG = VQVAEConfig(input_shape=(6, 5, 2), hidden_dims=(8, 8), codebook_size=7, code_dim=3, restart_below=0.0)
X = jax.random.uniform(jax.random.key(0), (4, 6, 5, 2))


def make(**changes) -> VQVAE:
    return VQVAE(CONFIG.replace(**changes), rngs=nnx.Rngs(0))


def training(model: VQVAE) -> VQVAE:
    return nnx.view(model, use_running_average=False)


def variables(model: VQVAE) -> list[np.ndarray]:
    """Everything but parameters and random streams."""
    return [np.array(a) for a in jax.tree.leaves(nnx.state(model, nnx.Not(nnx.Any(nnx.Param, nnx.RngState))))]


def test_the_nearest_code_is_the_one_found_by_brute_force():
    rng = np.random.default_rng(0)
    z, codes = rng.normal(size=(5, 4, 3)), rng.normal(size=(11, 3))
    truth = np.linalg.norm(z[:, :, None] - codes, axis=-1).argmin(-1)
    assert_array_equal(nearest_code(jnp.float32(z), jnp.float32(codes)), truth)


def test_the_averages_move_as_by_hand():
    averages = CodeAverages(jnp.array([1.0, 2.0]), jnp.array([[1.0, 0.0], [4.0, 2.0]]))
    z = jnp.array([[1.0, 1.0], [3.0, 5.0], [0.0, 2.0]])
    moved = moved_averages(averages, z, jnp.array([0, 1, 0]), 0.9)
    assert_allclose(moved.counts, [0.9 * 1 + 0.1 * 2, 0.9 * 2 + 0.1 * 1], rtol=1e-6)
    assert_allclose(moved.sums, [[0.9 * 1 + 0.1 * 1, 0.1 * 3], [0.9 * 4 + 0.1 * 3, 0.9 * 2 + 0.1 * 5]], rtol=1e-6)
    assert_allclose(moved.codes()[0], [1.0 / 1.1, 0.3 / 1.1], rtol=1e-6)


def test_only_dead_codes_start_again_and_at_vectors_of_the_batch():
    averages = CodeAverages(jnp.array([5.0, 0.01, 4.0]), jnp.ones((3, 2)))
    z = jnp.array([[10.0, 11.0], [20.0, 21.0]])
    codes = np.asarray(restart_dead_codes(averages, z, jax.random.key(0), below=0.1).codes())
    assert_array_equal(codes[[0, 2]], averages.codes()[jnp.array([0, 2])])
    assert any(np.allclose(codes[1], row) for row in z)
    assert_array_equal(restart_dead_codes(averages, z, jax.random.key(0), below=0.0).codes(), averages.codes())


def test_the_nearest_code_is_found_far_from_the_origin():
    """Codes 0.5 apart at 3000: squares of 3000 in float32 are known to 0.5 only, so their differences say nothing."""
    codes = 3000 + 0.5 * jnp.arange(8.0)[:, None] * jnp.ones((1, 3))
    z = codes + jnp.where(jnp.arange(3) % 2, 0.1, -0.1)[None]
    assert_array_equal(nearest_code(z, codes), np.arange(8))


def test_a_code_that_nothing_is_near_stays_where_it_is():
    """``e = m / N`` of two averages that shrink alike: 3000 batches leave it, whatever float32 makes of ``0.99^3000``."""

    def batch(averages: CodeAverages, _: None) -> tuple[CodeAverages, None]:
        return moved_averages(averages, z, jnp.zeros(2, int), decay=0.99), None

    averages = CodeAverages(jnp.ones(2), jnp.array([[1.0, -1.0], [2.0, 3.0]]))
    z = jnp.array([[4.0, 4.0], [6.0, 6.0]])
    after, _ = jax.lax.scan(batch, averages, length=3000)
    assert_allclose(after.codes(), [[5.0, 5.0], [2.0, 3.0]], rtol=1e-4)  # 1000 roundings of 6e-8 until N stops
    at_once = moved_averages(averages, z, jnp.zeros(2, int), decay=0.0)
    assert_allclose(at_once.codes(), [[5.0, 5.0], [2.0, 3.0]], rtol=1e-6)


def test_sharded_over_eight_devices_the_codebook_moves_and_restarts_as_on_one():
    """Every device has to agree on the averages and on which vectors dead codes start at."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    x = jax.random.uniform(jax.random.key(3), (16, 6, 5, 2))

    @jax.jit
    def moved(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        model = training(make(restart_below=0.5, codebook_size=40, decay=0.5))
        model(x, rngs=nnx.Rngs(2))
        return model.codebook.counts[...], model.codebook.sums[...]

    placed = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    one, eight = moved(x), moved(placed)
    for a, b in zip(one, eight, strict=True):
        assert len(b.sharding.device_set) == 8
        copies = [np.asarray(shard.data) for shard in b.addressable_shards]
        assert all(np.array_equal(copy, copies[0]) for copy in copies) or not b.sharding.is_fully_replicated
        assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_the_straight_through_gradient_is_the_identity():
    z, quantized = jax.random.normal(jax.random.key(0), (2, 5, 3))
    value, pull = jax.vjp(lambda z: straight_through(z, quantized), z)
    assert_array_equal(value, quantized)
    assert_array_equal(pull(quantized)[0], quantized)
    assert not np.any(jax.grad(lambda q: straight_through(z, q).sum())(quantized))


@pytest.mark.parametrize("p", [[0.5, 0.25, 0.25], [1.0], [0.25] * 4])
def test_perplexity_is_the_exponential_of_the_entropy(p: list[float]):
    indices = jnp.repeat(jnp.arange(len(p)), jnp.array([int(8 * q) for q in p]))
    assert_allclose(codebook_perplexity(indices, 6), np.prod([q**-q for q in p]), rtol=1e-6)


@pytest.mark.nightly
def test_in_bfloat16_the_decoder_sees_the_codes_and_nothing_else():
    """``z + (z_q - z)`` in bfloat16 would add what was lost of ``z``; the forward value is ``z_q``, rounded once."""
    z, quantized = jnp.bfloat16(100.0), jnp.float32(0.1)
    assert straight_through(z[None], quantized[None])[0] == jnp.bfloat16(0.1)
    model = make(dtype="bfloat16")
    outputs = model(X)
    assert_array_equal(outputs["parameters"], model.decoder(model.codebook.look_up(outputs["indices"])))
    assert model.codebook.sums.dtype == jnp.float32


def test_the_loss_is_equation_three():
    model = make(commitment_weight=0.5)
    terms = model.loss_fn({"x": X}, model(X))
    z = np.asarray(model.encoder(X), np.float64)
    codes = np.asarray(model.codebook.look_up(model.encode(X)), np.float64)
    reconstruction = np.asarray(model.decode(model.encode(X)), np.float64)
    x = np.asarray(X, np.float64)
    log_prob = (x * np.log(reconstruction) + (1 - x) * np.log1p(-reconstruction)).sum((1, 2, 3))
    commitment = np.square(z - codes).sum((1, 2, 3)).mean()
    assert_allclose(terms["commitment"], commitment, rtol=1e-4)
    assert_allclose(terms["loss"], 0.5 * commitment - log_prob.mean(), rtol=1e-4)


def test_the_gradient_reaches_every_parameter():
    def loss(model: VQVAE) -> jax.Array:
        return model.loss_fn({"x": X}, model(X))["loss"]

    assert all(bool(np.any(g)) for g in jax.tree.leaves(nnx.jit(nnx.grad(loss))(make())))


def test_training_moves_the_codebook_by_its_averages_and_evaluation_moves_nothing():
    model = make()
    before = variables(model)
    model(X)
    model.reconstruct(X), model.generate(2)
    assert all(np.array_equal(a, b) for a, b in zip(before, variables(model), strict=True))
    z = model.encoder(X)
    expected = moved_averages(model.codebook.averages, z.reshape(-1, 3), model.encode(X).reshape(-1), 0.99)
    trained = training(model)
    trained(X, rngs=nnx.Rngs(1))
    assert_allclose(trained.codebook.sums[...], expected.sums, rtol=1e-5)
    assert_allclose(trained.codebook.counts[...], expected.counts, rtol=1e-6)
    assert_allclose(trained.codebook.frequencies[...].sum(-1), 1.0, rtol=1e-5)


def test_without_a_gradient_codes_reach_the_means_of_what_is_near_them():
    """The averages alone are k-means: with fixed inputs, a code ends at the mean of its vectors."""
    model = training(make(decay=0.5))
    for seed in range(40):
        model(X, rngs=nnx.Rngs(seed))
    z, indices = np.asarray(model.encoder(X)).reshape(-1, 3), np.asarray(model.encode(X)).reshape(-1)
    for k in np.unique(indices):
        assert_allclose(model.codebook.averages.codes()[k], z[indices == k].mean(0), rtol=1e-3, atol=1e-4)


def test_independent_codes_have_their_frequencies_at_each_position():
    model = make()
    p = np.random.default_rng(0).dirichlet(np.ones(7), size=4)  # 2 x 2 positions
    model.codebook.frequencies[...] = jnp.float32(p)
    codes = np.asarray(model._independent_codes(20_000, rngs=nnx.Rngs(0))).reshape(-1, 4)
    drawn = (codes[:, :, None] == np.arange(7)).mean(0)
    assert np.all(np.abs(drawn - p) < 5 * np.sqrt(p * (1 - p) / 20_000) + 1e-4)


@pytest.mark.parametrize("shape", [(2, 2), (4,), (2, 2, 1)])
def test_a_prior_of_ones_own_draws_the_codes(shape: tuple[int, ...]):
    """Of images, of sequences, of images with a channel axis."""

    class Prior:
        def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array:
            assert rngs is not None
            return jax.random.randint(rngs.sample(), (n_samples, *shape), 0, 7)

    model = make()
    codes = Prior().generate(3, rngs=nnx.Rngs(5)).reshape(3, 2, 2)
    assert_array_equal(model.generate(3, prior=Prior(), rngs=nnx.Rngs(5)), model.decode(codes))


@pytest.mark.parametrize("indices", [jnp.zeros((2, 2, 2)), jnp.zeros((2, 3, 2), int), jnp.zeros((2, 2), int)])
def test_indices_that_do_not_fit_are_refused(indices: jax.Array):
    with pytest.raises(InvalidInputError, match=r"expected integers below 7 of shape \(batch, 2, 2\)"):
        make().decode(indices)


@pytest.mark.parametrize("value", [7, -1])
def test_codes_that_are_none_are_refused(value: int):
    """A prior with a start token of its own gives such; an index out of bounds would quietly become the last code."""

    class Prior:
        def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array:
            return jnp.full((n_samples, 2, 2), value)

    with pytest.raises(InvalidInputError, match=f"indices hold codes from {value} to {value}, expected 0 to 6"):
        make().decode(jnp.full((1, 2, 2), value))
    with pytest.raises(InvalidInputError, match=f"Prior's samples hold codes from {value} to {value}, expected 0 to 6"):
        make().generate(2, prior=Prior())


def test_a_hand_written_loop_moves_the_codebook_after_train():
    model = make()
    before = variables(model)
    model.train()
    model(X)
    assert not any(np.array_equal(a, b) for a, b in zip(before, variables(model), strict=True))
    before = variables(model)
    model.eval()
    model(X)
    assert all(np.array_equal(a, b) for a, b in zip(before, variables(model), strict=True))


def test_the_trainer_carries_the_codebook():
    model = make(restart_below=0.1)
    before = variables(model)
    engine = pytest.importorskip("artifex.training")  # the distribution stands without it
    engine.Trainer(model, engine.TrainerConfig(steps=3, batch_size=4), seed=0).fit({"x": np.asarray(X)})
    assert not any(np.array_equal(a, b) for a, b in zip(before, variables(model), strict=True))


@pytest.mark.nightly
def test_digits_use_the_codebook_and_come_back_better_than_from_a_vae():
    """The bar: over 90 % of 128 codes used, and less squared error than a VAE of the same size at equal latent bits."""
    import importlib.util
    from pathlib import Path

    script = Path(__file__).parents[3] / "benchmarks" / "vqvae_digits.py"
    spec = importlib.util.spec_from_file_location("vqvae_digits", script)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    quantised, plain = benchmark.vqvae(), benchmark.vae()
    for model in (quantised, plain):
        benchmark.train(model, 150)
    ours, theirs = benchmark.figures(quantised), benchmark.figures(plain)
    assert benchmark.size(plain) > 0.999 * benchmark.size(quantised)
    assert ours["codes used"] > 0.9 * 128
    assert theirs["bits"] > 0.97 * ours["bits"]
    assert ours["squared error"] < theirs["squared error"]
