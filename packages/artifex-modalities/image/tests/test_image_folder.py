"""Image files in folders, written here with Pillow."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from artifex.core.errors import DataError, InvalidInputError, RunWarning
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


def bytes_of(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


PHOTO = Image.fromarray(CHINA[:12, :12])
RED_AND_BLUE = [Image.new("RGB", (12, 12), colour) for colour in ("red", "blue")]
JPEG = bytes_of(Image.fromarray(CHINA[:100, :100]), "JPEG")


def png_of_16_bits(x: np.ndarray) -> bytes:
    """A colour PNG ``(h, w, 3)`` of 16 bits a channel, which Pillow cannot write, as ISO/IEC 15948 has it."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in x)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", x.shape[1], x.shape[0], 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_cmyk(tmp_path: Path) -> None:
    """Ink is what light is not: none is white, all cyan takes the red away."""
    inks = np.zeros((12, 12, 4), np.uint8)
    inks[6:, :, 0] = 255
    (tmp_path / "a.jpg").write_bytes(bytes_of(Image.frombytes("CMYK", (12, 12), inks.tobytes()), "JPEG", quality=100))
    x = dataset(tmp_path).source("train")[0]["x"]
    np.testing.assert_allclose(x[2, 2], [255, 255, 255], atol=3)
    np.testing.assert_allclose(x[-2, 2], [0, 255, 255], atol=3)


def test_colours_of_16_bits_become_8(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 2**16, (12, 12, 3))
    (tmp_path / "a.png").write_bytes(png_of_16_bits(x))
    np.testing.assert_allclose(dataset(tmp_path).source("train")[0]["x"], x / 257, atol=1)


def test_a_palette_with_alpha(tmp_path: Path) -> None:
    """Alpha is kept where it is asked for, and else dropped, without a warning."""
    palette = PHOTO.quantize(16)
    alphas = bytes(range(0, 256, 16))
    palette.save(tmp_path / "a.png", transparency=alphas)
    indices = np.asarray(palette)
    x = dataset(tmp_path, channels="rgba").source("train")[0]["x"]
    np.testing.assert_array_equal(x[..., 3], np.frombuffer(alphas, np.uint8)[indices])
    colours = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(x[..., :3], colours)
    np.testing.assert_array_equal(dataset(tmp_path).source("train")[0]["x"], colours)
    grey = dataset(tmp_path, channels="grayscale").source("train")[0]["x"][..., 0]
    np.testing.assert_array_equal(grey, np.asarray(Image.fromarray(colours).convert("L")))


@pytest.mark.parametrize("form", ["GIF", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame(tmp_path: Path, form: str) -> None:
    data = bytes_of(RED_AND_BLUE[0], form, save_all=True, append_images=RED_AND_BLUE[1:])
    (tmp_path / f"a.{form.lower()}").write_bytes(data)
    assert (dataset(tmp_path).source("train")[0]["x"] == [255, 0, 0]).all()


@pytest.mark.parametrize("size", [(1, 1000), (1000, 1), (1, 1)])
def test_pictures_of_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    for fit in ("crop", "stretch"):
        assert (dataset(tmp_path, fit=fit).source("train")[0]["x"] == [255, 0, 0]).all()


DAMAGED = {
    "empty": (b"", "it is empty"),
    "text": (b"<html>404 Not Found</html>", r"no picture of a known form; it begins with b'<html>40'"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1", "begins with b'version '"),
    "png cut off": (bytes_of(PHOTO, "PNG")[:100], "truncated|broken"),
    "jpeg cut off": (JPEG[: len(JPEG) // 2], "[Tt]runcated"),
    "jpeg's first bytes": (JPEG[:4], "no picture of a known form"),
}


@pytest.mark.parametrize(("data", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_named_when_they_are_read(tmp_path: Path, data: bytes, reason: str) -> None:
    folder_of(tmp_path, ["a.png", "b.png"])
    (tmp_path / "a.png").write_bytes(data)
    source = dataset(tmp_path).source("train")
    with pytest.raises(DataError, match=f"cannot read the image .*a.png: .*({reason}).*; put a whole picture in its place, or"):
        source[0]
    np.testing.assert_array_equal(source[1]["x"], crop(1))


@pytest.mark.parametrize("picture", [np.full((12, 12), 40_000, np.uint16), np.full((12, 12), 0.5, np.float32)])
def test_more_than_8_bits_are_refused_even_where_damage_is_not(tmp_path: Path, picture: np.ndarray) -> None:
    folder_of(tmp_path, ["a.png"])
    Image.fromarray(picture).save(tmp_path / "b.tif")
    with pytest.raises(DataError, match=r"cannot read the image .*b.tif: .*more than 8 bits a channel; convert it to 8 bits"):
        dataset(tmp_path, damaged="replace").source("train")[1]


def test_a_damaged_picture_can_be_replaced_by_the_next_and_the_number_stays(tmp_path: Path) -> None:
    folder_of(tmp_path, ["cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"])
    for name in ("cat/b.png", "dog/d.png"):
        (tmp_path / name).write_bytes(b"nothing")
    source = dataset(tmp_path, damaged="replace").source("train")
    assert len(source) == 4
    for i, (j, label) in enumerate([(0, 0), (2, 1), (2, 1), (0, 0)]):
        with (
            pytest.warns(RunWarning, match=r"/(b|d).png: .*; the picture number (2|0) takes its place")
            if i in (1, 3)
            else nullcontext()
        ):
            example = source[i]
        np.testing.assert_array_equal(example["x"], crop(j))
        assert example["label"] == label
    assert source[1]["label"] == 1  # and it is told once
    for name in ("cat/a.png", "dog/c.png"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"d.png: it is no picture of a known form; it begins with b'nothing'$"):
        source[3]
    (tmp_path / "cat/a.png").unlink()
    with pytest.raises(DataError, match=r"cannot open the image .*a.png: No such file.*; put it back"):
        source[0]


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
    with pytest.raises(DataError, match="the class 'cow', which the training folder lacks; it has 'cat'"):
        dataset(alien).source("test")
