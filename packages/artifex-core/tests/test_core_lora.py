"""Low-rank adaptation: nothing changes at the start, the update is the formula's, and merging gives the plain model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.lora import LoRAConfig, add_lora, is_lora_factor, merge_lora, merged_weights
from artifex.core.nn import MLP
from artifex.core.storage import flat_weights, set_weights

X = jax.random.normal(jax.random.key(0), (5, 6))
CONFIG = LoRAConfig(rank=2, alpha=6.0)


class Masked(nnx.Module):
    """Reads its layer's kernel and never calls the layer, as a masked autoregressive network does."""

    def __init__(self, rngs):
        self.layer = nnx.Linear(6, 4, rngs=rngs)
        self.mask = np.tri(6, 4, dtype=np.float32)

    def __call__(self, x):
        return x @ (self.layer.kernel[...] * self.mask) + self.layer.bias[...][None]


class Stacked(nnx.Module):
    """Three layers in one stacked kernel, gone through by a scan."""

    def __init__(self, rngs):
        self.layers = _stack(rngs)

    def __call__(self, x):
        graph, state = nnx.split(self.layers)
        return jax.lax.scan(lambda h, s: (jnp.tanh(nnx.merge(graph, s)(h)), None), x, nnx.as_pure(state))[0]


def _stack(rngs):
    graph, states = zip(*(nnx.split(nnx.Linear(6, 6, rngs=rngs)) for _ in range(3)), strict=True)
    return nnx.merge(graph[0], jax.tree.map(lambda *a: jnp.stack(a), *map(nnx.as_pure, states)))


MODELS = {
    "linear": lambda rngs: nnx.Sequential(nnx.Linear(6, 4, rngs=rngs)),
    "mlp": lambda rngs: MLP(6, (7, 8), 3, rngs=rngs),
    "general": lambda rngs: nnx.Sequential(nnx.LinearGeneral((2, 3), (4, 5), axis=(-2, -1), rngs=rngs)),
    "general, batched": lambda rngs: nnx.Sequential(nnx.LinearGeneral(6, (4, 5), batch_axis={0: 5}, rngs=rngs)),
    "masked": Masked,
    "stacked": Stacked,
}


def inputs(name):
    return X.reshape(5, 2, 3) if name == "general" else X


def factors(model):
    """Every factor, by name."""
    return {name: value for name, value in flat_weights(model).items() if is_lora_factor(name)}


def stir(model, scale=0.3):
    """Give every factor random values, as training would."""
    flat = flat_weights(model)
    key = jax.random.key(7)
    moved = {
        n: scale * jax.random.normal(jax.random.fold_in(key, i), v.shape) for i, (n, v) in enumerate(factors(model).items())
    }
    set_weights(model, flat | moved)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_changes_at_the_start(name):
    plain, model = MODELS[name](nnx.Rngs(0)), MODELS[name](nnx.Rngs(0))
    assert add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    # the same numbers, but for the order of sums, which XLA chooses anew inside the scan
    np.testing.assert_allclose(model(inputs(name)), plain(inputs(name)), rtol=0, atol=1e-6 if name == "stacked" else 0)
    assert any(np.abs(value).max() > 0 for key, value in factors(model).items() if key.endswith("lora_a"))


@pytest.mark.parametrize("name", MODELS)
def test_merged_is_the_plain_model_with_the_same_outputs(name):
    model = MODELS[name](nnx.Rngs(0))
    before, layers = flat_weights(model), add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    stir(model)
    adapted = model(inputs(name))
    by_name = merged_weights(flat_weights(model), CONFIG.scale)
    assert merge_lora(model) == layers
    merged = flat_weights(model)
    assert {n: v.shape for n, v in merged.items()} == {n: v.shape for n, v in before.items()}
    graph = nnx.split(MODELS[name](nnx.Rngs(0)))[0]
    assert nnx.split(model)[0] == graph
    np.testing.assert_allclose(model(inputs(name)), adapted, rtol=0, atol=1e-5)  # float32 sums of six terms of order 1
    assert np.abs(adapted - MODELS[name](nnx.Rngs(0))(inputs(name))).max() > 0.1
    for key, value in merged.items():
        np.testing.assert_array_equal(value, by_name[key])


