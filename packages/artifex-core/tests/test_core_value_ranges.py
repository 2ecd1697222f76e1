"""Values that a model takes: what is padding is not looked at, and the message names what was seen of the rest."""

from __future__ import annotations

import numpy as np
import pytest

from artifex.core.errors import DataError
from artifex.core.value_ranges import Columns, Interval, check_values

MASK = np.array([[True, True, False], [True, False, False]])


@pytest.mark.parametrize(("allowed", "padding"), [(range(5), -100), (Interval(0.0, 4.0), np.nan)])
def test_padding_may_hold_anything(allowed, padding):
    x = np.where(MASK, np.array([[0, 4, 1], [3, 1, 1]]), padding)
    check_values({"x": x, "mask": MASK}, {"x": allowed}, "it")
    x[1, 0] = 5
    with pytest.raises(DataError, match=r"'x' of row 1 holds 5.*, but it takes .* to 4"):
        check_values({"x": x, "mask": MASK}, {"x": allowed}, "it")


def test_the_fix_is_of_what_counts():
    """Tokens from 1 to 4 for a vocabulary of four; the padding's -100 is no reason to speak of rows that go from -100."""
    x = np.array([[1, 4, -100], [2, -100, -100]])
    with pytest.raises(DataError, match="they are numbered from 1; write x - 1"):
        check_values({"x": x, "mask": MASK}, {"x": range(4)}, "it")
    with pytest.raises(DataError, match="they go from -100 to 4"):
        check_values({"x": x}, {"x": range(4)}, "it")
    with pytest.raises(DataError, match="'label' of row 0 holds 9"):  # a mask is of x alone
        check_values({"label": np.array([[9]]), "mask": np.array([[False]])}, {"label": range(4)}, "it")


def test_types_are_one_hot_and_whole_numbers_whole():
    """Sets of a coordinate, two types and a charge: what stands in padded rows is not looked at."""
    wanted = {"x": Columns(one_hot=range(1, 3), whole=range(3, 4))}
    x = np.array([[[0.3, 1, 0, 6], [0.7, 0, 1, 8]], [[-0.2, 0, 1, 8], [np.nan, 7, 7, 0.5]]])
    mask = np.array([[True, True], [True, False]])
    check_values({"x": x, "mask": mask}, wanted, "it")
    for types in ((0, 0), (1, 1), (7, 0), (0.5, 0.5), (np.nan, 1), (-1, 1)):
        broken = x.copy()
        broken[1, 0, 1:3] = types
        said = r"'x' of row 1 holds \(.*\) in columns 1 to 2 of point 0, and 1 point is like that, but it takes there one 1"
        with pytest.raises(DataError, match=said):
            check_values({"x": broken, "mask": mask}, wanted, "it")
    broken = x.copy()
    broken[0, :, 3] = 6.5
    with pytest.raises(DataError, match=r"row 9 holds \(6.5\) in columns 3 to 3 of point 0, and 2 points are .* round them"):
        check_values({"x": broken, "mask": mask}, wanted, "it", rows=[9, 4])
    with pytest.raises(DataError, match=r"holds \(0, 0\) .*if there is no point, give a 'mask' that is False there"):
        check_values({"x": np.zeros((1, 2, 4))}, wanted, "it")
