"""Loaders: an epoch is a permutation, a seed fixes it, a resumed loader gives the very next batches."""

import gc
import sys
import threading

import ml_dtypes
import numpy as np
import pytest

from artifex.core.errors import DataError, InvalidInputError, RunError
from artifex.training import ArrayLoader, BucketLoader, GrainLoader
from artifex.training.loaders import as_loader, batch_shapes

N = 23
ARRAYS = {"x": np.arange(N * 6, dtype=np.uint8).reshape(N, 2, 3), "label": np.arange(N)}


class Source:
    """The same examples, one at a time."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        return {key: value[i] for key, value in ARRAYS.items()}


def array_loader(**options):
    return ArrayLoader(ARRAYS, **({"batch_size": 5, "seed": 3} | options))


def grain_loader(**options):
    return GrainLoader(Source(), **({"batch_size": 5, "seed": 3} | options))


both = pytest.mark.parametrize("make", [array_loader, grain_loader])


def labels(loader, n):
    return [next(loader)["label"].tolist() for _ in range(n)]


@both
def test_an_epoch_is_a_permutation_without_the_odd_examples(make):
    loader = make()
    assert loader.steps_per_epoch == 4
    epochs = [[label for batch in labels(loader, 4) for label in batch] for _ in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 20
        assert set(epoch) <= set(range(N))
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != sorted(epochs[0])


@both
def test_every_example_is_met_and_rows_stay_together(make):
    loader, met = make(), set()
    for _ in range(40):
        batch = next(loader)
        np.testing.assert_array_equal(batch["x"], ARRAYS["x"][batch["label"]])
        met |= set(batch["label"].tolist())
    assert met == set(range(N))


@both
def test_the_seed_fixes_the_order(make):
    first, again, other = make(), make(), make(seed=4)
    expected = labels(first, 9)
    assert labels(again, 9) == expected
    assert labels(other, 9) != expected


def test_both_loaders_have_one_order():
    assert labels(array_loader(), 9) == labels(grain_loader(), 9)


@both
@pytest.mark.parametrize("done", [0, 3, 4, 9])
def test_a_restored_loader_goes_on_with_the_very_next_batch(make, done):
    loader = make()
    labels(loader, done)
    state = loader.state()
    expected = labels(loader, 6)
    fresh = make()
    labels(fresh, 2)
    fresh.restore(state)
    assert labels(fresh, 6) == expected
    loader.restore(state)
    assert labels(loader, 6) == expected


@both
def test_a_position_in_other_data_is_refused(make):
    state = make().state()
    for options, what in [({"seed": 4}, "seed was 3 and is 4"), ({"batch_size": 4}, "batch size was 5 and is 4")]:
        with pytest.raises(RunError, match=what):
            make(**options).restore(state)
    with pytest.raises(RunError, match="number of examples was 23 and is 6"):
        ArrayLoader({"x": np.zeros(6)}, batch_size=5, seed=3).restore(state)


@both
def test_one_pass_is_everything_once_in_order_and_leaves_the_position_alone(make):
    loader = make()
    next(loader)
    state = loader.state()
    batches = list(loader.one_pass())
    assert [len(batch["x"]) for batch in batches] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate([batch["x"] for batch in batches]), ARRAYS["x"])
    assert loader.state() == state
    assert len(list(loader.one_pass())) == 5


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float16, np.float64, ml_dtypes.bfloat16, np.complex64])
def test_any_dtype_is_handed_on(dtype):
    x = (np.arange(12) % 2).reshape(6, 2).astype(dtype)
    for loader in (ArrayLoader({"x": x}, batch_size=2, seed=0), GrainLoader([{"x": row} for row in x], batch_size=2, seed=0)):
        assert next(loader)["x"].dtype == dtype


def test_a_batch_is_a_copy():
    array = np.zeros((4, 2))
    next(ArrayLoader({"x": array}, batch_size=4, seed=0))["x"][:] = 1
    assert not array.any()


def test_a_source_may_read_many_at_once():
    asked = []

    class Many(Source):
        def __getitems__(self, indices):
            asked.append(len(indices))
            return [self[i] for i in indices]

    assert labels(GrainLoader(Many(), batch_size=5, seed=3), 3) == labels(array_loader(), 3)
    assert set(asked) == {5}


def test_what_a_source_raises_arrives():
    class Broken(Source):
        def __getitem__(self, i):
            if i == 7:
                raise DataError("example 7 cannot be read")
            return super().__getitem__(i)

    with pytest.raises(DataError, match="example 7 cannot be read") as caught:
        labels(GrainLoader(Broken(), batch_size=5, seed=0), 5)
    assert str(caught.value) == "example 7 cannot be read"  # what grain has to say about it is in a note


def test_examples_that_differ_are_named():
    source = [{"x": np.zeros(3)}, {"x": np.zeros(3)}, {"x": np.zeros(2)}]
    with pytest.raises(DataError, match=r"same keys and shapes; example \d has {'x': \(\d,\)}; example \d has {'x': \(\d,\)}"):
        next(GrainLoader(source, batch_size=3, seed=0))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(3)}, "no array 'x'.*they have y"),
        ({}, "no array 'x'.*nothing"),
        ({"x": np.zeros(3), "label": np.zeros(4)}, "share their leading axis.*'x': .3,.*'label': .4,"),
        ({"x": np.zeros([])}, "share their leading axis"),
    ],
)
def test_arrays_that_cannot_serve(arrays, message):
    with pytest.raises(DataError, match=message):
        ArrayLoader(arrays, batch_size=1, seed=0)


def test_a_source_without_x():
    with pytest.raises(DataError, match=r"no array 'x'.*they have y"):
        GrainLoader([{"y": np.zeros(3)}], batch_size=1, seed=0)


@both
@pytest.mark.parametrize("batch_size", [0, N + 1])
def test_a_batch_size_that_cannot_be_filled(make, batch_size):
    with pytest.raises(InvalidInputError, match=f"batch_size is {batch_size}.*23 examples; choose 1 to 23"):
        make(batch_size=batch_size)


def test_data_without_examples():
    with pytest.raises(DataError, match="no examples"):
        ArrayLoader({"x": np.zeros((0, 3))}, batch_size=1, seed=0)


def test_what_as_loader_makes():
    loader = array_loader()
    assert as_loader(loader, batch_size=9, seed=9) is loader
    assert isinstance(as_loader(ARRAYS, batch_size=5, seed=0), ArrayLoader)
    assert isinstance(as_loader(Source(), batch_size=5, seed=0), GrainLoader)
    only = as_loader(ARRAYS["x"], batch_size=5, seed=0)
    assert list(next(only)) == ["x"]


def test_threads_are_quiet_when_a_loader_is_dropped(monkeypatch):
    complaints = []
    monkeypatch.setattr(threading, "excepthook", complaints.append)
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    loader = grain_loader()
    next(loader)
    next(iter(loader.one_pass()))
    del loader
    gc.collect()
    assert complaints == []


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1])
def test_an_integer_that_would_wrap_is_refused_with_key_row_and_value(value):
    label = np.zeros(N, np.int64)
    label[17] = value
    with pytest.raises(DataError, match=f"'label' of example 17 holds {value}"):
        ArrayLoader(ARRAYS | {"label": label}, batch_size=5, seed=0)
    examples = [{"x": ARRAYS["x"][i], "label": label[i]} for i in range(N)]
    with pytest.raises(DataError, match=f"'label' of example 17 holds {value}"):
        list(GrainLoader(examples, batch_size=5, seed=0).one_pass())


def test_shapes_are_learnt_from_one_example():
    class Counting(Source):
        read = 0

        def __getitem__(self, i):
            self.read += 1
            return super().__getitem__(i)

    loader = GrainLoader(source := Counting(), batch_size=5, seed=0)
    before = source.read
    assert {key: value.shape for key, value in batch_shapes(loader).items()} == {"x": (5, 2, 3), "label": (5,)}
    assert source.read == before + 1


def padded(lengths: list[int], most: int = 6) -> dict[str, np.ndarray]:
    """Sets of so many points, their buckets 2, 4 and 6; ``x`` tells which example it is of."""
    mask = np.arange(most)[None] < np.array(lengths)[:, None]
    x = np.where(mask, np.arange(len(lengths))[:, None], -1)[..., None]
    bucket = np.ceil(np.array(lengths) / 2).astype(np.int32) * 2
    return {"x": x, "mask": mask, "label": np.arange(len(lengths), dtype=np.int32), "bucket": bucket}


LENGTHS = [1, 2, 2, 1, 2, 3, 4, 4, 3, 3, 6, 5, 6]


def test_batches_are_of_one_bucket_and_cut_to_it():
    loader = as_loader(padded(LENGTHS), batch_size=2, seed=0)
    assert isinstance(loader, BucketLoader)
    assert loader.steps_per_epoch == 2 + 2 + 1
    epoch = [next(loader) for _ in range(loader.steps_per_epoch)]
    assert sorted(batch["x"].shape[1] for batch in epoch) == [2, 2, 4, 4, 6]
    for batch in epoch:
        assert batch.keys() == {"x", "mask", "label"}
        assert batch["mask"].shape == batch["x"].shape[:2]
        assert batch["label"].shape == (2,)
        longest = batch["mask"].sum(axis=1)
        assert np.all((longest > batch["x"].shape[1] - 2) & (longest <= batch["x"].shape[1]))
        np.testing.assert_array_equal(batch["x"][:, 0, 0], batch["label"])
    seen = np.concatenate([batch["label"] for batch in epoch])
    assert len(set(seen)) == len(seen)  # none twice in an epoch


def test_one_pass_over_buckets_has_every_example_once():
    parts = list(as_loader(padded(LENGTHS), batch_size=2, seed=0).one_pass())
    assert sorted(np.concatenate([part["label"] for part in parts])) == list(range(len(LENGTHS)))
    assert parts[0]["x"].shape[1] == 6  # the longest first, which tells what memory a step takes


def test_a_bucket_that_fills_no_batch_goes_with_the_next():
    loader = as_loader(padded([1, 3, 3, 4, 6]), batch_size=2, seed=0)
    assert {part["x"].shape[1] for part in loader.one_pass()} == {6}
    lone = as_loader(padded([1, 3, 4, 4, 6, 6]), batch_size=2, seed=0)
    assert sorted(part["x"].shape[1] for part in lone.one_pass()) == [4, 4, 6]


def test_bucketed_batches_go_on_where_they_were():
    loader = as_loader(padded(LENGTHS), batch_size=2, seed=0)
    for _ in range(7):
        next(loader)
    state, wanted = loader.state(), [next(loader) for _ in range(6)]
    other = as_loader(padded(LENGTHS), batch_size=2, seed=0)
    other.restore(state)
    for batch in wanted:
        np.testing.assert_array_equal(next(other)["label"], batch["label"])


def test_buckets_need_a_mask_that_fits():
    with pytest.raises(DataError, match="need a mask"):
        as_loader({"x": np.zeros((3, 2)), "bucket": np.array([1, 2, 2])}, batch_size=1, seed=0)
    wrong = padded([5, 2])
    wrong["bucket"][0] = 4
    with pytest.raises(DataError, match="example 0 is longer than its bucket, 4: its mask has 5"):
        as_loader(wrong, batch_size=1, seed=0)
