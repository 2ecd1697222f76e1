"""What every engine measures with: the choice of metrics, columns, programs, the three forms."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.measuring import Facts, Material, MemoryColumns, applicable, evaluation_key, measure, obstacle
from artifex.core.measuring.material import BLOCK
from artifex.core.metrics import MeanOf
from artifex.core.plugins import MetricEntry

HERE = __name__
X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)


def entry(metric="", **changes):
    fields = {"name": "m", "metric": f"{HERE}:{metric}", "needs": ("references",), "higher_is_better": True}
    return MetricEntry(**{**fields, **changes})


FACTS = Facts(
    modality="image",
    representation="pixels",
    family="vae",
    model="vae",
    capabilities=frozenset({"encode"}),
    available=frozenset({"references", "samples", "model"}),
    extent=8,
    examples=100,
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"modality": "image", "family": "vae", "models": ("vae",), "capabilities": ("encode",), "min_extent": 8}, ""),
        ({"modality": "text"}, "modality 'text'"),
        ({"representations": ("codes", "pixels")}, ""),
        ({"representations": ("codes",)}, "representation is 'codes', and theirs is 'pixels'"),
        ({"family": "flow"}, "family 'flow'"),
        ({"models": ("iwae",)}, "iwae"),
        ({"capabilities": ("log_prob",)}, "no log_prob"),
        ({"needs": ("samples", "references"), "compares": "pairs"}, "a reference of its own"),
        ({"needs": ("samples", "references")}, "pairs or sets"),
        ({"needs": ("references", "labels")}, "needs labels"),
        ({"space": "host"}, "space 'host'"),
        ({"min_extent": 11}, "extent of 11"),
        ({"min_examples": 101}, "below 101"),
    ],
)
def test_what_keeps_a_metric_away(changes, said):
    found = obstacle(entry(**changes), FACTS)
    assert found == "" if not said else said in found
    assert applicable([entry(**changes)], FACTS) == ([] if said else [entry(**changes)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_examples": 3, "min_examples": 5}, "takes 3 at most"),
        ({"takes": ("nothing",)}, "takes takes"),
        ({"lowest": 1, "highest": 0}, "no range"),
    ],
)
def test_an_entry_that_contradicts_itself(changes, said):
    with pytest.raises(ValueError, match=said):
        entry(**changes)


class Model(nnx.Module):
    """Draws about its mean; reconstructs with an error of 1."""

    def __init__(self):
        self.mean = nnx.Param(jnp.full(2, 3.0))

    def __call__(self, x, *, rngs=None):
        return {}

    def generate(self, n_samples=1, *, rngs=None):
        return self.mean[None] + jax.random.normal(rngs.sample(), (n_samples, 2))

    def reconstruct(self, x):
        return x + 1

    def log_prob(self, x, *, label=None):
        return jnp.sum(x, axis=1) + (0 if label is None else label)


def material(data=X, model=None, **options):
    return Material(Model() if model is None else model, data, key=evaluation_key(0), **options)


def one_for_all(samples, references):
    return float(np.mean(samples) - np.mean(references))


def distance_to_the_mean(samples, references):
    return np.abs(samples - references.mean(axis=0)).mean(axis=1)


def ten_times_one_for_all(samples, references):
    return 10 * one_for_all(samples, references)


def one_for_each(samples, references):
    return jnp.mean(samples - references, axis=1)


def of_values(model, references):
    """Looks at its arrays' values, which no trace can."""
    return np.asarray([float(row.sum()) for row in np.asarray(references)])


def with_noise(model, references, rngs):
    return references[:, 0] + jax.random.normal(rngs.sample(), (len(references),))


def nothing(references):
    return np.zeros((2, 2))


mean_error, noisy, log_probs = MeanOf(one_for_each), MeanOf(with_noise), MeanOf(lambda log_prob: jnp.asarray(log_prob))
looking = MeanOf(of_values)


class Extremes:
    def state(self, batch):
        return {name: float(np.max(batch[name])) for name in ("samples", "references") if name in batch}

    def merge(self, one, other):
        return {name: max(one.get(name, -np.inf), other.get(name, -np.inf)) for name in {*one, *other}}

    def finalize(self, state):
        return state["references"]


number = 3
PAIRS = {"needs": ("samples", "references"), "compares": "pairs"}
SETS = {"needs": ("samples", "references"), "compares": "sets"}


def test_pairs_are_reconstructions():
    for name in ("mean_error", "one_for_each"):
        found = measure(entry(name, **PAIRS), material())
        assert (found.form, found.n) == ("streamed", 300)
        assert found.value == pytest.approx(1.0, rel=1e-6)
        assert found.rows.shape == (300, 2)


