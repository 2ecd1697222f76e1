"""The models: what they compute, what a step leaves, what they refuse."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.ebm import (
    EBM,
    JEM,
    ConditionalEBM,
    ConditionalEBMConfig,
    ConvEnergyConfig,
    DeepEBM,
    DeepEBMConfig,
    EBMConfig,
    EnergyNetworkConfig,
    JEMConfig,
    MCMCConfig,
    RBMConfig,
    SampleBufferConfig,
)
from artifex.ebm.buffer import draw_slots, read_slots, write_slots
from artifex.ebm.ebm import contrastive_step
from artifex.ebm.image_energies import SpectralNorm

NETWORK = EnergyNetworkConfig(hidden_dims=(8,))
CHAIN = MCMCConfig(n_steps=4, step_size=0.05)
X = jax.random.normal(jax.random.key(0), (6, 2))


def persistent(**config) -> EBM:
    config = {"sample_buffer": SampleBufferConfig(capacity=16, reinit_probability=0.0), **config}
    return EBM(EBMConfig(input_dim=2, energy_network=NETWORK, mcmc=CHAIN, **config), rngs=nnx.Rngs(0))


def test_slots_are_distinct_and_all_equally_often():
    counts = np.zeros(10)
    for i in range(300):
        slots = np.asarray(draw_slots(jax.random.key(i), 3, 10))
        assert len(set(slots.tolist())) == 3
        counts += np.bincount(slots, minlength=10)
    # banks of 4, 3 and 3: a slot is drawn in a quarter or a third of 300 draws, with deviations of at most 8.2
    assert np.all(np.abs(counts - np.array([75] * 4 + [100] * 6)) < 4 * 8.2)


@pytest.mark.parametrize("capacity", [12, 13])
def test_what_is_written_is_read(capacity: int):
    chains = jnp.arange(2.0 * capacity).reshape(capacity, 2)
    slots = draw_slots(jax.random.key(0), 4, capacity)
    assert np.array_equal(read_slots(chains, slots), chains[slots])
    written = write_slots(chains, slots, -jnp.ones((4, 2)))
    assert np.array_equal(written, chains.at[slots].set(-1.0))


def test_a_divided_buffer_stays_where_it_is():
    """Eight devices, each with its banks: neither reading nor writing moves the buffer between them."""
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    place = NamedSharding(mesh, PartitionSpec("data"))
    chains = jax.device_put(np.arange(64.0 * 3).reshape(64, 3), place)
    rows = jax.device_put(np.ones((16, 3)), place)

    def step(chains, rows, key):
        slots = draw_slots(key, 16, 64)
        return write_slots(chains, slots, read_slots(chains, slots) + rows)

    compiled = jax.jit(step, out_shardings=place).lower(chains, rows, jax.random.key(0)).compile()
    text = compiled.as_text()
    assert not any(word in text for word in ("all-gather(", "all-to-all(", "all-reduce("))
    assert np.allclose(
        compiled(chains, rows, jax.random.key(0)), jax.jit(step)(np.asarray(chains), np.asarray(rows), jax.random.key(0))
    )


def test_a_call_changes_nothing_and_a_step_moves_the_buffer():
    model = persistent()
    before = np.asarray(model.buffer.chains[...])
    outputs = model(X, rngs=nnx.Rngs(1))
    assert np.array_equal(model.buffer.chains[...], before)
    contrastive_step(model, {"x": X}, nnx.Rngs(1), jnp.zeros(()))
    after = np.asarray(model.buffer.chains[...])
    slots = np.asarray(outputs["slots"])
    assert np.allclose(after[slots], outputs["negatives"])
    others = np.setdiff1d(np.arange(16), slots)
    assert np.array_equal(after[others], before[others])


def test_chains_go_on_from_the_buffer_unless_they_start_again():
    still = MCMCConfig(n_steps=1, step_size=1e-6, noise_scale=0.0)
    model = EBM(
        EBMConfig(
            input_dim=2,
            energy_network=NETWORK,
            mcmc=still,
            sample_buffer=SampleBufferConfig(capacity=16, reinit_probability=0.0),
        ),
        rngs=nnx.Rngs(0),
    )
    outputs = model(X, rngs=nnx.Rngs(1))
    assert np.allclose(outputs["negatives"], model.buffer.chains[...][outputs["slots"]], atol=1e-4)
    _, start, _ = model.buffer.read(jax.random.key(0), jnp.full((6, 2), 9.0))
    assert not np.any(start == 9.0)
    again = SampleBufferConfig(capacity=16, reinit_probability=1.0)
    _, start, _ = persistent(sample_buffer=again).buffer.read(jax.random.key(0), jnp.full((6, 2), 9.0))
    assert np.all(start == 9.0)


def test_contrastive_divergence_starts_from_the_data_without_a_buffer():
    still = MCMCConfig(n_steps=1, step_size=1e-6, noise_scale=0.0)
    model = EBM(EBMConfig(input_dim=2, energy_network=NETWORK, mcmc=still), rngs=nnx.Rngs(0))
    assert np.allclose(model(X)["negatives"], X, atol=1e-4)


def test_no_gradient_goes_through_the_chains():
    """The loss's gradient is ``mean grad E(x) - mean grad E(x~)`` with the negatives as they are."""
    model = persistent()
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    negatives = model(X, rngs=nnx.Rngs(1))["negatives"]

    def of_loss(params):
        made = nnx.merge(graph, params, rest)
        return made.loss_fn({"x": X}, made(X, rngs=nnx.Rngs(1)))["loss"]

    def by_hand(params):
        made = nnx.merge(graph, params, rest)
        return jnp.mean(made.network(X)) - jnp.mean(made.network(negatives))

    for a, b in zip(jax.tree.leaves(jax.grad(of_loss)(params)), jax.tree.leaves(jax.grad(by_hand)(params)), strict=True):
        assert np.allclose(a, b, atol=1e-6)


