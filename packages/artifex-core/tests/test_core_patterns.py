"""Patterns of dotted names, against the names that each is meant to point at."""

import pytest

from artifex.core.errors import InvalidInputError
from artifex.core.patterns import covered, covers, matches, renamed

NAMES = ["encoder.layers.0.kernel", "encoder.layers.0.bias", "encoder.layers.1.kernel", "encoder2.kernel", "bias"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("encoder", NAMES[:3]),
        ("encoder.*", NAMES[:3]),
        ("encoder*", NAMES[:4]),
        ("encoder.layers.1", NAMES[2:3]),
        ("encoder.layers.*.bias", NAMES[1:2]),
        ("**.bias", [NAMES[1], "bias"]),  # two stars may stand for no name at all
        ("**.kernel", [NAMES[0], NAMES[2], NAMES[3]]),
        ("encoder.**.kernel", [NAMES[0], NAMES[2]]),
        ("*.bias", []),
        ("**", NAMES),
        ("*", NAMES),
        ("encoder.laye", []),
        ("encoder.layers.?", []),  # only stars are special
    ],
)
def test_what_a_pattern_covers(pattern, expected):
    assert [name for name in NAMES if covers(pattern, name)] == expected


def test_a_pattern_that_matches_names_all_of_the_name():
    assert matches("encoder.layers.*", "encoder.layers.0")
    assert not matches("encoder.layers.*", "encoder.layers.0.bias")
    assert not matches("encoder.layers.*", "encoder.layers")
    assert not matches("a.b", "axb")


def test_several_patterns_keep_the_order_of_the_names():
    assert covered(["bias", "encoder.layers.0"], NAMES, what="groups") == [NAMES[0], NAMES[1], "bias"]


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("encodr.layers.0", "did you mean 'encoder.layers.0'"),
        ("xyz", "there is encoder, encoder2, bias"),
    ],
)
def test_a_pattern_of_nothing_is_an_error_with_close_names(pattern, hint):
    with pytest.raises(InvalidInputError, match=f"groups: '{pattern}' names nothing; {hint}"):
        covered([pattern], NAMES, what="groups")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"encoder": "body"}, "body.layers.0.kernel"),
        ({"encoder.layers.*": "blocks.*.linear"}, "blocks.0.linear.kernel"),
        ({"**.kernel": "**.weight"}, "encoder.layers.0.weight"),
        ({"encoder.**": "**"}, "layers.0.kernel"),
        ({"**": "model.**"}, "model.encoder.layers.0.kernel"),
        ({"encoder.layers.0.kernel": "w", "encoder": "body"}, "w"),  # the first that covers it
        ({"decoder": "body"}, "encoder.layers.0.kernel"),
    ],
)
def test_names_are_changed_by_pattern(changes, expected):
    assert renamed("encoder.layers.0.kernel", changes)[0] == expected


@pytest.mark.parametrize(("old", "new"), [("layers.*", "blocks"), ("a.*.**", "b.**.*"), ("layer*", "block*")])
def test_old_and_new_names_have_the_same_stars(old, new):
    with pytest.raises(InvalidInputError, match="the same stars in the same order"):
        renamed("layers.0", {old: new})
