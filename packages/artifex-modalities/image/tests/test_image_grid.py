"""Grids and PNG files, read back with Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifex.core.errors import InvalidInputError, RunError
from artifex.modalities.image import image_grid, save_image


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_image_lies_in_its_place(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, channels), dtype=np.uint8)
    canvas = image_grid(images, padding=1, background=7)
    assert canvas.shape == (2 * 5 + 1, 3 * 7 + 1, channels)
    for i, image in enumerate(images):
        top, left = 1 + 5 * (i // 3), 1 + 7 * (i % 3)
        np.testing.assert_array_equal(canvas[top : top + 4, left : left + 6], image)
    frame = [7] * min(channels, 3) + [255] * (channels == 4)
    np.testing.assert_array_equal(canvas[0, 0], frame)
    np.testing.assert_array_equal(canvas[6:10, 15:21], np.broadcast_to(np.uint8(frame), (4, 6, channels)))


def test_columns_and_zoom() -> None:
    images = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2, 1)
    np.testing.assert_array_equal(
        image_grid(images, 1, padding=0, zoom=2)[:4, :, 0], [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    )
    assert image_grid(images, 10, padding=0).shape == (2, 6, 1)


def test_floats_are_rounded_and_clipped() -> None:
    images = np.array([-1.0, 0.5, 2.0, 0.1]).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(image_grid(images, padding=0)[..., 0], [[0, 128], [255, 26]])


@pytest.mark.parametrize("shape", [(8, 8, 1), (2, 8, 8, 2), (0, 8, 8, 1)])
def test_what_is_no_batch_of_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
        image_grid(np.zeros(shape))


@pytest.mark.parametrize("dtype", [np.int64, np.uint16])
def test_integers_of_no_known_range_are_refused(dtype: type) -> None:
    with pytest.raises(InvalidInputError, match=r"got u?int\d+: convert them to uint8"):
        image_grid(np.full((1, 2, 2, 1), 200, dtype))


@pytest.mark.parametrize("layout", [{"columns": 0}, {"padding": -1}, {"zoom": 0}])
def test_impossible_layouts(layout: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match="columns >= 1, padding >= 0 and zoom >= 1"):
        image_grid(np.zeros((1, 2, 2, 1)), **layout)


@pytest.mark.parametrize(("shape", "mode"), [((5, 4), "L"), ((5, 4, 1), "L"), ((5, 4, 3), "RGB"), ((5, 4, 4), "RGBA")])
def test_png_holds_the_array(tmp_path: Path, shape: tuple[int, ...], mode: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = save_image(tmp_path / "new" / "image.png", image)
    with Image.open(path) as read:
        assert (read.format, read.mode) == ("PNG", mode)
        np.testing.assert_array_equal(np.asarray(read), image.reshape(np.asarray(read).shape))
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_image(tmp_path / "image.png", np.zeros((2, 2), np.uint8))
    before = path.read_bytes()

    def fail(self: Image.Image, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(RunError, match="No space left on device"):
        save_image(path, np.ones((2, 2), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="choose a folder that can be written"):
        save_image(tmp_path / "file" / "image.png", np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize(
    ("name", "image"),
    [("a.jpg", np.zeros((2, 2), np.uint8)), ("a.png", np.zeros((2, 2))), ("a.png", np.zeros((2, 2, 2), np.uint8))],
)
def test_what_is_no_png_is_refused(tmp_path: Path, name: str, image: np.ndarray) -> None:
    with pytest.raises(InvalidInputError):
        save_image(tmp_path / name, image)
