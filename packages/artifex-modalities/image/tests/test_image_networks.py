"""Networks of the literature with random weights give what the reference networks give; weights are read without PyTorch.

float32 networks of up to 94 convolutions in other orders of summation: 1e-4 is asked of outputs of order one.
"""

from __future__ import annotations

import json
import pickle
import runpy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from safetensors.numpy import save_file
from scipy.ndimage import correlate

from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.metrics import FeatureExtractor, MergedMetric
from artifex.modalities.image import LPIPS, FrechetInceptionDistance, InceptionScore, KernelInceptionDistance
from artifex.modalities.image.features import (
    InceptionFeatures,
    InceptionFeaturesConfig,
    InceptionProbabilities,
    InceptionProbabilitiesConfig,
    PerceptualFeatures,
    PerceptualFeaturesConfig,
    RandomConvolutions,
    RandomConvolutionsConfig,
    read_torch_file,
)
from artifex.modalities.image.features.perceptual import BACKBONES, _network
from artifex.modalities.image.features.random_convolutions import random_filters
from artifex.modalities.image.features.resizing import for_inception, resize_matrix
from artifex.modalities.image.features.weights import read_weights
from artifex.modalities.image.metrics import FrechetDistance

SCRIPT = runpy.run_path(str(Path(__file__).with_name("frozen_image_networks.py")))
BOTH = [pytest.param("frozen"), pytest.param("live", marks=pytest.mark.reference)]
Arrays = dict[str, np.ndarray]
FROZEN_SUMS = [3.8019, 11.5033]
"""Of the random features of a ramp of grey values: published figures hang on the filters."""


def frozen(prefix: str) -> Arrays:
    with np.load(SCRIPT["FROZEN"]) as file:
        return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}


def found(where: str, kind: str) -> Arrays:
    if where == "frozen":
        return frozen(f"{kind}/")
    with warnings.catch_warnings():  # PyTorch's and torchvision's own
        warnings.simplefilter("ignore")
        return SCRIPT["case"](kind)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The path of a kind's weights as safetensors."""
    folder = tmp_path_factory.mktemp("weights")

    def path(kind: str) -> str:
        file = folder / f"{kind}.safetensors"
        if not file.exists():
            save_file(SCRIPT["arrays"](json.loads(str(frozen(f"{kind}/")["shapes"]))), file)
        return str(file)

    return path


@pytest.mark.parametrize("where", BOTH)
def test_inception_is_that_of_fid(where: str, saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    truth, x = found(where, "inception"), SCRIPT["images"]()[0]
    extractor = InceptionFeatures(InceptionFeaturesConfig(weights=saved("inception")))
    features = extractor(x)
    scale = np.abs(truth["features"]).max()
    assert 1 < scale < 20
    assert_allclose(features, truth["features"], atol=1e-4 * scale)
    probabilities = InceptionProbabilities(InceptionProbabilitiesConfig(weights=saved("inception")))(x)
    logits = truth["logits"] - truth["logits"].max(axis=1, keepdims=True)
    assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-4)
    monkeypatch.setenv("ARTIFEX_INCEPTION_WEIGHTS", saved("inception"))
    assert InceptionFeatures(InceptionFeaturesConfig()).signature == extractor.signature
    assert not extractor.is_standard
    assert "weights not the standard ones: inception.safetensors (sha256 " in extractor.signature


@pytest.mark.parametrize("where", BOTH)
@pytest.mark.parametrize("kind", ["alex", "vgg", "st-alex", "st-vgg"])
def test_perceptual_networks_are_those_of_their_packages(where: str, kind: str, saved: Callable[[str], str]) -> None:
    truth, (x, y) = found(where, kind), SCRIPT["images"]()
    weights = read_weights(saved(kind))
    network = _network(kind.removeprefix("st-"), kind.startswith("st-"), weights, weights)
    assert_allclose(jax.jit(type(network).distance)(network, x, y), truth["distance"], rtol=1e-4)
    vectors = jax.jit(type(network).vectors)
    assert_allclose(np.square(vectors(network, x) - vectors(network, y)).sum(axis=1), truth["distance"], rtol=1e-4)


