"""Names of splits: as people spell them, and what is said of one that there is not."""

from __future__ import annotations

import pytest

from artifex.core.errors import InvalidInputError
from artifex.core.splits import SPELLINGS, ordered, require_split, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("TRAIN", "train"),
        ("training_set", "train"),
        ("trn-data", "train"),
        ("Dev", "validation"),
        ("valid split", "validation"),
        ("evaluation", "test"),
        ("heldout", "test"),
        ("latest", None),
        ("trainer", None),
        ("my_train", None),
        ("", None),
    ],
)
def test_spellings(name: str, split: str | None) -> None:
    assert split_of(name) == split_of(name, numbered=True) == split


@pytest.mark.parametrize("name", ["train2017", "train_01", "Train set 3", "train-2"])
def test_numbers_count_where_they_are_asked_for(name: str) -> None:
    assert split_of(name) is None
    assert split_of(name, numbered=True) == "train"


def test_no_spelling_is_of_two_splits() -> None:
    spellings = [spelling for many in SPELLINGS.values() for spelling in many]
    assert len(set(spellings)) == len(spellings)
    assert all(split in many for split, many in SPELLINGS.items())


@pytest.mark.parametrize(("asked", "hint"), [("tset", "test"), ("holdout", "test"), ("dev", None), ("xyz", None)])
def test_what_is_advised_is_there(asked: str, hint: str | None) -> None:
    splits = ("train", "test")
    require_split("test", splits, "digits")
    with pytest.raises(InvalidInputError, match=f"digits has no split '{asked}'; its splits are train, test") as raised:
        require_split(asked, splits, "digits")
    said = str(raised.value)
    assert ("did you mean" in said) == (hint is not None)
    if hint:
        assert said.endswith(f"did you mean {hint!r}?")
        require_split(hint, splits, "digits")


def test_none_at_all() -> None:
    with pytest.raises(InvalidInputError, match=r"its splits are none$"):
        require_split("train", (), "digits")
    assert ordered([]) == ()


def test_the_order_of_splits() -> None:
    assert ordered(["b", "test", "a", "train"]) == ("train", "test", "a", "b")
