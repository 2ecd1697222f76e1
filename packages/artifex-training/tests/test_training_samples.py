"""Samples in batches: reproducible, all distinct, of one program, with the conditions they would have at once."""

import shlex

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.compilation import compiled_method
from artifex.training.samples import AT_ONCE, MOST_TOGETHER, drawn, save_arrays


class Noise(nnx.Module):
    """Noise beside the condition; counts its traces."""

    def __init__(self, n_classes=None):
        self.mean, self.n_classes = nnx.Param(jnp.zeros(2)), n_classes

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples=1, *, rngs=None):
        TRACED.append(n_samples)
        return self.mean[None] + jax.random.normal(rngs.sample(), (n_samples, 2))


class Classes(nnx.Module):
    """Its samples are their conditions."""

    def __init__(self, n_classes):
        self.n_classes = n_classes

    def conditions_for(self, n_samples):
        return np.arange(n_samples) % self.n_classes

    def generate(self, n_samples=1, *, condition=None, rngs=None):
        assert len(condition) == n_samples
        noise = jax.random.uniform(rngs.sample(), (n_samples,))
        return jnp.stack([jnp.asarray(condition, jnp.float32), noise], axis=1)


TRACED = []
KEY = jax.random.key(3)


def draw(n, model=None, **options):
    return np.concatenate(list(drawn(Noise() if model is None else model, n, KEY, **options)))


def test_samples_are_reproducible_all_distinct_and_of_one_program():
    TRACED.clear()
    first = draw(1000, at_once=64)
    assert TRACED == [64]  # the last part, of 40, is cut out of a whole one
    assert first.shape == (1000, 2)
    np.testing.assert_array_equal(draw(1000, at_once=64), first)
    assert TRACED == [64]
    assert len(np.unique(first, axis=0)) == 1000


def test_the_first_of_many_are_those_of_fewer():
    many = draw(300, at_once=64)
    for n in (64, 65, 128, 200):
        np.testing.assert_array_equal(draw(n, at_once=64), many[:n])
    np.testing.assert_array_equal(draw(300), draw(300, at_once=AT_ONCE))
    assert not np.array_equal(draw(300, at_once=32), many)  # as is documented


def test_a_batch_follows_from_its_number_and_the_key_alone():
    parts = list(drawn(Noise(), 12, KEY, at_once=5))
    assert [len(part) for part in parts] == [5, 5, 2]
    for i, part in enumerate(parts):
        whole = Noise().generate(5, rngs=nnx.Rngs(jax.random.fold_in(KEY, i)))
        np.testing.assert_array_equal(part, whole[: len(part)])


def test_no_more_is_drawn_than_asked_for_where_that_is_less_than_a_batch():
    TRACED.clear()
    assert draw(7).shape == (7, 2)
    assert TRACED in ([7], [])


def test_classes_take_turns_over_all_batches():
    """256 samples of 10 classes at a time would give six of them one more, batch by batch."""
    samples = draw(1000, Classes(10))
    np.testing.assert_array_equal(samples[:, 0], np.arange(1000) % 10)
    assert len(np.unique(samples[:, 1])) == 1000


@pytest.mark.parametrize("n", [3, 8, 21])
def test_a_condition_that_is_asked_for_is_that_of_every_sample(n):
    samples = draw(n, Classes(10), at_once=8, condition="cat", classes=("ant", "bee", "cat"))
    np.testing.assert_array_equal(samples[:, 0], np.full(n, 2))


def test_what_is_written_never_holds_all(tmp_path):
    held = []

    def parts():
        for i in range(5):
            held.append(i)
            yield np.full((3 if i < 4 else 1, 2), i, np.float32)
            assert len(held) == i + 1  # the next one is made only when this one is written

    path = save_arrays(parts(), 13, tmp_path / "many")
    np.testing.assert_array_equal(np.load(path), np.repeat(np.arange(5.0), [3, 3, 3, 3, 1])[:, None] * np.ones(2))
    half = save_arrays(iter([np.ones((2, 2), jnp.bfloat16)]), 2, tmp_path / "half")
    assert np.load(half).dtype == np.float32


def test_many_samples_are_arrays_unless_the_ending_says_otherwise(artifex, tmp_path):
    assert artifex("train", "tiny-run", "-o", "my run", "--set", "training.epochs=1").code == 0
    many = MOST_TOGETHER + 1
    told = artifex("sample", "my run", "-n", many, "--seed", "3")
    assert told.out == f"{many} samples with seed 3: my run/samples/seed_3.npy\n"
    samples = np.load("my run/samples/seed_3.npy")
    assert samples.shape == (many, 3)
    assert len(np.unique(samples, axis=0)) == many
    assert artifex("sample", "my run", "-n", many, "--seed", "3", "-o", "as.txt").code == 0
    np.testing.assert_allclose(np.loadtxt("as.txt"), samples, atol=1e-6)
    assert artifex("sample", "my run", "-n", "300", "--seed", "3", "-o", "first.npy").code == 0
    np.testing.assert_array_equal(np.load("first.npy"), samples[:300])
    assert artifex("sample", "my run", "-n", "300", "--seed", "3", "--batch-size", "7", "-o", "other.npy").code == 0
    assert len(np.unique(np.load("other.npy"), axis=0)) == 300
    refused = artifex("sample", "my run", "-n", "300", "-o", "many.gif")
    assert refused.code == 2
    assert "written as .txt or .npy; give it that ending, or none" in refused.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["as.txt", "first.npy", "my run", "other.npy"]

    told = artifex("train", "--resume", "my run")  # with a space in it, as people have
    command = told.out.partition("to train it longer: ")[2]
    assert command == "artifex train --resume 'my run' --set training.epochs=2\n"
    assert artifex(*shlex.split(command)[1:]).out.startswith("done: step 6")
