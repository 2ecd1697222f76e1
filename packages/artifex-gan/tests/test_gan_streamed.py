"""Registered metrics are the functions of their names, over batches."""

import numpy as np
from numpy.testing import assert_allclose

from artifex.gan import metrics, streamed


def test_relative_spread():
    rng = np.random.default_rng(0)
    samples, references = (rng.normal(size=(n, 4, 4, 1)).astype(np.float32) * s for n, s in ((30, 1.0), (50, 2.0)))
    metric, state = streamed.relative_spread, {}
    for name, whole in (("samples", samples), ("references", references)):
        for start in range(0, len(whole), 7):
            state = metric.merge(state, metric.state({name: whole[start : start + 7]}))
    assert_allclose(metric.finalize(state), metrics.relative_spread(samples, references), rtol=1e-5)
