"""Registered metrics are the functions of their names, over batches."""

import jax
import numpy as np
from flax import nnx
from numpy.testing import assert_allclose

from artifex.ebm import EBM, ConditionalEBM, ConditionalEBMConfig, EBMConfig, diagnostics, streamed


def figure(**batch):
    metric = streamed.energy_gap
    return metric.finalize(np.asarray(metric.statistics(batch)).sum(axis=0))


def test_energy_gap():
    x, y = jax.random.normal(jax.random.key(0), (2, 10, 2))
    model = EBM(EBMConfig(input_dim=2), rngs=nnx.Rngs(0))
    given = {"model": model, "samples": x, "references": y}
    assert_allclose(figure(**given), diagnostics.energy_gap(**given), rtol=1e-4, atol=1e-6)
    assert_allclose(figure(**given, condition=np.zeros(10, np.int32)), figure(**given))  # of which this model knows nothing


def test_energy_gap_under_conditions():
    x, y = jax.random.normal(jax.random.key(0), (2, 10, 2))
    model, classes = ConditionalEBM(ConditionalEBMConfig(input_dim=2, n_classes=3), rngs=nnx.Rngs(0)), np.arange(10) % 3
    expected = np.mean(model.energy(x, condition=classes) - model.energy(y, condition=classes))
    assert_allclose(figure(model=model, samples=x, references=y, condition=classes), expected, rtol=1e-4, atol=1e-6)