def test_sets_are_draws():
    found = measure(entry("one_for_all", **SETS), material(n_samples=1000))
    assert found.form == "whole"
    assert found.value == pytest.approx(3.0 - X.mean(), abs=0.1)  # four standard errors of 2000 numbers
    halves = [found.at_a_half(np.random.default_rng(i)) for i in range(3)]
    assert len(set(halves)) == 3
    assert halves == pytest.approx([found.value] * 3, abs=0.3)


def test_a_figure_of_random_halves_can_be_that_of_a_cheaper_function():
    found = measure(entry("one_for_all", **SETS, of_a_half=f"{HERE}:ten_times_one_for_all"), material(n_samples=1000))
    plain = measure(entry("one_for_all", **SETS), material(n_samples=1000))
    assert found.value == plain.value
    assert found.at_a_half(np.random.default_rng(0)) == pytest.approx(10 * plain.at_a_half(np.random.default_rng(0)))


def test_one_number_for_each_sample_of_two_sets_of_unequal_size():
    found = measure(entry("distance_to_the_mean", **SETS), material(n_samples=1000))
    assert (found.n, found.rows.shape) == (1000, (1000, 2))


def test_merged_states_are_those_of_all_examples():
    found = measure(entry("Extremes", **SETS), material())
    assert found.form == "merged"
    assert found.value == X.max()
    assert (found.without_group <= found.value).all()
    assert (found.without_group < found.value).sum() == 1  # the group that has the greatest
    assert measure(entry("Extremes", **SETS), material(X[:15])).without_group is None


def test_noise_is_an_example_s_own():
    of = entry("noisy", needs=("model", "references", "rngs"))
    rows = [measure(of, material(batch_size=size)).rows for size in (7, 64, 300)]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])
    few = measure(of, material(X[:20], batch_size=1)).rows
    np.testing.assert_array_equal(few, rows[0][:20])


def test_what_cannot_be_traced_is_run_as_it_stands():
    found = measure(entry("looking", needs=("model", "references")), material(batch_size=64))
    assert found.value == pytest.approx(X.sum(axis=1).mean(), rel=1e-5)


def test_log_probabilities_are_given_what_the_model_takes_of_a_batch():
    labels = np.arange(300, dtype=np.int32)
    of = entry("log_probs", needs=("log_prob",))
    found = measure(of, material({"x": X, "label": labels}, batch_size=100))
    assert found.value == pytest.approx(X.sum(axis=1).mean() + labels.mean(), rel=1e-5)


def test_a_sum_alone_is_the_sum_of_the_rows():
    for name, needs in (("noisy", ("model", "references", "rngs")), ("looking", ("model", "references"))):
        of = entry(name, needs=needs)
        kept = measure(of, material(batch_size=64))
        found = measure(of, material(batch_size=64), rows=False)
        assert found.rows is None
        assert (found.n, found.form) == (300, "streamed")
        # 300 numbers of order 1 added up in float32: the mean is off by 1e-7
        assert found.value == pytest.approx(kept.value, abs=1e-6)


