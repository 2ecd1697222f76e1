"""What a trainer is given: each fault is found before the first step, and one message names key, row, value and the fix."""

import re
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import ArtifexError, DataError, InvalidInputError, InvalidTypeError
from artifex.core.protocols import DeclaresValues
from artifex.core.value_ranges import Columns, Interval, check_values
from artifex.training import Objective, Trainer, TrainerConfig

N = 600


class Classes(nnx.Module):
    """A mean for each of ten classes, of data in [0, 1]."""

    def __init__(self):
        self.means = nnx.Param(jnp.zeros((10, 3)))

    def __call__(self, x, *, label=None, rngs=None):
        label = jnp.zeros(len(x), jnp.int32) if label is None else label
        return {"error": x - self.means[...].at[label].get(mode="fill", fill_value=jnp.nan)}

    def generate(self, n_samples=1, *, rngs=None):
        return self.means[...][jnp.arange(n_samples) % 10]

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["error"] ** 2)}

    def value_ranges(self, batch):
        return {"x": Interval(0.0, 1.0, slack=0.01), "label": range(10)}


class Means(nnx.Module):
    """A mean, of any data and with gaps."""

    def __init__(self):
        self.mean = nnx.Param(jnp.zeros(3))

    def __call__(self, x, *, mask=None, rngs=None):
        error = x - self.mean[None]
        return {"error": error if mask is None else jnp.where(mask, error, 0.0)}

    def generate(self, n_samples=1, *, rngs=None):
        return jnp.tile(self.mean[None], (n_samples, 1))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["error"] ** 2)}


def trainer(model=None, **options):
    return Trainer(Classes() if model is None else model, TrainerConfig(steps=2, batch_size=4), seed=0, **options)


def arrays(**changes):
    rng = np.random.default_rng(0)
    return {"x": rng.random((N, 3)).astype(np.float32), "label": rng.integers(10, size=N).astype(np.int32)} | changes


def with_value(key, row, value, dtype=None):
    data = arrays()
    data[key] = data[key].astype(dtype or data[key].dtype)
    data[key][row] = value
    return data


def examples(data):
    """The same, read one by one."""
    return [{key: value[i] for key, value in data.items()} for i in range(N)]


def refused(fit, *arguments):
    with pytest.raises(ArtifexError) as caught:
        fit(*arguments)
    return str(caught.value)


def test_a_model_says_which_values_it_takes():
    assert isinstance(Classes(), DeclaresValues)
    assert not isinstance(Means(), DeclaresValues)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_value("label", 500, 10), "of row 500 holds 10, but Classes takes whole numbers from 0 to 9: mend .* 11 classes"),
        (with_value("label", 500, 255, np.uint8), "'label' of row 500 holds 255, but Classes takes"),
        (with_value("label", 7, -1), "'label' of row 7 holds -1, .*they go from -1 to 9; leave such rows out"),
        (arrays(label=np.arange(N) % 10 + 1), r"'label' of row 9 holds 10, .*they are numbered from 1; write label - 1"),
        (arrays(label=(np.arange(N) % 10).astype(np.float32)), r"'label' is float32 of.*label.astype\(np.int32\)"),
        (arrays(label=np.arange(N) % 2 == 0), r"'label' is bool .*label.astype\(np.int32\)"),
        (arrays(label=np.eye(10, dtype=np.float32)[np.arange(N) % 10]), r"label.argmax\(axis=1\)"),
        (arrays(label=np.linspace(0, 9, N)), "round them, or choose a model that is conditioned on real numbers"),
        (arrays(label=[f"class {i % 3}" for i in range(N)]), r"'label' holds text, 'class 0'.*np.unique\(label, return_inv"),
        (with_value("x", 400, 200.0), r"of row 400 holds 200, .* from 0 to 1: .* to 200; write x.astype\(np.float32\) / 255"),
        (arrays(x=np.full((N, 3), 255, np.uint8)), r"'x' of row 0 holds 255, .*x.astype\(np.float32\) / 255"),
        (with_value("x", 3, -0.5), r"'x' of row 3 holds -0.5, .*write \(x \+ 1\) / 2"),
        (with_value("x", 599, np.nan), "'x' of row 599 holds nan, and 1 row is not finite in all: mend such rows"),
        (with_value("x", slice(20, 23), -np.inf), "'x' of row 20 holds -inf, and 3 rows are not finite in all"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_to_the_model_are_found_before_the_first_step(data, message):
    made = trainer()
    means = np.array(made.model.means[...])
    said = refused(made.fit, data)
    assert re.search(message, said), said
    assert made.step == 0
    np.testing.assert_array_equal(made.model.means[...], means)
    if "[" not in said:  # the whole, and not what a library says
        assert len(said) < 250


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_value("label", 500, 10), "'label' of row 500 holds 10, but Classes takes whole numbers from 0 to 9"),
        (with_value("x", 400, 200.0), "'x' of row 400 holds 200, but Classes takes numbers from 0 to 1"),
        (with_value("x", 599, np.nan), "'x' of row 599 holds nan"),
    ],
)
def test_what_is_read_singly_is_looked_at_as_it_is_read_and_named_by_its_own_row(data, message):
    made = Trainer(Classes(), TrainerConfig(epochs=1, batch_size=4, log_every=1000), seed=0)
    assert refused(made.fit, examples(data)).startswith(message)
    assert made.step < N // 4


