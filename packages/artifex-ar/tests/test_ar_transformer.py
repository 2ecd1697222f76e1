"""Transformers: what a token sees, packing and padding, drawing from kept keys and values.

Roundings of float32 in networks of two layers: 1e-5 of numbers of order one.
"""

from __future__ import annotations

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.ar import TransformerAR, TransformerARConfig
from artifex.ar.kept import KeptStep, kept_of_prompts
from artifex.core.errors import InvalidInputError
from artifex.core.objectives import value_of

SMALL = {"vocab_size": 7, "context_length": 12, "num_layers": 2, "embed_dim": 16, "num_heads": 4}
LLAMA = {
    "positions": "rotary",
    "norm": "rms_norm",
    "activation": "swiglu",
    "use_bias": False,
    "tie_embeddings": False,
    "num_kv_heads": 2,
}
KINDS = {"gpt2": {}, "llama": LLAMA, "start_token": {"start_token": 2}}


DAILY = pytest.mark.daily("gpt2", "llama")
COUNTING = pytest.mark.daily("llama", "llama-1", "llama-4", "llama-9")


@cache
def made(kind: str) -> TransformerAR:
    """A model a random step away from where it starts, so that tokens matter."""
    model = TransformerAR(TransformerARConfig(**SMALL, **KINDS[kind]), rngs=nnx.Rngs(0))
    noise = np.random.default_rng(0)
    state = nnx.state(model, nnx.Param)
    nnx.update(model, jax.tree.map(lambda p: p + 0.2 * noise.normal(size=p.shape).astype(np.float32), state))
    return model


@cache
def logits_of(kind: str):
    return jax.jit(lambda x, **given: made(kind)(x, **given)["logits"])


def tokens(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 7, shape).astype(np.int32)


@DAILY
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_depends_on_all_before_it_and_on_nothing_else(kind: str):
    """Gradients of logits for the embeddings that go in; what goes in at a place is the token before it, or the start."""
    model, x = made(kind), jnp.asarray(tokens(1, 6))
    positions = jnp.arange(6)[None]
    h = jax.jit(lambda x: model._embedded(x, positions, positions == 0, None))(x)
    gradients = jax.jit(jax.jacrev(lambda h: model._logits(model._through_blocks(h, positions, None)[0])[0]))(h)
    seen = np.abs(gradients)[:, :, 0].sum(axis=(1, 3)) > 0  # (6 outputs, 6 inputs)
    assert_array_equal(seen, np.tri(6, dtype=bool))
    logits, changed = logits_of(kind)(x), logits_of(kind)(x.at[0, 2].set((x[0, 2] + 1) % 7))
    assert_array_equal(logits[:, :3], changed[:, :3])
    assert np.all(np.any(np.asarray(logits[:, 3:]) != np.asarray(changed[:, 3:]), axis=-1))


@DAILY
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_all_sequences_add_up_to_one(kind: str):
    points = np.array(list(itertools.product(range(7), repeat=3)), np.int32)
    log_probs = np.asarray(made(kind).log_prob(jnp.asarray(points)), np.float64)
    assert abs(np.exp(log_probs).sum() - 1) < 1e-5


@DAILY
@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_those_alone(kind: str):
    one, two = tokens(1, 5, seed=2), tokens(1, 4, seed=3)
    row = np.concatenate([one, two, np.full((1, 3), 99, np.int32)], axis=1)
    segment = np.array([[4] * 5 + [1] * 4 + [0] * 3])
    mask = np.array([[True] * 9 + [False] * 3])
    packed = logits_of(kind)(row, mask=mask, segment=segment)
    assert_allclose(packed[:, :5], logits_of(kind)(one), atol=1e-5)
    assert_allclose(packed[:, 5:9], logits_of(kind)(two), atol=1e-5)
    log_prob = made(kind).log_prob(row, mask=mask, segment=segment)
    assert_allclose(log_prob, made(kind).log_prob(one) + made(kind).log_prob(two), rtol=1e-5)


def test_padding_changes_no_loss_and_no_gradient():
    model, x = made("gpt2"), tokens(2, 6)
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def loss(params, batch):
        model = nnx.merge(graph, params, rest)
        return value_of(model.loss_fn(batch, model(**batch))["loss"])

    plain = jax.value_and_grad(loss)(params, {"x": jnp.asarray(x), "mask": jnp.ones((2, 6), bool)})
    padded = np.concatenate([x, np.full((2, 3), -5, np.int32)], axis=1)
    mask = np.arange(9)[None] < np.full((2, 1), 6)
    got = jax.value_and_grad(loss)(params, {"x": jnp.asarray(padded), "mask": jnp.asarray(mask)})
    jax.tree.map(lambda a, b: assert_allclose(a, b, atol=1e-6), got, plain)