def test_the_update_is_the_formulas():
    model = MODELS["linear"](nnx.Rngs(0))
    add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    stir(model)
    layer = model.layers[0]
    w, bias = vars(layer)["kernel"][...], layer.bias[...]
    expected = X @ (w + 6.0 / 2 * layer.lora_a[...] @ layer.lora_b[...]) + bias[None]
    np.testing.assert_allclose(model(X), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.kernel[...], w + 3.0 * layer.lora_a[...] @ layer.lora_b[...], rtol=0, atol=1e-6)


def test_a_stack_has_factors_for_each_layer():
    model = Stacked(nnx.Rngs(0))
    assert add_lora(model, CONFIG, rngs=nnx.Rngs(1)) == ["layers"]
    assert {n: v.shape for n, v in factors(model).items()} == {"layers.lora_a": (3, 6, 2), "layers.lora_b": (3, 2, 6)}


def test_an_adapted_layer_survives_what_the_trainer_does_with_a_model():
    model = MODELS["mlp"](nnx.Rngs(0))
    add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    stir(model)
    expected = model(X)
    graph, state = nnx.split(model)
    np.testing.assert_array_equal(nnx.merge(graph, nnx.as_pure(state))(X), expected)
    np.testing.assert_array_equal(nnx.view(nnx.clone(model), deterministic=True, raise_if_not_found=False)(X), expected)
    other = MODELS["mlp"](nnx.Rngs(3))
    add_lora(other, CONFIG, rngs=nnx.Rngs(4))
    nnx.update(other, nnx.as_pure(nnx.state(model)))
    np.testing.assert_array_equal(other(X), expected)
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(model, X), expected, rtol=0, atol=1e-5)


def test_the_gradient_reaches_the_factors_through_a_kernel_that_is_read():
    model = Masked(nnx.Rngs(0))
    add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    graph, state = nnx.split(model)
    grads = jax.grad(lambda s: jnp.sum(nnx.merge(graph, s)(X) ** 2))(nnx.as_pure(state))
    assert np.abs(grads["layer"]["lora_b"]).max() > 0
    assert np.abs(grads["layer"]["lora_a"]).max() == 0  # while B is zero


def test_a_bfloat16_pass_does_not_round_the_update_away():
    model = nnx.Sequential(nnx.Linear(6, 4, use_bias=False, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
    add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    layer = model.layers[0]
    vars(layer)["kernel"][...] = jnp.ones((6, 4))  # whose neighbour in bfloat16 is 2^-7 away
    layer.lora_a[...], layer.lora_b[...] = jnp.ones((6, 2)) * jnp.array([[1e-3], [0], [0], [0], [0], [0]]), jnp.ones((2, 4))
    x = jnp.array([[1.0, -1, 1, -1, 1, -1]])  # the kernel's own share is zero
    np.testing.assert_allclose(np.asarray(model(x), np.float32), np.full((1, 4), 3 * 2e-3), rtol=2**-7)


def test_factors_lie_where_their_kernel_lies():
    model = MODELS["mlp"](nnx.Rngs(0))
    add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    layer = model.layers[0]
    assert layer.lora_a.get_metadata()["logical_axes"] == ("embed", None)
    assert layer.lora_b.get_metadata()["logical_axes"] == (None, "mlp")


def test_layers_are_chosen_by_pattern():
    model = MODELS["mlp"](nnx.Rngs(0))
    assert add_lora(model, CONFIG.replace(parameters="layers.1"), rngs=nnx.Rngs(1)) == ["layers.1"]
    assert set(factors(model)) == {"layers.1.lora_a", "layers.1.lora_b"}


def test_what_cannot_be_adapted():
    model = MODELS["mlp"](nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=r"lora.parameters: 'layer.1' names nothing; did you mean 'layers.1'"):
        add_lora(model, CONFIG.replace(parameters="layer.1"), rngs=nnx.Rngs(1))
    add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    with pytest.raises(InvalidInputError, match="MLP has LoRA factors already; merge_lora"):
        add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    with pytest.raises(InvalidInputError, match=r"Sequential has no nnx.Linear or nnx.LinearGeneral"):
        add_lora(nnx.Sequential(jnp.tanh), CONFIG, rngs=nnx.Rngs(1))


def test_a_kernel_that_reads_as_the_sum_is_not_written():
    model = MODELS["linear"](nnx.Rngs(0))
    add_lora(model, CONFIG, rngs=nnx.Rngs(1))
    with pytest.raises(TypeError):
        model.layers[0].kernel[...] = jnp.zeros((6, 4))