def test_the_score_is_minus_the_gradient_of_the_energy():
    model = persistent(tilted=True)
    step = 1e-2 * jnp.eye(2)
    rise = [(model.energy(X + e[None]) - model.energy(X - e[None])) / 2e-2 for e in step]
    assert np.allclose(model.score(X), -np.stack(rise, axis=-1), atol=2e-3)


def test_a_tilted_model_is_the_reference_where_the_network_is_silent():
    model = persistent(tilted=True, reference={"kind": "gaussian", "scale": 2.0})
    model.network.head.kernel[...] = jnp.zeros_like(model.network.head.kernel[...])
    assert np.allclose(model.energy(X), jnp.sum(X**2, axis=-1) / 8 + np.log(8 * np.pi), atol=1e-5)


def test_spectral_norm_is_the_largest_singular_value():
    model = DeepEBM(
        DeepEBMConfig(
            input_shape=(8, 8, 1), energy_network=ConvEnergyConfig(hidden_dims=(6, 4), spectral_norm=True), mcmc=CHAIN
        ),
        rngs=nnx.Rngs(0),
    )
    for _ in range(60):
        model.network.renew()
    for layer in model.network.layers:
        assert isinstance(layer, SpectralNorm)
        kernel = np.asarray(layer.layer.kernel[...])
        assert np.allclose(
            layer.norm(), np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2), rtol=5e-3
        )  # two that are close take long
    before = np.asarray(model.network.layers[0].direction[...])
    model.network.layers[0].layer.kernel[...] = jax.random.normal(jax.random.key(1), (3, 3, 1, 6))
    contrastive_step(model, {"x": jnp.zeros((4, 8, 8, 1))}, nnx.Rngs(0), jnp.zeros(()))
    assert not np.allclose(model.network.layers[0].direction[...], before)


def test_an_image_does_not_know_the_others_of_its_batch():
    config = DeepEBMConfig(input_shape=(8, 8, 1), energy_network=ConvEnergyConfig(hidden_dims=(8, 8)), mcmc=CHAIN)
    model, x = DeepEBM(config, rngs=nnx.Rngs(0)), jax.random.uniform(jax.random.key(0), (4, 8, 8, 1))
    assert np.allclose(model.energy(x)[:2], model.energy(x[:2]), atol=1e-5)


