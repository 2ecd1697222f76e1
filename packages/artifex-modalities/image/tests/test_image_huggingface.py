"""The huggingface data set: a small one saved to disk by the real library, and what happens without the library."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from artifex.core.errors import DataError, InvalidInputError, RunWarning
from artifex.core.protocols import NamesClasses, SourceDataset
from artifex.modalities.image.datasets import HuggingFace, HuggingFaceConfig

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)


def config(path: Path | str, **fields: object) -> HuggingFaceConfig:
    return HuggingFaceConfig.from_dict({"path": str(path), "height": 6, "width": 6, **fields})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits on disk."""
    datasets = pytest.importorskip("datasets", reason="needs the extra 'huggingface'")
    folder = tmp_path_factory.mktemp("hub") / "pictures"

    def split(count: int) -> object:
        columns = {
            "image": [Image.fromarray(image) for image in IMAGES[:count]],
            "label": list(range(count)),
            "text": ["?"] * count,
        }
        features = datasets.Features(
            {
                "image": datasets.Image(),
                "label": datasets.ClassLabel(names=["rose", "tulip", "daisy", "iris", "lily"]),
                "text": datasets.Value("string"),
            }
        )
        return datasets.Dataset.from_dict(columns, features=features)

    datasets.DatasetDict({"test": split(2), "train": split(5)}).save_to_disk(str(folder))
    return folder


def test_reads_what_the_library_saved(saved: Path) -> None:
    data = HuggingFace(config(saved))
    assert isinstance(data, SourceDataset)
    assert data.splits == ("train", "test")
    assert isinstance(data, NamesClasses)
    assert data.classes == ("rose", "tulip", "daisy", "iris", "lily")
    train = data.source("train")
    assert len(train) == 5
    for i, example in enumerate(train):
        np.testing.assert_array_equal(example["x"], IMAGES[i])
        assert example["label"] == i
        assert example["label"].dtype == np.int32
    assert len(data.source("test")) == 2


def test_a_source_travels_between_processes(saved: Path) -> None:
    again = pickle.loads(pickle.dumps(HuggingFace(config(saved, channels="grayscale")).source("test")))
    np.testing.assert_array_equal(again[1]["x"][..., 0], Image.fromarray(IMAGES[1]).convert("L"))


def test_one_split_alone_is_the_training_split(saved: Path, tmp_path: Path) -> None:
    data = HuggingFace(config(saved / "test", label_column=None))
    assert data.splits == ("train",)
    assert data.source("train")[0].keys() == {"x"}


def test_through_load_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of pictures goes the way a name on the hub goes."""
    datasets = pytest.importorskip("datasets", reason="needs the extra 'huggingface'")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for split, count in (("train", 3), ("test", 1)):
        for i in range(count):
            path = tmp_path / "pictures" / split / "abc"[i] / "picture.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(IMAGES[i]).save(path)
    data = HuggingFace(config(tmp_path / "pictures"))
    assert data.splits == ("train", "test")
    np.testing.assert_array_equal(np.stack([example["x"] for example in data.source("train")]), IMAGES[:3])


def test_errors_name_what_is_wrong(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no split 'validation'; its splits are train, test"):
        HuggingFace(config(saved)).source("validation")
    with pytest.raises(DataError, match="no column 'img'; it has image, label, text"):
        HuggingFace(config(saved, image_column="img")).source("train")
    with pytest.raises(DataError, match="row 0 cannot be read as an image"):
        HuggingFace(config(saved, image_column="text")).source("train")[0]
    with pytest.raises(DataError, match="neither subsets nor revisions"):
        HuggingFace(config(saved, subset="small")).source("train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"cannot load .*empty"):
        HuggingFace(config(tmp_path / "empty")).source("train")


def test_what_the_library_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is out of reach of a test: a stand-in notes the call and gives the rows back."""
    calls = []

    class Rows(list):  # type: ignore[type-arg]
        column_names = ("img", "fine_label")

        def __getitem__(self, at: object) -> object:  # type: ignore[override]
            return [row[at] for row in self] if isinstance(at, str) else super().__getitem__(at)  # type: ignore[index]

    def load_dataset(*arguments: object, **keywords: object) -> dict[str, Rows]:
        calls.append((arguments, keywords))
        return {"test": Rows(), "train": Rows({"img": image, "fine_label": 7} for image in IMAGES)}

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(Dataset=Rows, load_dataset=load_dataset))
    data = HuggingFace(config("owner/name", subset="small", revision="v1", image_column="img", label_column="fine_label"))
    assert data.splits == ("train", "test")
    example = data.source("train")[4]
    np.testing.assert_array_equal(example["x"], IMAGES[4])
    assert example["label"] == 7
    assert calls == [(("owner/name", "small"), {"revision": "v1"})]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, -1, 3, -1], "column 'label': labels are whole numbers from 0 to 2147483647, but row 2 holds -1"),
        ([0, 1, 2, 2**40, 4], "row 3 holds 1099511627776"),
        ([0.0, 1.5, 2.0, 3.0, 4.0], r"row 0 holds 0.0 \(float64\)"),
        (["1", "2", "3", "4", "5"], "row 0 holds '1'"),
        ([0, 1, None, 3, 4], "row 2 holds None"),
        ([[0, 1]] * 5, r"have the shape \(5, 2\)"),
        ([[0, 1], [2], [], [1], [0]], "these are lists"),
    ],
)
def test_labels_that_are_none_are_found_before_training(
    monkeypatch: pytest.MonkeyPatch, labels: list[object], message: str
) -> None:
    """Text was read as numbers, fractions were cut off and great numbers wrapped, without a word."""

    class Rows(list):  # type: ignore[type-arg]
        column_names = ("image", "label")

        def __getitem__(self, at: object) -> object:  # type: ignore[override]
            return [row[at] for row in self] if isinstance(at, str) else super().__getitem__(at)  # type: ignore[index]

    rows = Rows({"image": image, "label": label} for image, label in zip(IMAGES, labels, strict=True))
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(Dataset=Rows, load_dataset=lambda *a, **k: {"train": rows}))
    with pytest.raises(DataError, match=f"{message}.*; name another label_column, or null for no labels"):
        HuggingFace(config("owner/name")).source("train")
    np.testing.assert_array_equal(HuggingFace(config("owner/name", label_column=None)).source("train")[1]["x"], IMAGES[1])


def test_a_damaged_row_is_named_or_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows(list):  # type: ignore[type-arg]
        column_names = ("image",)

        def __getitem__(self, at: int) -> dict[str, np.ndarray]:  # type: ignore[override]
            if at == 1:
                raise OSError("image file is truncated")
            return super().__getitem__(at)

    rows = Rows({"image": image} for image in IMAGES)
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(Dataset=Rows, load_dataset=lambda *a, **k: {"train": rows}))
    with pytest.raises(DataError, match=r"row 1 cannot be read as an image: .*truncated; .*--set data.dataset.damaged=replace"):
        HuggingFace(config("owner/name", label_column=None)).source("train")[1]
    source = HuggingFace(config("owner/name", label_column=None, damaged="replace")).source("train")
    assert len(source) == 5
    with pytest.warns(RunWarning, match="row 1 .* number 2 takes its place"):
        np.testing.assert_array_equal(source[1]["x"], IMAGES[2])


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'artifex-modalities-image\[huggingface\]'"):
        _ = HuggingFace(config("ylecun/mnist")).splits