def test_the_first_of_what_is_read_singly_are_looked_at_before_anything_is_compiled(monkeypatch):
    monkeypatch.setattr(Trainer, "_new_plan", lambda *_: pytest.fail("compiled before the data were looked at"))
    assert "row 3 holds 10" in refused(trainer().fit, examples(with_value("label", 3, 10)))


def test_a_modality_names_the_row_of_what_is_read_singly():
    class Unit:
        shape = (3,)

        def prepare(self, batch, *, rngs, train):
            return batch

        def check(self, arrays, *, first_row=0):
            if bad := [i for i, x in enumerate(arrays["x"]) if x.max() > 1]:
                raise InvalidInputError(f"x[{first_row + bad[0]}] is too large")

        def save_samples(self, samples, stem): ...

    made = Trainer(Means(), TrainerConfig(epochs=1, batch_size=4, log_every=1000), seed=0, modality=Unit())
    assert refused(made.fit, examples(with_value("x", 400, 200.0))) == "x[400] is too large"
    assert refused(trainer(modality=Unit()).fit, with_value("x", 400, 200.0)) == "x[400] is too large"
    assert "'label' of row 9 holds 10" in refused(trainer(modality=Unit()).fit, with_value("label", 9, 10))


def test_what_a_modality_prepares_for_another_model_is_found_out():
    class Symmetric:
        shape = (3,)

        def prepare(self, batch, *, rngs, train):
            return {**batch, "x": batch["x"] * 2 - 1}

        def save_samples(self, samples, stem): ...

    said = refused(trainer(modality=Symmetric()).fit, arrays())
    assert said.startswith("as Symmetric prepares it, 'x' of row 0 holds -")
    assert "but Classes takes numbers from 0 to 1" in said
    trainer(Means(), modality=Symmetric()).fit({"x": arrays()["x"]})


def test_types_of_masked_sets_are_looked_at_as_stored_and_as_a_modality_prepares_them():
    class Types(Means):
        """Sets of two types."""

        def __call__(self, x, *, mask=None, rngs=None):
            return {"error": jnp.where(mask[..., None], x - self.mean[None, None, :2], 0.0)}

        def value_ranges(self, batch):
            return {"x": Columns(one_hot=range(2))}

    class Shaken:
        shape = (4, 2)

        def __init__(self, by):
            self.by = by

        def prepare(self, batch, *, rngs, train):
            return {**batch, "x": jnp.where(batch["mask"][..., None], batch["x"] + self.by, 0.0)}

        def save_samples(self, samples, stem): ...

    x, mask = np.eye(2, dtype=np.float32)[np.arange(4 * N).reshape(N, 4) % 2], np.arange(4) < np.full((N, 1), 3)
    padded = {"x": np.where(mask[..., None], x, np.nan), "mask": mask}
    trainer(Types()).fit(padded)
    trainer(Types(), modality=Shaken(0.0)).fit(padded)
    said = refused(trainer(Types(), modality=Shaken(0.5)).fit, padded)
    assert said.startswith("as Shaken prepares it, 'x' of row 0 holds (1.5, 0.5) in columns 0 to 1 of point 0")
    padded["x"][7, 2] = 0
    assert "'x' of row 7 holds (0, 0) in columns 0 to 1 of point 2" in refused(trainer(Types()).fit, padded)