def test_jem_is_a_classifier_and_a_density_of_the_same_logits():
    model = JEM(JEMConfig(input_dim=2, n_classes=3, energy_network=NETWORK, mcmc=CHAIN), rngs=nnx.Rngs(0))
    logits = np.asarray(model.logits(X))
    assert np.allclose(model.energy(X), -np.log(np.exp(logits).sum(axis=1)), atol=1e-5)
    labels = np.array([0, 1, 2, 0, 1, 2])
    outputs = model(X, rngs=nnx.Rngs(1))
    losses = model.loss_fn({"x": X, "label": labels}, outputs)
    log_prob = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert np.allclose(losses["cross_entropy"], -log_prob[np.arange(6), labels].mean(), atol=1e-5)
    assert np.allclose(losses["loss"], losses["cross_entropy"] + losses["generative_loss"], atol=1e-5)
    with pytest.raises(InvalidInputError, match="the batch has x and no 'label'"):
        model.loss_fn({"x": X}, outputs)


def test_samples_of_a_class_have_a_high_logit_of_it():
    """The energy of ``p(x | y)`` is ``-f_y(x)``: here ``f_0 = -|x - 2|^2``, ``f_1 = -|x + 2|^2`` up to a constant."""
    model = JEM(
        JEMConfig(input_dim=1, n_classes=2, energy_network=NETWORK, mcmc=MCMCConfig(n_steps=200, step_size=0.05), tilted=True),
        rngs=nnx.Rngs(0),
    )
    kernel = model.network.layers[0].kernel
    kernel[...] = jnp.full_like(kernel[...], 1.0)
    model.network.head.kernel[...] = jnp.stack([jnp.full(8, 0.5), jnp.full(8, -0.5)], axis=-1)
    x = model.generate(64, condition=np.repeat([0, 1], 32), rngs=nnx.Rngs(1))
    assert float(jnp.mean(x[:32])) > float(jnp.mean(x[32:])) + 0.5


def test_a_conditional_models_chains_keep_their_class():
    config = ConditionalEBMConfig(
        input_dim=2,
        n_classes=3,
        energy_network=NETWORK,
        mcmc=CHAIN,
        sample_buffer=SampleBufferConfig(capacity=6, reinit_probability=0.0),
    )
    model, labels = ConditionalEBM(config, rngs=nnx.Rngs(0)), jnp.array([0, 1, 2, 0, 1, 2])
    batch = {"x": X, "label": labels}
    contrastive_step(model, batch, nnx.Rngs(0), jnp.zeros(()))  # every slot is empty, and takes the batch's classes
    assert np.array_equal(model.buffer.condition[...], labels)
    contrastive_step(model, {**batch, "label": 0 * labels}, nnx.Rngs(1), jnp.zeros(()))
    assert np.array_equal(model.buffer.condition[...], labels)
    kept = model.buffer.sample_of_class(jax.random.key(0), jnp.array([1, 2]), jnp.full((2, 2), 9.0))
    assert all(any(np.array_equal(row, chain) for chain in model.buffer.chains[...]) for row in kept)
    assert not np.allclose(model.energy(X, condition=0), model.energy(X, condition=1))