def test_lpips_from_files_says_whose_weights_they_are(saved: Callable[[str], str]) -> None:
    x, y = SCRIPT["images"]()
    lpips = LPIPS(PerceptualFeaturesConfig(weights=saved("alex"), heads=saved("alex")))
    figure = lpips(x, y)
    assert_allclose(float(figure), frozen("alex/")["distance"].mean(), rtol=1e-4)
    assert str(figure).startswith("perceptual distance (alex, alex.safetensors (sha256 ")
    assert_allclose(lpips.distances(x, x), 0.0, atol=1e-9)
    with pytest.raises(InvalidInputError, match=r"pairs of images of one shape are needed, got \(2, 64, 64, 3\) and \(1, 64"):
        lpips.distances(x, y[:1])
    with pytest.raises(InvalidInputError, match="32 x 32 pixels or more, got 8 x 8"):
        lpips.distances(x[:, :8, :8], y[:, :8, :8])


@pytest.mark.reference
@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_the_installed_package_serves_without_being_imported(backbone: str) -> None:
    import torch

    SCRIPT["_torchvision"]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from stlpips_pytorch import stlpips

        theirs = stlpips.LPIPS(net=backbone, variant="shift_tolerant", verbose=False).eval()
        x, y = SCRIPT["images"]()
        with torch.no_grad():
            truth = theirs(*(torch.from_numpy(a).movedim(-1, 1) for a in (x, y)), normalize=True).flatten().numpy()
    ours = LPIPS(PerceptualFeaturesConfig(backbone=backbone))
    assert_allclose(ours.distances(x, y), truth, rtol=1e-4)
    assert ours.name.startswith(f"ST-LPIPS ({backbone}, {backbone}_shift_tolerant.pth (sha256 ")


@pytest.mark.parametrize("where", BOTH)
@pytest.mark.parametrize(("convention", "height", "width"), SCRIPT["RESIZED"])
def test_three_ways_of_resizing(where: str, convention: Any, height: int, width: int) -> None:
    x = SCRIPT["resize_input"](height, width)
    live = where == "live"
    truth = SCRIPT["resized"](convention, x, 19) if live else frozen("resize/")[f"{convention}/{height}/{width}"]
    # Of [-1, 1]; Pillow rounds its weights to some 1e-6.
    assert_allclose(for_inception(x[None], 19, convention)[0], truth, atol=2e-5)


def test_bicubic_is_pillows_without_the_clipping() -> None:
    x = np.random.default_rng(0).uniform(size=(31, 50)).astype(np.float32)
    theirs = np.asarray(Image.fromarray(x).resize((77, 12), Image.Resampling.BICUBIC))
    ours = resize_matrix(31, 12, "clean-fid") @ x @ resize_matrix(50, 77, "clean-fid").T
    assert_allclose(ours, theirs, atol=1e-5)


def test_the_ways_differ_by_more_than_rounding() -> None:
    x = SCRIPT["images"]()[0, :1]
    made = [np.asarray(for_inception(x, 20, convention)) for convention in ("pytorch-fid", "clean-fid", "tensorflow")]
    for i in range(3):
        assert np.abs(made[i] - made[i - 1]).max() > 0.05
    with pytest.raises(InvalidInputError, match="resizing follows 'pytorch-fid', 'clean-fid' or 'tensorflow', got 'bilinear'"):
        for_inception(x, 20, "bilinear")  # type: ignore[arg-type]


# --- files ---


@pytest.mark.parametrize("form", ["new", "old"])
def test_both_of_pytorchs_formats_are_read_without_it(form: str, tmp_path: Path) -> None:
    truth = frozen("torch/")
    file = tmp_path / "state.pth"
    file.write_bytes(truth[f"file/{form}"].tobytes())
    read = read_torch_file(file)
    assert set(read) == {"whole", "part", "half", "counts", "n"}
    for name, value in read.items():
        assert_array_equal(value, truth[f"value/{name}"])
        assert value.dtype == truth[f"value/{name}"].dtype


class _Harm:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("harm",))


def test_a_file_with_more_than_tensors_is_refused_unexecuted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.pth"
    file.write_bytes(pickle.dumps(_Harm()))
    with pytest.raises(DataError, match=r"no state dict of PyTorch: it names builtins.print, and only tensors are read"):
        read_torch_file(file)
    assert "harm" not in capsys.readouterr().out


