"""IDX files, written here byte by byte as the format says."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.protocols import ArrayDataset
from artifex.modalities.image.datasets import Idx, IdxConfig

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 5, 4), dtype=np.uint8)
LABELS = np.arange(7, dtype=np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder: Path, *, train: str = "train", test: str = "t10k", dash: str = "-", packed: bool = False) -> Path:
    suffix, pack = (".gz", gzip.compress) if packed else ("", bytes)
    for part, count in ((train, 7), (test, 3)):
        (folder / f"{part}-images{dash}idx3-ubyte{suffix}").write_bytes(pack(idx_bytes(IMAGES[:count])))
        (folder / f"{part}-labels{dash}idx1-ubyte{suffix}").write_bytes(pack(idx_bytes(LABELS[:count])))
    return folder


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dash", ["-", "."])
def test_reads_what_was_written(tmp_path: Path, packed: bool, dash: str) -> None:
    data = Idx(IdxConfig(folder=write(tmp_path, packed=packed, dash=dash)))
    assert isinstance(data, ArrayDataset)
    assert data.splits == ("train", "test")
    for split, count in (("train", 7), ("test", 3)):
        arrays = data.arrays(split)
        np.testing.assert_array_equal(arrays["x"], IMAGES[:count, ..., None])
        np.testing.assert_array_equal(arrays["label"], LABELS[:count])
        assert arrays["x"].dtype == np.uint8
        assert arrays["label"].dtype == np.int32


def test_validation_is_the_end_of_the_training_files(tmp_path: Path) -> None:
    data = Idx(IdxConfig(folder=write(tmp_path), validation_size=2))
    assert data.splits == ("train", "test", "validation")
    np.testing.assert_array_equal(data.arrays("train")["label"], LABELS[:5])
    np.testing.assert_array_equal(data.arrays("validation")["label"], LABELS[5:])
    np.testing.assert_array_equal(data.arrays("validation")["x"], IMAGES[5:, ..., None])
    assert len(data.arrays("test")["x"]) == 3


def test_validation_that_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="validation_size=7 leaves no training images of the 7"):
        Idx(IdxConfig(folder=write(tmp_path), validation_size=7)).arrays("train")


def test_emnist_has_its_own_names_and_transposed_images(tmp_path: Path) -> None:
    write(tmp_path, train="emnist-letters-train", test="emnist-letters-test", packed=True)
    arrays = Idx(IdxConfig(folder=tmp_path, emnist="letters")).arrays("test")
    np.testing.assert_array_equal(arrays["x"], IMAGES[:3].transpose(0, 2, 1)[..., None])
    with pytest.raises(DataError, match=r"has no train-images-idx3-ubyte .*but: emnist-letters-test-images-idx3-ubyte.gz"):
        Idx(IdxConfig(folder=tmp_path)).arrays("train")


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="its splits are train, test"):
        Idx(IdxConfig(folder=tmp_path)).arrays("validation")


def test_missing_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; set 'folder'"):
        Idx(IdxConfig(folder=tmp_path / "nowhere")).arrays("train")
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="has no t10k-labels-idx1-ubyte"):
        Idx(IdxConfig(folder=tmp_path)).arrays("test")


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (b"", "begins with nothing instead of 00 00 08 03"),
        (b"PNG data", "begins with 50 4e 47 20"),
        (bytes([0, 0, 13, 3]) + bytes(12), "begins with 00 00 0d 03"),
        (idx_bytes(IMAGES[:3])[:-1], "should hold 60 bytes after its header .* but holds 59"),
        (idx_bytes(IMAGES[:3]) + b"x", "but holds 61"),
        (gzip.compress(idx_bytes(IMAGES[:3])), "or let its name end in '.gz'"),
        (idx_bytes(IMAGES[:2]), "holds 2 images, .* 3 labels"),
    ],
    ids=["empty", "no header", "another type", "a byte short", "a byte long", "gzipped", "fewer images than labels"],
)
def test_damaged_files_are_named(tmp_path: Path, damaged: bytes, message: str) -> None:
    (write(tmp_path) / "t10k-images-idx3-ubyte").write_bytes(damaged)
    with pytest.raises(DataError, match=f"t10k-images-idx3-ubyte.*{message}"):
        Idx(IdxConfig(folder=tmp_path)).arrays("test")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"x" + data, lambda data: data[:30] + b"?" * 9 + data[39:]]
)
def test_damaged_gzip_is_named(tmp_path: Path, damage: object) -> None:
    path = write(tmp_path, packed=True) / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=r"cannot read .*train-images-idx3-ubyte.gz.*fetch the file anew"):
        Idx(IdxConfig(folder=tmp_path)).arrays("train")