def test_the_condition_stands_beside_an_image_as_channels():
    config = ConditionalEBMConfig(
        input_shape=(8, 8, 1), n_classes=3, energy_network=ConvEnergyConfig(hidden_dims=(4,)), mcmc=CHAIN
    )
    model = ConditionalEBM(config, rngs=nnx.Rngs(0))
    assert model.network.layers[0].kernel.shape == (3, 3, 4, 4)
    assert model.generate(4, n_steps=2).shape == (4, 8, 8, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EBMConfig(), "input_dim is None and input_shape None; give one of them"),
        (lambda: EBMConfig(input_dim=2, input_shape=(2,)), "give one of them"),
        (
            lambda: EBMConfig(input_dim=2, objective="noise_contrastive", sample_buffer=SampleBufferConfig()),
            "a sample_buffer is given, but the objective NoiseContrastiveConfig runs no chains",
        ),
        (lambda: DeepEBMConfig(input_dim=4), r"DeepEBM is of images: give input_shape=\(height, width, channels\)"),
        (lambda: ConditionalEBMConfig(input_dim=4), "n_classes is None and condition_dim None"),
        (lambda: EnergyNetworkConfig(activation="swosh"), "swosh"),
        (lambda: EBMConfig(input_dim=2, energy_network="mpl"), "mpl"),
        (lambda: SampleBufferConfig(capacity=0), "capacity"),
        (lambda: EBMConfig(input_dim=2, reference={"kind": "uniform", "low": 1.0, "high": 0.0}), "low has to be below high"),
        (
            lambda: EBMConfig(input_dim=2, energy_network={"kind": "product", "components": ["mlp"], "weights": [1.0, 2.0]}),
            "1 components and 2 weights",
        ),
        (
            lambda: EBMConfig(input_dim=2, energy_network={"kind": "mixture", "components": ["mlp"], "weights": [-1.0]}),
            "those of a mixture are above zero",
        ),
        (
            lambda: EBMConfig(input_dim=2, tilted=True, reference="uniform"),
            r"mcmc has Langevin chains with bounds None; give it bounds within \[0\.0, 1\.0\], or sampler 'mala' or 'hmc'",
        ),
        (
            lambda: EBMConfig(input_dim=2, tilted=True, reference="uniform", mcmc={"bounds": [-1.0, 1.0]}),
            r"mcmc has Langevin chains with bounds \(-1\.0, 1\.0\)",
        ),
        (
            lambda: EBMConfig(
                input_dim=2, tilted=True, reference="uniform", mcmc={"sampler": "mala"}, generation={"n_steps": 9}
            ),
            "generation has Langevin chains with bounds None",
        ),
    ],
)
def test_configs_that_do_not_fit_are_refused(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_bad_input_is_named():
    model = persistent()
    with pytest.raises(InvalidInputError, match="keeps 16 chains, fewer than the 17 examples of a batch"):
        model(jnp.zeros((17, 2)))
    with pytest.raises(
        InvalidInputError, match=r"x has shape \(2,\), and the model is of shape \(batch, 2\); add a batch axis"
    ):
        model.energy(jnp.zeros(2))
    with pytest.raises(InvalidInputError, match="x is int32, and an energy is of floating-point numbers"):
        model.energy(jnp.zeros((3, 2), jnp.int32))
    with pytest.raises(InvalidInputError, match="n_samples is 0"):
        model.generate(0)
    with pytest.raises(InvalidInputError, match="unadjusted Langevin is not exact"):
        model.estimate_log_partition(mcmc=CHAIN)
    with pytest.raises(InvalidInputError, match="the batch has a condition, but EBM takes none"):
        contrastive_step(model, {"x": X, "condition": X}, nnx.Rngs(0), jnp.zeros(()))
    with pytest.raises(InvalidInputError, match=r"a convolutional energy is of images, .* give input_shape three numbers"):
        EBM(EBMConfig(input_dim=2, energy_network="conv"), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match="a quadratic energy gives one number"):
        JEM(JEMConfig(input_dim=2, n_classes=3, energy_network="quadratic"), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidTypeError, match="EBM takes an EBMConfig, got RBMConfig"):
        EBM(RBMConfig(input_dim=2, n_hidden=2), rngs=nnx.Rngs(0))
    conditional = ConditionalEBM(ConditionalEBMConfig(input_dim=2, n_classes=3, energy_network=NETWORK), rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=r"no condition is given; pass condition=\.\.\. with class labels below 3"):
        conditional.energy(X)
    with pytest.raises(InvalidInputError, match="condition holds classes from 3 to 3, expected 0 to 2"):
        conditional.energy(X, condition=3)