def test_held_out_data_are_looked_at_too_and_called_so():
    made = trainer()
    said = refused(made.fit, arrays(), with_value("label", 500, 10))
    assert said.startswith("held-out data: 'label' of row 500 holds 10")
    assert made.step == 0
    assert refused(made.evaluate, with_value("x", 5, np.inf)).startswith("held-out data: 'x' of row 5 holds inf")


def test_gaps_that_a_mask_covers_may_hold_anything():
    x = arrays()["x"]
    gaps = np.zeros_like(x, bool)
    gaps[::5, 1] = True
    trainer(Means()).fit({"x": np.where(gaps, np.nan, x), "mask": ~gaps})
    gaps[7, 0] = True
    assert "'x' of row 7 holds nan" in refused(
        trainer(Means()).fit, {"x": np.where(gaps, np.nan, x), "mask": ~gaps | (np.arange(N) == 7)[:, None]}
    )
    rows = np.arange(N) != 7  # a mask of whole examples
    check = {"x": np.where(rows[:, None], x, 9.0), "mask": rows}
    check_values(check, {"x": Interval(0.0, 1.0)}, "it")
    with pytest.raises(DataError, match="row 7 holds 9"):
        check_values({"x": check["x"]}, {"x": Interval(0.0, 1.0)}, "it")


def test_rounding_and_whatever_else_fits_pass():
    trainer().fit(arrays(label=(np.arange(N) % 10).astype(np.uint8), x=np.full((N, 3), 1.009)))
    trainer().fit({"x": arrays()["x"]})  # no classes
    trainer(Means()).fit({"x": with_value("x", 3, 1e6)["x"]})  # a model that takes anything
    loss = lambda model, batch, rngs, step: {"loss": jnp.mean((batch["x"] - model.means[...][:1]) ** 2)}  # noqa: E731
    trainer(objectives=[Objective(loss)]).fit(arrays(x=np.full((N, 3), -5.0)))  # nor is this the model's own


X, Y = arrays()["x"], arrays()["label"]
RAGGED = [np.zeros(i % 3 + 1, np.float32) for i in range(6)]


class Tensor:
    """As PyTorch's, one that has a gradient."""

    shape, dtype = (6, 3), "torch.float32"

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")

    def __len__(self):
        return 6


class Frame:
    """As pandas has it."""

    shape = (6, 3)

    def to_numpy(self, dtype): ...

    def __len__(self):
        return 6