def test_a_token_outside_the_vocabulary_is_no_number():
    """At which training stops; inside a compiled program nothing can be raised."""
    assert np.isnan(made("gpt2").log_prob(np.array([[1, 7, 2]], np.int32))).all()


# A counting sequence, 0 1 2 3 4 5 6 0 1 ...


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def counts(request: pytest.FixtureRequest) -> TransformerAR:
    """A model that has learned to count."""
    model = TransformerAR(TransformerARConfig(**SMALL, **KINDS[request.param]), rngs=nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    optimizer = optax.adam(1e-2)
    x = jnp.asarray((np.arange(7)[:, None] + np.arange(12)) % 7, jnp.int32)

    @jax.jit
    def train(params):
        def step(carry, _):
            params, state = carry

            def loss(params):
                model = nnx.merge(graph, params, rest)
                return value_of(model.loss_fn({"x": x}, model(x))["loss"])

            value, gradients = jax.value_and_grad(loss)(params)
            updates, state = optimizer.update(gradients, state)
            return (optax.apply_updates(params, updates), state), value

        return jax.lax.scan(step, (params, optimizer.init(params)), length=150)

    (params, _), losses = train(nnx.as_pure(params))
    assert losses[-1] < 0.2  # log(7) / 12 = 0.16 is the least: the first token is any
    return nnx.merge(graph, params, rest)


def counted(start: int, length: int) -> np.ndarray:
    return (start + np.arange(length)) % 7


@COUNTING
@pytest.mark.parametrize("length", [1, 4, 9])
def test_counting_goes_on_from_any_prompt(counts: TransformerAR, length: int):
    prompts = np.stack([counted(start, length) for start in range(7)])
    made = counts.generate(7, prompt=prompts, max_new_tokens=3, temperature=0)
    assert_array_equal(made, np.stack([counted(start, length + 3) for start in range(7)]))


@COUNTING
def test_ragged_prompts_give_what_each_gives_alone_and_without_what_is_kept(counts: TransformerAR):
    """One batch of prompts of 1 to 7 tokens; each alone; and each by whole forward passes."""
    lengths = np.arange(1, 8)
    prompts = np.stack([np.where(np.arange(7) < n, counted(n, 7), 6) for n in lengths])
    ragged = np.asarray(counts.generate(7, prompt=prompts, prompt_lengths=lengths, max_new_tokens=5, temperature=0))
    forward = jax.jit(lambda x: jnp.argmax(counts(x)["logits"], axis=-1))
    for row, prompt, n in zip(ragged, prompts, lengths, strict=True):
        assert_array_equal(row, np.append(counted(n, n + 5), np.zeros(7 - n)))
        x = np.zeros((1, 12), np.int32)
        x[0, :n] = prompt[:n]
        for i in range(n, n + 5):
            x[0, i] = forward(x)[0, i]
        assert_array_equal(row[: n + 5], x[0, : n + 5])
        if n in (1, 4):  # a program for each length
            alone = counts.generate(prompt=prompt[:n], max_new_tokens=5, temperature=0)
            assert_array_equal(row[: n + 5], alone[0])


@COUNTING
def test_samples_without_a_prompt_fill_the_context(counts: TransformerAR):
    made = np.asarray(counts.generate(5, top_k=1))
    assert made.shape == (5, 12)
    assert_array_equal((made[:, 1:] - made[:, :-1]) % 7, 1)


@COUNTING
def test_a_sequence_ends_behind_a_stop_token(counts: TransformerAR):
    made = counts.generate(2, prompt=[[1, 2], [3, 4]], max_new_tokens=6, temperature=0, stop_tokens=(5, 0), fill_token=6)
    assert_array_equal(made, [[1, 2, 3, 4, 5, 6, 6, 6], [3, 4, 5, 6, 6, 6, 6, 6]])


@pytest.mark.daily("llama", "start_token")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_stands_for_whole_forward_passes(kind: str):
    """Greedy tokens of random models, whose logits lie apart by more than roundings; and of prompts of different lengths."""
    model = made(kind)
    prompt = tokens(3, 4, seed=5)
    lengths = np.array([4, 2, 3])
    drawn = np.asarray(model.generate(3, prompt=prompt, prompt_lengths=lengths, max_new_tokens=6, temperature=0))
    for row, given, n in zip(drawn, prompt, lengths, strict=True):
        x = np.zeros((1, 12), np.int32)
        x[0, :n] = given[:n]
        for i in range(n, n + 6):
            following = jax.jit(model.following)(x) if kind == "start_token" else None
            x[0, i] = np.argmax(logits_of(kind)(x)[0, i] if following is None else following[0, i - 1])
        assert_array_equal(row[: n + 6], x[0, : n + 6])


@pytest.mark.daily("llama", "start_token")
@pytest.mark.parametrize("kind", KINDS)
def test_logits_from_kept_keys_are_those_of_a_whole_forward_pass(kind: str):
    """Five tokens after prompts of four, two and three: at every step, for every row."""
    model, prompt, lengths, new = made(kind), tokens(3, 4, seed=5), np.array([4, 2, 3]), tokens(3, 5, seed=6)
    starts = model.start is not None

    @jax.jit
    def kept(prompt, new):
        logits, cache, positions = kept_of_prompts(model, prompt, jnp.asarray(lengths), None, 5, starts=starts)
        step, found = KeptStep(model, None, positions), [logits]
        for i in range(5):
            cache, logits = step(cache, new[:, i], jnp.int32(i))
            found.append(logits)
        return jnp.stack(found, axis=1)

    for row, n, given, found in zip(prompt, lengths, new, kept(prompt, new), strict=True):
        x = np.concatenate([row[:n], given, [0]])[None]  # whose last token nothing sees
        whole = logits_of(kind)(x)[0, n:] if starts else jax.jit(model.following)(x)[0, n - 1 : -1]
        assert_allclose(found, whole, atol=2e-6 * float(jnp.max(jnp.abs(whole))))  # float32, sums of 16 in another order


def test_samples_follow_the_model():
    """Frequencies of all 49 pairs of tokens, against their probabilities."""
    model = made("gpt2")
    points = np.array(list(itertools.product(range(7), repeat=2)), np.int32)
    probabilities = np.exp(np.asarray(model.log_prob(points), np.float64))
    drawn = np.asarray(model.generate(20_000, max_new_tokens=2, rngs=nnx.Rngs(1)))
    counts = np.bincount(drawn @ [7, 1], minlength=49)
    chi2 = np.sum((counts - 20_000 * probabilities) ** 2 / (20_000 * probabilities))
    assert chi2 < 93  # 48 degrees of freedom: above 93 once in ten thousand seeds


def test_classes_and_dropout():
    config = TransformerARConfig(**SMALL, num_classes=3, dropout=0.5)
    model = TransformerAR(config, rngs=nnx.Rngs(0))
    x = tokens(2, 5)
    called = nnx.jit(lambda model, classes: model(x, condition=classes)["logits"])
    first, again = (called(model, jnp.array([0, 1])) for _ in range(2))
    assert not np.allclose(first, again)
    evaluated = nnx.view(model, deterministic=True)
    a, b = (called(evaluated, jnp.array([c, c])) for c in (0, 1))
    assert not np.allclose(a, b)
    assert_allclose(model.log_prob(x, condition=0), evaluated.log_prob(x, condition=0), rtol=1e-6)
    assert model.generate(4, max_new_tokens=2).shape == (4, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prompt": np.zeros((1, 12), int)}, "a prompt of 12 tokens does not fit: context_length is 12"),
        ({"prompt": [1, 2], "max_new_tokens": 11}, "a prompt of 2 tokens and 11 new tokens does not fit: context_length is 12"),
        ({"prompt": [1, 9]}, "prompt holds 1 to 9, but the vocabulary goes from 0 to 6"),
        ({"prompt": [1.0]}, r"prompt is float64 of shape \(1, 1\), expected integer tokens"),
        ({"prompt": np.zeros((3, 2), int), "n_samples": 2}, "prompt has 3 rows for 2 samples"),
        ({"prompt": [1, 2], "prompt_lengths": [3]}, "prompt_lengths holds 3 to 3, but the prompt goes from 0 to 2"),
        ({"prompt_lengths": [3]}, "prompt_lengths are given without a prompt"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_p": 0.0}, "top_p is 0.0; it has to be a number above 0 and at most 1"),
        ({"top_k": 0}, "top_k is 0"),
        ({"n_samples": 0}, "n_samples is 0"),
    ],
)
def test_generate_says_what_does_not_fit(given: dict, message: str):
    with pytest.raises(InvalidInputError, match=message):
        made("gpt2").generate(**given)


def test_calls_and_configs_say_what_does_not_fit():
    model = made("gpt2")
    with pytest.raises(InvalidInputError, match="x has 13 tokens, more than context_length 12"):
        model(np.zeros((1, 13), int))
    with pytest.raises(InvalidInputError, match=r"x is float32 of shape \(2, 3\), expected integer tokens"):
        model(np.zeros((2, 3), np.float32))
    with pytest.raises(InvalidInputError, match=r"mask has shape \(2, 3\), x has \(2, 4\)"):
        model(np.zeros((2, 4), int), mask=np.ones((2, 3), bool))
    for fields, message in (
        ({"num_heads": 3}, "embed_dim 16 is no multiple of num_heads 3"),
        ({"num_kv_heads": 3}, "num_heads 4 is no multiple of num_kv_heads 3"),
        ({"head_dim": 3, "positions": "rotary"}, "a head has 3 elements"),
        ({"start_token": 7}, "start_token is 7, but the vocabulary has 7 tokens"),
    ):
        with pytest.raises(ValueError, match=message):
            TransformerARConfig(**SMALL | fields)