def test_what_is_no_weights_file(tmp_path: Path, saved: Callable[[str], str]) -> None:
    with pytest.raises(DataError, match="there are no weights"):
        read_weights(tmp_path / "missing.pth")
    (tmp_path / "text.safetensors").write_bytes(b"not at all")
    with pytest.raises(DataError, match="is no safetensors file"):
        read_weights(tmp_path / "text.safetensors")
    damaged = frozen("torch/")["file/old"].tobytes()[:-40]
    (tmp_path / "short.pth").write_bytes(damaged)
    with pytest.raises(DataError, match="is no state dict of PyTorch"):
        read_torch_file(tmp_path / "short.pth")
    with pytest.raises(DataError, match=r"have no array 'fc.weight': they are those of another network"):
        InceptionFeatures(InceptionFeaturesConfig(weights=saved("alex")))
    with pytest.raises(DataError, match=r"has the shape \(64, 3, 11, 11\), not \(64, 3, 3, 3\)"):
        PerceptualFeatures(PerceptualFeaturesConfig(backbone="vgg", weights=saved("alex"), heads=saved("vgg")))
    negative = SCRIPT["arrays"](json.loads(str(frozen("alex/")["shapes"])))
    negative["lin2.model.1.weight"][0, 0] = -1
    save_file(negative, tmp_path / "negative.safetensors")
    with pytest.raises(DataError, match="weigh channels of layer 2 negatively"):
        PerceptualFeatures(PerceptualFeaturesConfig(weights=saved("alex"), heads=str(tmp_path / "negative.safetensors")))


def test_no_weights_and_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARTIFEX_INCEPTION_WEIGHTS", raising=False)
    with pytest.raises(InvalidInputError, match="InceptionFeaturesConfig needs weights: the path of pt_inception-2015-12-05"):
        InceptionFeatures(InceptionFeaturesConfig())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InvalidInputError, match="stlpips_pytorch, which is not installed: pip install --no-deps stlpips-pytorch"
    ):
        LPIPS()
    assert set(BACKBONES) == {(name, tolerant) for name in ("alex", "vgg") for tolerant in (False, True)}