def objects(*items):
    made = np.empty(len(items), object)
    made[:] = items
    return made


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, Y), r"got a tuple of 2 \(ndarray, ndarray\): write \{\"x\": data\[0\], \"label\": data\[1\]\}"),
        ((X,), r"write \{\"x\": data\[0\]\}"),
        (list(X), r"got a list of 600 .*first example is ndarray of shape \(3,\): write \{\"x\": np.stack\(data\)\}"),
        (list(zip(X, Y, strict=True)), r"np.stack\(\[np.asarray\(example\[0\]\) for .*\"label\": np.array\(\[example\[1\]"),
        ([[x, y] for x, y in zip(X, Y, strict=True)], r"example\[0\].*example\[1\]"),
        ([0.5] * 6, r"got a list of 6 \(float, float, float, ...\).*write \{\"x\": np.asarray\(data, np.float32\)\}"),
        (X.tolist(), r"write \{\"x\": np.asarray\(data, np.float32\)\}"),
        (["a.png", "b.png"], "whose first example is a str"),
        ("digits.npz", "got a str: read the file first"),
        (None, "got None"),
        (7, "got an int"),
        ((x for x in X), r"got a generator: read all of it first, for example np.stack\(list\(data\)\)"),
        ({1, 2}, "got a set"),
        (SimpleNamespace(x=X), "got a SimpleNamespace"),
        (Frame(), r"got a Frame: write data.to_numpy\(np.float32\)"),
        ({0: X, 1: Y}, r"one is called 0 \(int\); write \{\"x\": data\[0\], \"label\": data\[1\]\}"),
        ({b"data": X, b"labels": Y}, r"write \{\"x\": data\[b'data'\], \"label\": data\[b'labels'\]\}"),
        ({"images": X, "targets": Y}, r"they have images, targets; write .*data\['images'\], \"label\": data\['targets'\]\}"),
        ({"x_train": X, "x_test": X}, r"write \{\"x\": data\['x_train'\]\}"),
        ({}, "they have nothing"),
        ([{"image": x} for x in X], r"they have image; write \{\"x\": data\['image'\]\}"),
        ({"x": RAGGED}, "'x' holds examples of several shapes; cut or pad them to one"),
        ({"x": objects(*RAGGED)}, r"'x' is an array of 6 separate arrays of shape \(1,\), \(2,\), \(3,\); cut or pad"),
        ({"x": objects(*X[:6])}, r"shape \(3,\); write np.stack\(list\(x\)\)"),
        ({"x": X.astype(object)}, r"'x' is an array of Python objects; write x.astype\(np.float32\)"),
        ({"x": [None] * 6}, "'x' holds None, and models take numbers"),
        ({"x": {"image": X}}, "'x' holds objects of the type dict"),
        ({"x": X, "label": Y.astype(str)}, r"write names, label = np.unique\(label, return_inverse=True\)"),
        ({"x": X, "label": Y.astype("S3")}, r"'label' holds bytes, b'"),
        ({"x": Y.astype("datetime64[D]")}, r"'x' holds dates.*np.timedelta64\(1, 'D'\)"),
        ({"x": np.zeros(6, [("a", "f4"), ("b", "f4")])}, "structured array with the fields a, b"),
        ({"x": np.ma.masked_less(X, 0.5)}, r"write \{\"x\": x.filled\(0\), \"mask\": ~np.ma.getmaskarray\(x\)\}"),
        ({"x": X, "label": 3}, "share their leading axis"),
        ({"x": X, "label": Y[:-1]}, "share their leading axis"),
        ({"x": Tensor()}, r"'x' cannot be read as an array .*write x.detach\(\).cpu\(\).numpy\(\)"),
        (Tensor(), r"write x.detach\(\)"),
        ([{"x": x, "label": "cat"} for x in X], r"'label' holds text in row 0, 'cat'.*names = sorted\("),
        ([{"x": x} for x in RAGGED], r"the same keys and shapes; example 3 has .*; example 4 has"),
        ([], "hold no examples"),
    ],
)  # fmt: skip
def test_containers_and_types_that_cannot_serve_show_the_line_to_write(data, message):
    """On all three ways in."""
    for fit in (trainer(Means()).fit, trainer(Means()).evaluate):
        said = refused(fit, data) if not hasattr(data, "send") else refused(fit, (x for x in X))
        assert re.search(message, said), said


def test_the_lines_that_are_shown_work():
    names, label = np.unique(np.array(["b", "a", "b"]), return_inverse=True)
    assert (names[label] == ["b", "a", "b"]).all()
    pairs = list(zip(X, Y, strict=True))
    data = {"x": np.stack([np.asarray(example[0]) for example in pairs]), "label": np.array([example[1] for example in pairs])}
    trainer().fit(data)
    masked = np.ma.masked_less(X, 0.5)
    trainer(Means()).fit({"x": masked.filled(0), "mask": ~np.ma.getmaskarray(masked)})
    days = Y.astype("datetime64[D]")
    assert ((days - days.min()) / np.timedelta64(1, "D")).dtype == np.float64


def test_what_has_always_served_still_does():
    arrays = (X, jnp.asarray(X), {"x": X.tolist()}, {"x": list(X)}, {"x": np.ma.array(X)})
    for data in (*arrays, [{"x": x} for x in X], ({"x": X[0]},) * 8):
        trainer(Means()).fit(data)


def test_a_type_that_cannot_serve_is_a_type_error_and_data_that_cannot_a_value_error():
    assert issubclass(InvalidTypeError, TypeError)
    with pytest.raises(TypeError):
        trainer().fit((X, Y))
    with pytest.raises(ValueError, match=r"np\.stack"):
        trainer().fit(list(X))
