"""YAML: what words mean, that what is written comes back, and that every mistake is told in one line."""

import math

import pytest
import yaml

from artifex.core.errors import InvalidInputError
from artifex.core.yamlio import dump_yaml, load_yaml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("010", 10),
        ("0100", 100),
        ("-010", -10),
        ("0o10", 8),
        ("0x1F", 31),
        ("089", 89),
        ("+5", 5),
        ("1:30", "1:30"),
        ("190:20:30.15", "190:20:30.15"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("2E5", 2e5),
        ("-.inf", -math.inf),
        (".INF", math.inf),
        ("true", True),
        ("FALSE", False),
        ("no", "no"),
        ("Off", "Off"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("2024-01-02", "2024-01-02"),
        ("2024-13-45", "2024-13-45"),
        ("2024-01-02 03:04:05", "2024-01-02 03:04:05"),
        ("=", "="),
        ("'010'", "010"),
        ("!!str 010", "010"),
    ],
)
def test_words_mean_what_the_core_rules_of_yaml_1_2_say(text, expected):
    loaded = load_yaml(text)
    assert (type(loaded), loaded) == (type(expected), expected)


def test_not_a_number_is_one():
    assert all(math.isnan(value) for value in load_yaml("[.nan, .NaN, .NAN]"))


WORDS = [
    *(
        "010",
        "0o10",
        "0x10",
        "1:30",
        "1e-3",
        "1.",
        ".5",
        ".inf",
        "-.INF",
        ".nan",
        "no",
        "yes",
        "on",
        "y",
        "true",
        "TRUE",
        "null",
    ),
    *(
        "~",
        "",
        " ",
        "2024-01-02",
        "2024-13-45",
        "=",
        "<<",
        "*a",
        "&a",
        "!x",
        "- a",
        "a: b",
        "a #b",
        "1_000",
        "0b1",
        "+5",
        "1\n",
    ),
    *("\t", "\x07", "\u2028", "naïve", "\U0001f600", "# no", "'", '"', "%", "@", "`", "{", "[", "---", "..."),
]


@pytest.mark.parametrize("read", [load_yaml, yaml.safe_load], ids=["ours", "yaml-1.1"])
def test_text_comes_back_as_text(read):
    data = {"list": WORDS, "keys": {word: word for word in WORDS}}
    assert read(dump_yaml(data)) == data


def test_values_come_back_as_what_they_were():
    values = [0, -7, 10**30, 0.1, 1e-5, 1e22, -1e300, 5e-324, math.inf, -math.inf, True, False, None, [], {}, [[1.0]]]
    loaded = load_yaml(dump_yaml(values))
    assert loaded == values
    assert [*map(type, loaded)] == [*map(type, values)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [1, *a]", "line 1, column 11: *a stands inside of itself"),
        ("&a b: *a\nc: &d\n  e: {f: *d}", "line 3, column 10: *d stands inside of itself"),
        ("a: *b", "line 1, column 4: found undefined alias 'b'"),
        ("a: 1\n'a': 2", "line 2, column 1: 'a' is given twice"),
        ("1: a\n0x1: b", "line 2, column 1: '0x1' is given twice"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x", "line 4, column 3: '<<' is given twice"),
        ("!!int many", "line 1, column 1: 'many' cannot be read as a whole number"),
        ("!!float much", "line 1, column 1: 'much' cannot be read as a number"),
        ("!!bool no", "line 1, column 1: 'no' is neither true nor false"),
        ("!!timestamp 2024-13-45", "could not determine a constructor for the tag 'tag:yaml.org,2002:timestamp'"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: " + "9" * 5000, "line 1, column 4: '999999999999999999999999999999...' cannot be read as a whole number"),
        ("a\n---\nb", "line 2, column 1: expected a single document in the stream but found another document"),
        ("[" * 5000, "it is nested too deeply"),
        ("a: \x00", "unacceptable character #x0000"),
        ("{[1]: 2}", "found unhashable key"),
    ],
)
def test_every_mistake_is_told_in_one_line(text, message):
    with pytest.raises(InvalidInputError) as caught:
        load_yaml(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_anchor_may_serve_often():
    assert load_yaml("a: &a [1]\nb: [*a, *a]\nc: &a 2\nd: *a") == {"a": [1], "b": [[1], [1]], "c": 2, "d": 2}