def test_only_the_standard_weights_have_the_name(saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = InceptionFeaturesConfig(weights=saved("inception"))
    assert FrechetInceptionDistance(config).name.startswith("Fréchet distance over Inception V3 (2015-12-05), weights not the")
    digest = read_weights(config.weights).sha256
    monkeypatch.setattr("artifex.modalities.image.features.extractors.STANDARD_DIGEST", digest[:8])
    assert FrechetInceptionDistance(config).name == "FID (pytorch-fid)"
    assert KernelInceptionDistance(config.replace(resize="clean-fid")).name == "KID (clean-fid)"
    probabilities = InceptionProbabilitiesConfig(weights=config.weights, resize="tensorflow")
    assert InceptionScore(probabilities).name == "Inception Score (tensorflow)"


# --- extractors ---


def test_random_convolutions_are_an_extractor_and_the_same_for_ever() -> None:
    extractor = RandomConvolutions(RandomConvolutionsConfig())
    assert isinstance(extractor, FeatureExtractor)
    x = np.linspace(0, 1, 2 * 8 * 8, dtype=np.float32).reshape(2, 8, 8, 1)
    kernel = random_filters(0, 3, 8, 1)[0]
    maps = [correlate(x[0, ..., 0], kernel[:, :, 0, i], mode="constant") for i in range(8)]
    upper_left = [np.maximum(m, 0)[:4, :4].mean() for m in maps]
    assert_allclose(extractor(x)[0, :8], upper_left, atol=1e-6)
    assert_allclose(extractor(x).sum(axis=1), FROZEN_SUMS, rtol=1e-5)
    assert_allclose(extractor((255 * x).astype(np.uint8)), extractor(x), atol=0.02)
    assert extractor(x[..., 0]).shape == (2, 96)
    assert extractor(x.repeat(5, axis=-1)).shape == (2, 96)


@pytest.mark.parametrize("shape", [(3, 1, 1, 1), (3, 2, 3, 3), (2, 33, 17, 3)])
def test_random_convolutions_of_any_size(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    assert np.isfinite(RandomConvolutions(RandomConvolutionsConfig(levels=4))(x)).all()


def test_features_do_not_depend_on_batches_or_devices() -> None:
    x = np.random.default_rng(0).uniform(size=(136, 8, 8, 1)).astype(np.float32)
    extractor = RandomConvolutions(RandomConvolutionsConfig())
    whole = extractor(x)
    for size in (1, 7, 64):
        parts = [extractor(x[i : i + size]) for i in range(0, 16 if size == 1 else len(x), size)]
        assert_allclose(np.concatenate(parts), whole[: sum(map(len, parts))], atol=1e-6)
    mesh = Mesh(np.array(jax.devices()), ("data",))
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    assert_allclose(extractor(spread), whole, atol=1e-6)


@pytest.mark.nightly
def test_inceptions_figures_do_not_depend_on_batches(saved: Callable[[str], str]) -> None:
    """Of 15 images one by one, in sevens and all at once, which are programs for 1, 8 and 16 images."""
    x, y = np.random.default_rng(0).uniform(size=(2, 15, 40, 40, 3)).astype(np.float32)
    extractor = InceptionFeatures(InceptionFeaturesConfig(weights=saved("inception")))
    whole, references = extractor(x), extractor(y)
    figure = frechet(whole, references)
    for size in (1, 7):
        parts = np.concatenate([extractor(x[i : i + size]) for i in range(0, len(x), size)])
        assert_allclose(parts, whole, atol=1e-6 * np.abs(whole).max())
        assert frechet(parts, references) == pytest.approx(figure, rel=1e-6)


@pytest.mark.nightly
def test_perceptual_distances_do_not_depend_on_batches(saved: Callable[[str], str]) -> None:
    x, y = np.random.default_rng(0).uniform(size=(2, 15, 40, 40, 3)).astype(np.float32)
    extractor = PerceptualFeatures(PerceptualFeaturesConfig(weights=saved("alex"), heads=saved("alex")))
    whole, vectors = extractor.distance(x, y), extractor(x)
    for size in (1, 7):
        parts = np.concatenate([extractor.distance(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)])
        assert_allclose(parts, whole, rtol=1e-6)
        own = np.concatenate([extractor(x[i : i + size]) for i in range(0, len(x), size)])
        assert_allclose(own, vectors, atol=1e-6 * np.abs(vectors).max())


def frechet(samples: np.ndarray, references: np.ndarray) -> float:
    metric = FrechetDistance()
    return metric.finalize(metric.state({"samples": samples, "references": references}))


def test_what_is_no_image() -> None:
    extractor = RandomConvolutions(RandomConvolutionsConfig())
    with pytest.raises(InvalidInputError, match=r"images are uint8, or floats in \[0, 1\].*got int64 of shape \(2, 8, 8, 1\)"):
        extractor(np.zeros((2, 8, 8, 1), np.int64))
    with pytest.raises(InvalidInputError, match=r"images\[1\] holds 200"):
        extractor(np.array([0.0, 200.0]).reshape(2, 1, 1, 1))
    with pytest.raises(InvalidInputError, match="there are no images to take features of"):
        extractor(np.zeros((0, 8, 8, 1)))


def test_the_named_figures_take_any_extractor_and_stream() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(2, 120, 8, 8, 1)).astype(np.float32)
    fid = FrechetInceptionDistance(RandomConvolutions(RandomConvolutionsConfig()))
    assert isinstance(fid, MergedMetric)
    assert fid.name == "Fréchet distance over random convolutions, levels=3, filters=8, seed=0"
    state = fid.state({"samples": x[:50], "references": y})
    assert_allclose(fid.finalize(fid.merge(state, fid.state({"samples": x[50:]}))), float(fid(x, y)), rtol=1e-6)
    assert str(KernelInceptionDistance(fid.features)(x, y)).startswith("kernel distance over random convolutions")
    with pytest.raises(InvalidTypeError, match="an extractor of features is needed, got int"):
        FrechetInceptionDistance(3)  # type: ignore[arg-type]
