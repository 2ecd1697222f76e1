"""Folders of pictures as people have them: spellings, wrappings, clutter, links, and what can be read in two ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from artifex.core.errors import DataError
from artifex.modalities.image.datasets import ImageFolder, ImageFolderConfig
from artifex.modalities.image.datasets.picture_layout import split_of


def laid_out(root: Path, *names: str) -> ImageFolder:
    """Files of these names; a name that ends in a slash is an empty folder."""
    root.mkdir(exist_ok=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            Image.new("RGB", (2, 2)).save(path, "PNG")
    return ImageFolder(ImageFolderConfig(folder=root, height=2, width=2))


def found(data: ImageFolder) -> dict[str, list[Any]]:
    """The pictures of each split, with their class if there are classes."""

    def named(split: str) -> list[Any]:
        source = data.source(split)
        files = [str(path.relative_to(data.config.folder)) for path in source.files]
        return files if source.labels is None else [(f, data.classes[i]) for f, i in zip(files, source.labels, strict=True)]

    return {split: named(split) for split in data.splits}


SPLITS = [
    ("Train", "TEST"),
    ("training", "testing"),
    ("train_set", "test-set"),
    ("TrainingSet", "Evaluation"),
    ("train2017", "eval2017"),
    ("x_train", "x_test"),
    ("train images", "holdout"),
]


@pytest.mark.parametrize(("train", "test"), SPLITS)
@pytest.mark.parametrize("wrapping", ["", "archive/", "archive/photos/"])
def test_test_pictures_are_not_trained_on_however_the_folders_are_called(
    tmp_path: Path, train: str, test: str, wrapping: str
) -> None:
    data = laid_out(tmp_path / "photos", f"{wrapping}{train}/cat/a.png", f"{wrapping}{test}/cat/b.png")
    assert found(data) == {"train": [(f"{wrapping}{train}/cat/a.png", "cat")], "test": [(f"{wrapping}{test}/cat/b.png", "cat")]}


@pytest.mark.parametrize("name", ["val", "Valid", "validation", "DEV", "val_set", "validating", "dev-data"])
def test_validation_has_many_names(tmp_path: Path, name: str) -> None:
    assert found(laid_out(tmp_path, "train/a.png", f"{name}/b.png")) == {
        "train": ["train/a.png"],
        "validation": [f"{name}/b.png"],
    }


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("latest", None),
        ("constraint", None),
        ("invalid", None),
        ("trainers", None),
        ("images", None),
        ("train_test", None),
        ("bullet_train", ("train", "bullet")),
        ("test_tube", ("test", "tube")),
        ("ｔｒａｉｎ", None),
        ("", None),
    ],
)
def test_names_that_are_no_splits_alone(name: str, split: tuple[str, str] | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # Kaggle's archives
        (
            ["seg_train/seg_train/sea/a.png", "seg_train/seg_train/street/b.png", "seg_test/seg_test/sea/c.png"],
            {
                "train": [("seg_train/seg_train/sea/a.png", "sea"), ("seg_train/seg_train/street/b.png", "street")],
                "test": [("seg_test/seg_test/sea/c.png", "sea")],
            },
        ),
        (["train/train/a.png", "test1/test1/b.png"], {"train": ["train/train/a.png"], "test": ["test1/test1/b.png"]}),
        # Tiny ImageNet's classes
        (
            ["train/n1/images/a.JPEG", "train/n2/images/a.JPEG", "test/n2/images/b.JPEG"],
            {
                "train": [("train/n1/images/a.JPEG", "n1"), ("train/n2/images/a.JPEG", "n2")],
                "test": [("test/n2/images/b.JPEG", "n2")],
            },
        ),
        # two classes that have a split's name in theirs, and no split
        (
            ["bullet_train/a.png", "test_tube/b.png"],
            {"train": [("bullet_train/a.png", "bullet_train"), ("test_tube/b.png", "test_tube")]},
        ),
        # a class that is called like a split, among classes
        (["train/car/a.png", "train/train/b.png"], {"train": [("train/car/a.png", "car"), ("train/train/b.png", "train")]}),
        # one class alone is no wrapping
        (["train/cat/a.png"], {"train": [("train/cat/a.png", "cat")]}),
    ],
)
def test_layouts_that_are_read(tmp_path: Path, names: list[str], expected: dict[str, list[Any]]) -> None:
    assert found(laid_out(tmp_path, *names)) == expected


def test_folders_of_annotations_are_no_classes_and_no_splits(tmp_path: Path) -> None:
    data = laid_out(tmp_path, "images/train/a.png", "images/val/b.png")
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").write_text("0 0 0 1 1")
    assert found(data) == {"train": ["images/train/a.png"], "validation": ["images/val/b.png"]}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["cats/train/a.png", "cats/test/b.png", "dogs/train/a.png"],
            "cats is read as a class, but holds splits of its own: 'test', 'train'",
        ),
        (
            ["dog/beagle/a.png", "dog/poodle/b.png", "cat/a.png"],
            "dog is read as a class, but holds folders of its own: 'beagle', 'poodle'",
        ),
        (
            ["train/train/a.png", "train/test/b.png"],
            r"train is read as the split 'train', but holds splits .*set 'folder' to .*train",
        ),
        (["train/dog/test/a.png", "train/cat/a.png"], "dog is read as a class, but holds splits of its own: 'test'"),
        (["car/a.png", "train/a.png"], r"\('train'\) and beside them the folders 'car'.*into a folder 'train' together"),
        (["seg_train/a.png", "seg_test/a.png", "seg_pred/a.png"], "beside them the folders 'seg_pred'"),
        (["train/a.png", "b.png"], "beside them pictures such as 'b.png'"),
        (["train/a.png", "Training/b.png"], "both claim the split 'train'; keep one of them"),
        (["cat_train/a.png", "cat_test/b.png", "dog_train/c.png", "dog_test/d.png"], "classes and splits in one name"),
        (["train/cat/a.png", "test/b.png"], "of split 'train' lie in folders of classes, those of 'test' do not"),
        (["train/a.png", "test/cat/b.png"], "of split 'test' lie in folders of classes, those of 'train' do not"),
        (["train/cat/a.png", "train/cat/old/b.png"], r"cat holds both pictures and folders of pictures \('a.png' beside 'old'"),
        (["0/a.png", "1/", "2/b.png"], "1 holds no pictures; fill or remove it"),
        (["train/a.png", "test/"], "test holds no pictures"),
        (["a.png", "b.HEIC"], r"b.HEIC is a picture of a form that is not read \(.heic\); convert it"),
        (["caf\u00e9/a.png", "cafe\u0301/b.png"], "two folders named 'café', whose characters are coded differently"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        found(laid_out(tmp_path, *names))


def test_the_advice_for_classes_that_are_called_like_splits_works(tmp_path: Path) -> None:
    data = laid_out(tmp_path, "train/valid/a.png", "train/invalid/b.png")
    assert found(data) == {"train": [("train/invalid/b.png", "invalid"), ("train/valid/a.png", "valid")]}


def test_clutter_is_passed_over_at_every_depth(tmp_path: Path) -> None:
    clutter = [
        "__MACOSX/train/cat/._a.png",
        ".git/a.png",
        "train/.ipynb_checkpoints/a.png",
        "train/cat/._a.png",
        "train/cat/.thumb.jpg",
        "train/cat/__macosx/a.png",
        "train/@eaDir/a.png",
        "train/cat/.empty/",
        ".heic",
    ]
    data = laid_out(tmp_path, "train/cat/a.png", "train/dog/b.png", *clutter)
    for name in ("Thumbs.db", "train/desktop.ini", "train/cat/Thumbs.db", "train/.DS_Store", "README.md", "train/classes.txt"):
        (tmp_path / name).write_text("")
    assert found(data) == {"train": [("train/cat/a.png", "cat"), ("train/dog/b.png", "dog")]}


def test_endings_in_any_case(tmp_path: Path) -> None:
    names = [f"{i}.{end}" for i, end in enumerate(("JFIF", "jpe", "Jpg", "JPEG", "PNG", "tif", "TIFF", "WebP", "gif", "bmp"))]
    data = laid_out(tmp_path, *names)
    assert set(found(data)["train"]) == set(names)
    assert all(example["x"].shape == (2, 2, 3) for example in data.source("train"))


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    names = ["10", "9", "2", "img10", "img9", "01", "1", "Zebra", "ant"]
    data = laid_out(tmp_path, *(f"{name}/a.png" for name in names))
    assert data.classes == ("01", "1", "2", "9", "10", "Zebra", "ant", "img9", "img10")
    assert data.source("train").labels == tuple(range(9))


def test_one_name_in_two_codings_is_one_class(tmp_path: Path) -> None:
    data = laid_out(tmp_path, "train/caf\u00e9/a.png", "test/cafe\u0301/b.png")
    assert data.source("test").labels == (0,)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    laid_out(tmp_path / "store", "cats/a.png", "dogs/b.png", "dogs/c.png")
    data = laid_out(tmp_path / "photos", "train/cat/x.png")
    train = tmp_path / "photos/train"
    (train / "dog").symlink_to(tmp_path / "store/dogs")
    (train / "cat/b.png").symlink_to(tmp_path / "store/dogs/b.png")
    (train / "cat/up").symlink_to(tmp_path / "photos")
    (tmp_path / "store/dogs/self").symlink_to(tmp_path / "store/dogs")
    (tmp_path / "photos/test").symlink_to(train)
    assert found(data)["train"] == [
        ("train/cat/b.png", "cat"),
        ("train/cat/x.png", "cat"),
        ("train/dog/b.png", "dog"),
        ("train/dog/c.png", "dog"),
    ]
    assert len(data.source("test")) == 4


def test_links_to_nothing_are_told(tmp_path: Path) -> None:
    data = laid_out(tmp_path, "train/cat/a.png")
    (tmp_path / "train/cat/b.png").symlink_to("fetched_later.png")  # as git-annex has them
    (tmp_path / "train/cat/c.png").symlink_to("c.png")
    source = data.source("train")
    assert len(source) == 3
    with pytest.raises(DataError, match=r"cannot open the image .*b.png: No such file"):
        source[1]
    with pytest.raises(DataError, match=r"cannot open the image .*c.png"):
        source[2]
    (tmp_path / "test").symlink_to("unmounted")
    with pytest.raises(DataError, match="test is a link to unmounted, which is not there"):
        _ = laid_out(tmp_path).splits
