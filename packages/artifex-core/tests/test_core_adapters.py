"""The adapter that all modalities share, with a modality of lengths in cm that models are given in m, padded."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core import protocols
from artifex.core.adapters import AdaptedModel, ModalityAdapter
from artifex.core.errors import InvalidInputError, InvalidTypeError


class Lengths:
    """Rows of up to three lengths; stored in cm."""

    shape = (3,)

    def prepare(self, batch: Any, *, rngs: Any = None, train: bool) -> dict[str, Any]:
        assert rngs is None
        assert not train
        return {**batch, "x": jnp.asarray(batch["x"], jnp.float32) / 100}

    def save_samples(self, samples: Any, stem: Any) -> Any:
        raise NotImplementedError

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> list[list[float]]:
        mask = np.ones(x.shape, bool) if mask is None else mask
        return [[100 * float(v) for v in row[there]] for row, there in zip(x, mask, strict=True)]


class LengthsAdapter(ModalityAdapter[Lengths]):
    takes = Lengths

    def stored(self, data: Any) -> Any:
        if isinstance(data, dict):
            return data
        mask = np.arange(3) < np.array([len(row) for row in data])[:, None]
        return {"x": np.array([[*row, *[0] * (3 - len(row))] for row in data], float), "mask": mask}


class Doubling(nnx.Module):
    def __call__(self, x, *, mask=None, rngs=None, times=1):
        return {"total": times * jnp.sum(jnp.where(mask, x, 0))}

    def generate(self, n_samples=1, *, rngs=None, value=1.0):
        return jnp.full((n_samples, 3), value)

    def encode(self, x, *, mask=None):
        return jnp.where(mask, x, -1.0)

    def decode(self, z):
        return 2 * z

    def reconstruct(self, x, *, mask):
        return 2 * x

    def log_prob(self, x):
        return -x.sum(axis=1)

    def interpolate(self, x0, x1, n_steps, *, mask):
        t = jnp.linspace(0.0, 1.0, n_steps)[None, :, None]
        return (1 - t) * x0[:, None] + t * x1[:, None]


def test_every_method_takes_data_and_gives_data():
    adapter = LengthsAdapter(Lengths())
    assert isinstance(adapter, protocols.ModelAdapter)
    model = adapter.adapt_model(Doubling())
    assert type(model) is AdaptedModel
    assert float(model([[100, 200], [300]], times=2)["total"]) == 12.0
    assert model.generate(2, value=3.0) == [[300.0] * 3] * 2
    np.testing.assert_array_equal(model.encode([[100, 200]]), [[1, 2, -1]])
    assert model.decode(jnp.ones((1, 3))) == [[200.0] * 3]
    assert model.reconstruct([[100, 200], [300]]) == [[200.0, 400.0], [600.0]]  # as long as what was given
    assert model.log_prob([[100, 200, 300]]).tolist() == [-6.0]
    assert model.interpolate([[100, 0]], [[300, 0]], 3) == [[[100.0, 0, 0], [200.0, 0, 0], [300.0, 0, 0]]]


def test_padded_data_need_a_mask():
    model = LengthsAdapter(Lengths()).adapt_model(Doubling())
    with pytest.raises(InvalidInputError, match="Doubling takes no mask, and these examples are padded; give some of full"):
        model.log_prob([[100, 200]])
    with pytest.raises(InvalidInputError, match="differ in where they are masked"):
        model.interpolate([[100]], [[300, 200]], 3)
    assert model.log_prob({"x": np.array([[100.0, 0, 0]])}).tolist() == [-1.0]  # nothing says that it is padded


def test_a_model_has_what_it_had():
    class Plain(nnx.Module):
        def __call__(self, x, *, rngs=None):
            return {}

        def generate(self, n_samples=1, *, rngs=None):
            return jnp.zeros((n_samples, 3))

    inner = Plain()
    model = LengthsAdapter(Lengths()).adapt_model(inner)
    assert model.model is inner
    assert [n for n in ("encode", "decode", "reconstruct", "interpolate", "log_prob") if hasattr(model, n)] == []


def test_what_is_refused():
    with pytest.raises(InvalidTypeError, match="LengthsAdapter takes a Lengths, got int: 3"):
        LengthsAdapter(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="adapt_model takes a model with __call__ and generate, got int: 3"):
        LengthsAdapter(Lengths()).adapt_model(3)  # type: ignore[arg-type]
