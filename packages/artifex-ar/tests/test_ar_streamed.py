"""Registered metrics are the functions of their names, over batches; padding does not count."""

import numpy as np
from numpy.testing import assert_allclose

from artifex.ar import metrics, streamed

RNG = np.random.default_rng(0)
LOG_PROB, X = RNG.normal(-20, 3, size=12), RNG.integers(0, 9, (12, 5))


def test_over_batches():
    metric = streamed.bits_per_element
    parts = [metric.statistics({"log_prob": LOG_PROB[i], "references": X[i]}) for i in (slice(0, 5), slice(5, 12))]
    found = metric.finalize(np.concatenate(parts).sum(axis=0))
    assert_allclose(found, metrics.bits_per_element(LOG_PROB, X), rtol=1e-5)


def test_padding_does_not_count():
    mask = np.arange(5)[None] < RNG.integers(1, 6, (12, 1))
    rows = streamed.bits_per_element.statistics({"log_prob": LOG_PROB, "references": X, "mask": mask})
    expected = metrics.bits_per_element(LOG_PROB, X, mask=mask)
    assert_allclose(streamed.bits_per_element.finalize(rows.sum(axis=0)), expected, rtol=1e-5)
    wide = np.zeros((12, 5, 3))
    rows = streamed.bits_per_element.statistics({"log_prob": LOG_PROB, "references": wide, "mask": mask})
    expected = metrics.bits_per_element(LOG_PROB, wide, mask=mask)
    assert_allclose(streamed.bits_per_element.finalize(rows.sum(axis=0)), expected, rtol=1e-5)
