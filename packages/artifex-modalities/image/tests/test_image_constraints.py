"""Each fault is put into one image of a thousand sets, and is told of that image, at that place, and of no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from artifex.core.errors import InvalidInputError
from artifex.modalities.image import constraints
from artifex.modalities.image.constraints import ImageViolation, blank, grey_as_colour, not_finite, out_of_range, wrong_shapes
from artifex.modalities.image.datasets import Digits, DigitsConfig


def images(rng: np.random.Generator, channels: int = 3) -> np.ndarray:
    """Within the range, of three different channels, of many colours."""
    return rng.uniform(size=(4, 3, 5, channels)).astype(np.float32)


@pytest.mark.parametrize("rule", [not_finite, out_of_range])
def test_values_are_told_where_they_are(rule: Callable[..., list[ImageViolation]]) -> None:
    bad = (np.nan, np.inf, -np.inf) if rule is not_finite else (-0.5, 1.5, 300.0)
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        x = images(rng)
        assert rule(x) == []
        row, places = int(rng.integers(4)), rng.random((3, 5, 3)) < 0.2
        if not places.any():
            continue
        x[row][places] = rng.choice(bad, places.sum())
        (found,) = rule(x)
        first = tuple(int(axis[0]) for axis in np.nonzero(places))
        assert (found.image, found.place, found.share) == (row, first, places.mean())
        assert found.message.startswith(f"{x[row][first]:g} at row {first[0]}, column {first[1]}, channel {first[2]}, and ")


def test_images_that_are_blank_or_grey_are_told() -> None:
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        x = images(rng, 3 + seed % 2)
        assert blank(x) == grey_as_colour(x) == []
        flat, grey = rng.permutation(4)[:2]
        x[flat] = np.linspace(0.1, 0.9, x.shape[-1])
        x[grey, ..., :3] = x[grey, ..., :1]  # whatever its alpha is
        assert [found.image for found in blank(x)] == [flat]
        assert [found.image for found in grey_as_colour(x)] == [grey]
        x[flat, 0, 0] += 0.01
        x[grey, 0, 0, 0] += 0.01
        assert blank(x) == grey_as_colour(x) == []
        assert [found.image for found in blank(x, tolerance=0.02)] == [flat]
        assert [found.image for found in grey_as_colour(x, tolerance=0.02)] == [grey]


def test_bytes_are_not_subtracted_from_each_other() -> None:
    """255 - 0 in uint8 is 255, and 0 - 255 would be 1."""
    x = np.zeros((1, 2, 2, 3), np.uint8)
    x[0, 0, 0] = (255, 0, 254)
    assert blank(x, tolerance=200) == grey_as_colour(x, tolerance=200) == []
    assert out_of_range(x) == not_finite(x) == []
    assert out_of_range(x, high=254)[0].message == (
        "255 at row 0, column 0, channel 0, and 8.33 % of its values lie outside 0 to 254"
    )


def test_ends_belong_to_the_range_and_what_is_no_number_to_none() -> None:
    assert out_of_range([np.array([[0.0, 1.0]]), np.array([[0, 255]])]) == []
    assert out_of_range([np.array([[-1.0, 1.0]])], low=-1) == []
    assert out_of_range([np.array([[-1e-4, 1 + 1e-4]])], tolerance=1e-3) == []
    assert out_of_range([np.array([[np.nan, 0.5]])]) == []
    assert out_of_range([np.array([[np.inf, 0.5]])])[0].place == (0, 0, 0)


def test_images_of_another_shape() -> None:
    mixed = [np.zeros((4, 6)), np.zeros((4, 6, 1), np.uint8), np.zeros((4, 6, 3)), np.zeros((6, 4))]
    assert [found.image for found in wrong_shapes(mixed, 4, 6, 1)] == [2, 3]
    assert wrong_shapes(mixed, 4, 6, 1)[0].message == "it is 4 x 6 pixels with 3 channels, where 4 x 6 with 1 are wanted"


def test_a_data_set_keeps_every_rule() -> None:
    digits = Digits(DigitsConfig()).arrays("test")["x"]
    assert not_finite(digits) == out_of_range(digits) == blank(digits) == wrong_shapes(digits, 8, 8, 1) == []
    assert grey_as_colour(digits) == []  # of one channel


def test_no_images_break_no_rule() -> None:
    none = np.zeros((0, 3, 3, 1))
    assert not_finite(none) == out_of_range(none) == blank(none) == grey_as_colour(none) == wrong_shapes(none, 1, 1, 1) == []
    assert constraints.__all__ == sorted(constraints.__all__, key=lambda name: (name[0].islower(), name))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: blank([np.zeros(3)]), r"image 0 is float64 of shape \(3,\); numbers \(height, width, channels\)"),
        (lambda: not_finite(np.array([[["a"]]])), "image 0 is <U1"),
        (lambda: out_of_range(np.zeros((1, 2, 2)), low=1, high=0), "low is 1 and high 0; low has to be below high"),
        (lambda: blank(np.zeros((1, 2, 2)), tolerance=-1), "tolerance is -1; it has to be at least 0"),
    ],
)
def test_what_is_no_image(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()