def test_on_a_mesh_no_row_leaves_its_device():
    """The compiled sum has one reduction over devices, of ``S`` numbers, and gathers nothing."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    programs = material(mesh=mesh).programs

    def statistics(model, batch):
        return jnp.stack([model.log_prob(batch["x"]), jnp.ones(len(batch["x"]))], axis=-1)

    total = programs.total("log_prob", statistics, {"x": X}, first=0, size=300, rngs=False)
    np.testing.assert_allclose(total, [X.sum(), 300], rtol=1e-6, atol=1e-4)
    rows = NamedSharding(mesh, PartitionSpec("data"))
    batch = {"x": jax.ShapeDtypeStruct((304, 2), np.float32, sharding=rows)}
    indices = jax.ShapeDtypeStruct((304,), np.uint32, sharding=rows)
    program = programs._program("log_prob", statistics, rngs=False, summed=True)
    text = program.lower(programs._state, batch, indices, np.uint32(300)).compile().as_text()
    reductions = [line for line in text.splitlines() if re.search(r"= \S+ all-reduce\(", line)]
    assert len(reductions) == 1
    assert "f32[2]" in reductions[0]
    assert "all-gather" not in text


def test_samples_do_not_depend_on_how_they_are_asked_for():
    whole = material(n_samples=600).model_space("samples", 0, 600)
    by_parts = material(n_samples=600)
    np.testing.assert_array_equal(by_parts.model_space("samples", 0, 10), whole[:10])
    np.testing.assert_array_equal(by_parts.model_space("samples", 250, 600), whole[250:])
    assert len(np.unique(whole[:, 0])) == 600
    assert BLOCK < 600


def test_columns_are_kept():
    columns = MemoryColumns()
    of = entry("mean_error", **PAIRS)
    first = measure(of, material(columns=columns))
    told = []
    again = measure(of, material(columns=columns), lambda done, total: told.append(done))
    assert again.value == first.value
    assert not told  # nothing was left to do


def test_most_examples():
    assert measure(entry("mean_error", **PAIRS, max_examples=50), material()).n == 50
    assert measure(entry("mean_error", **PAIRS), material(n_references=40)).n == 40


def test_examples_read_singly():
    singly = [{"x": row} for row in X]
    assert measure(entry("mean_error", **PAIRS), material(singly)).value == pytest.approx(1.0, rel=1e-6)


def test_mistakes_are_said():
    with pytest.raises(InvalidInputError, match="needs labels"):
        measure(entry("mean_error", needs=("labels",)), material())
    with pytest.raises(InvalidInputError, match="below 400"):
        measure(entry("mean_error", **PAIRS, min_examples=400), material())
    with pytest.raises(InvalidTypeError, match="is a int, neither"):
        measure(entry("number"), material())
    with pytest.raises(InvalidTypeError, match=r"shape \(2, 2\)"):
        measure(entry("nothing"), material())
    with pytest.raises(DataError, match="no array 'x'"):
        material({"y": X})
    with pytest.raises(DataError, match="no examples"):
        material(X[:0])


class Normal(nnx.Module):
    def generate(self, n_samples=1, *, rngs):
        return jax.random.normal(rngs.sample(), (n_samples, 2))


def sizes(samples, references):
    return 1000.0 * len(samples) + len(references)


def first_number(samples):
    return np.asarray(samples)[:, 0]


@pytest.mark.parametrize(("n", "drawn", "compared"), [(1, 100, 1), (60, 100, 60), (150, 150, 150)])
def test_few_references_do_not_mean_few_samples(n, drawn, compared):
    """A hundred are drawn at least; two sets that are compared are of one size, unless a number is asked for."""
    material = Material(Normal(), X[:n], key=evaluation_key(0))
    assert measure(entry("first_number", needs=("samples",)), material).n == drawn
    sets = entry("sizes", needs=("samples", "references"), compares="sets")
    assert measure(sets, material).value == 1001 * compared
    asked = Material(Normal(), X[:n], key=evaluation_key(0), n_samples=7)
    assert measure(sets, asked).value == 7000 + n


def copies(samples, training):
    return 1000.0 * len(samples) + len(training)


def test_a_metric_that_needs_no_references_is_given_samples_whatever_their_number():
    """Novelty with one held-out molecule was that of one sample."""
    held_against_training = entry("copies", needs=("samples", "training"), compares="sets")
    for n, given in ((80, 80), (250, 100)):
        material = Material(Normal(), X[:1], key=evaluation_key(0), training=X[:n])
        assert measure(held_against_training, material).value == 1000 * given + n


def test_arrays_of_unlike_lengths_are_refused():
    with pytest.raises(DataError, match="300 of them in 'x'; 'label' has 7"):
        Material(None, {"x": X, "label": np.arange(7)}, key=evaluation_key(0))
    with pytest.raises(DataError, match="'n' has no axis"):
        Material(None, {"x": X, "n": np.int64(300)}, key=evaluation_key(0))


def forgotten(references):
    return None


def words(references):
    return "0.5"


def turned(references):
    return 1j


class OneRow:
    def statistics(self, batch):
        return np.sum(batch["references"], axis=0)[None]

    def finalize(self, total):
        return total[..., 0]


class Flat(OneRow):
    def statistics(self, batch):
        return np.asarray(batch["references"])[:, 0]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("forgotten", "gave 'None', NoneType; numbers are wanted"),
        ("words", "gave '0.5', str; numbers are wanted"),
        ("turned", "gave '1j', complex; numbers are wanted"),
        ("OneRow", r"statistics of 256 examples have shape \(1, 2\); one row each"),
        ("Flat", r"statistics of 256 examples have shape \(256,\)"),
    ],
)
def test_what_a_metric_may_not_give(metric, said):
    """None would be NaN; a sum in the place of rows would be taken for the first of them."""
    material = Material(None, X, key=evaluation_key(0))
    with pytest.raises(InvalidTypeError, match=said):
        measure(entry(metric), material)
