"""Image files in folders, written here with Pillow."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import SourceDataset
from artifex.modalities.image.datasets import ImageFolder, ImageFolderConfig

CHINA = load_sample_image("china.jpg")


def crop(i: int) -> np.ndarray:
    return CHINA[30 * i : 30 * i + 12, 40 * i : 40 * i + 12]


def folder_of(root: Path, names: list[str]) -> Path:
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop(i)).save(root / name)
    return root


def dataset(root: Path, **fields: object) -> ImageFolder:
    return ImageFolder(ImageFolderConfig.from_dict({"folder": str(root), "height": 12, "width": 12, **fields}))


def test_splits_and_classes(tmp_path: Path) -> None:
    names = ["train/dog/b.png", "train/cat/a.png", "train/cat/c.PNG", "test/dog/a.png", "val/cat/a.png", "train/dog/notes.png"]
    data = dataset(folder_of(tmp_path, names))
    (tmp_path / "train/dog/notes.txt").write_text("not a picture")
    assert isinstance(data, SourceDataset)
    assert data.splits == ("train", "test", "validation")
    assert data.classes == ("cat", "dog")
    train = data.source("train")
    assert [int(example["label"]) for example in train] == [0, 0, 1, 1]
    for example, i in zip(train, (1, 2, 0, 5), strict=True):
        np.testing.assert_array_equal(example["x"], crop(i))
        assert example["label"].dtype == np.int32
    # The test folder lacks cats: dogs are still class 1.
    assert [int(example["label"]) for example in data.source("test")] == [1]


def test_flat_folder_is_one_unlabelled_split(tmp_path: Path) -> None:
    data = dataset(folder_of(tmp_path, ["b.png", "a.png"]))
    assert data.splits == ("train",)
    assert data.classes == ()
    source = data.source("train")
    assert len(source) == 2
    assert source[0].keys() == {"x"}
    np.testing.assert_array_equal(source[-1]["x"], crop(0))
    with pytest.raises(InvalidInputError, match="no split 'test'; its splits are train"):
        data.source("test")


def test_a_source_travels_between_processes(tmp_path: Path) -> None:
    source = dataset(folder_of(tmp_path, ["x/a.png", "y/b.png"])).source("train")
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[1]["x"], source[1]["x"])
    with pytest.raises(IndexError):
        again[2]


@pytest.mark.parametrize(("fit", "box"), [("stretch", (0, 0, 60, 40)), ("crop", (10, 0, 50, 40))])
def test_fit(tmp_path: Path, fit: str, box: tuple[int, int, int, int]) -> None:
    wide = Image.fromarray(CHINA[:40, :60])
    wide.save(tmp_path / "a.png")
    x = dataset(tmp_path, fit=fit).source("train")[0]["x"]
    np.testing.assert_array_equal(x, wide.resize((12, 12), Image.Resampling.BILINEAR, box=box))


@pytest.mark.parametrize(("channels", "mode"), [("grayscale", "L"), ("rgb", "RGB"), ("rgba", "RGBA")])
@pytest.mark.parametrize("stored", ["L", "LA", "RGB", "RGBA", "P", "1"])
def test_colour_modes(tmp_path: Path, channels: str, mode: str, stored: str) -> None:
    picture = Image.fromarray(crop(1)).convert(stored)
    picture.save(tmp_path / "a.png")
    x = dataset(tmp_path, channels=channels).source("train")[0]["x"]
    np.testing.assert_array_equal(x, np.asarray(picture.convert(mode)).reshape(x.shape))


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways: turn by 90 degrees clockwise
    Image.fromarray(crop(1)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(dataset(tmp_path).source("train")[0]["x"], np.rot90(crop(1), -1))


def test_bad_files_are_named_when_they_are_read(tmp_path: Path) -> None:
    folder_of(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:100])
    Image.fromarray(np.full((12, 12), 40_000, np.uint16)).save(tmp_path / "c.png")
    source = dataset(tmp_path).source("train")
    for i, (name, reason) in enumerate(
        [("a", "cannot identify"), ("b", "truncated|broken"), ("c", "more than 8 bits a channel")]
    ):
        with pytest.raises(DataError, match=f"cannot read the image .*{name}.png: .*({reason}).*; mend or remove the file"):
            source[i]


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; set 'folder'"):
        _ = dataset(tmp_path / "nowhere").splits
    with pytest.raises(DataError, match="holds no pictures"):
        dataset(tmp_path).source("train")
    mixed = folder_of(tmp_path / "mixed", ["a.png", "cats/b.png"])
    with pytest.raises(DataError, match="both pictures and folders"):
        dataset(mixed).source("train")
    twice = folder_of(tmp_path / "twice", ["train/a.png", "val/a.png", "valid/a.png"])
    with pytest.raises(DataError, match="both claim the split 'validation'"):
        _ = dataset(twice).splits
    alien = folder_of(tmp_path / "alien", ["train/cat/a.png", "test/cow/a.png"])
    with pytest.raises(DataError, match="the class 'cow', which the training folder lacks; it has cat"):
        dataset(alien).source("test")
