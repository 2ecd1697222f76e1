"""Registered metrics are the functions of their names, over batches."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.testing import assert_allclose

from artifex.flow import MAF, MAFConfig, metrics, streamed


def test_negative_log_likelihood_and_inversion_error():
    model = MAF(MAFConfig(input_dim=3, num_transforms=2, hidden_dims=(8,)), rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (20, 3))
    log_prob = model.log_prob(x)
    total = np.asarray(streamed.negative_log_likelihood.statistics({"log_prob": log_prob})).sum(axis=0)
    assert_allclose(streamed.negative_log_likelihood.finalize(total), metrics.negative_log_likelihood(model, x), rtol=1e-5)
    metric = streamed.inversion_error
    states = [metric.state({"model": model, "references": part}) for part in (x[:15], x[15:])]
    assert_allclose(metric.finalize(metric.merge(*states)), metrics.inversion_error(model, x), atol=1e-6)
    assert jnp.isfinite(states[0])
