"""Registered metrics are the functions of their names, over batches."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from artifex.geometric import molecules, streamed


@pytest.mark.parametrize("name", ["stable_atoms", "stable_molecules"])
def test_shares_of_what_is_stable(name):
    """Methane with some hydrogens far away, and its corner cases: an empty place, and a sample without an atom."""
    hydrogens = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.09 / np.sqrt(3)
    x = np.zeros((6, 6, 8))
    x[:, 1:5, :3], x[:, 0, 4], x[:, 1:5, 3] = hydrogens, 1.0, 1.0
    x[1, 2, :3] += 9
    x[2, 1:3, :3] += 9
    x[5] = 0
    metric = getattr(streamed, name)
    rows = np.concatenate([metric.statistics({"samples": part}) for part in (x[:4], x[4:])])
    found = metric.finalize(rows.sum(axis=0))
    assert_allclose(found, getattr(molecules, name)(x))
    assert 0.4 < found < 1
