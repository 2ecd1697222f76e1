"""Stable Diffusion's autoencoders: the weights of diffusers give the same numbers here, and ours there.

Rounding: float32 networks of some twenty layers; 1e-4 is asked of outputs of order one.
"""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import InvalidInputError
from artifex.vae import KLAutoencoder, KLAutoencoderConfig, load_diffusers, save_diffusers

TESTS = Path(__file__).parent
Arrays = dict[str, np.ndarray]


@pytest.fixture(params=["sd", "sd3"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def frozen(kind: str) -> Arrays:
    with np.load(TESTS / "frozen_diffusers.npz") as file:
        return {name.removeprefix(f"{kind}/"): file[name] for name in file.files if name.startswith(f"{kind}/")}


@pytest.fixture(params=["frozen", pytest.param("live", marks=pytest.mark.reference)])
def case(request: pytest.FixtureRequest, kind: str) -> Arrays:
    if request.param == "live":
        return runpy.run_path(str(TESTS / "frozen_diffusers.py"))["case"](kind)
    return frozen(kind)


def state(case: Arrays) -> Arrays:
    shapes = json.loads(str(case["shapes"]))
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    parts = np.split(case["weights"], ends[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def loaded(case: Arrays, weights: Arrays | None = None) -> KLAutoencoder:
    weights = state(case) if weights is None else weights
    return load_diffusers(weights, settings=json.loads(str(case["settings"])), rngs=nnx.Rngs(0))


def agrees(model: KLAutoencoder, case: Arrays) -> None:
    settings = json.loads(str(case["settings"]))
    scale, shift = settings["scaling_factor"], settings["shift_factor"] or 0.0
    posterior = model.encode(jnp.asarray(case["x"]))
    assert_allclose(posterior.mean, (case["mean"] - shift) * scale, atol=1e-4)
    assert_allclose(posterior.log_variance, case["logvar"] + 2 * np.log(scale), atol=1e-4)
    assert_allclose(model.decode((jnp.asarray(case["z"]) - shift) * scale), case["decoded"], atol=1e-4)


def test_weights_of_diffusers_give_its_numbers(case: Arrays):
    agrees(loaded(case), case)


def test_names_of_before_load_as_well():
    case = frozen("sd")
    weights = state(case)
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        weights = {name.replace(f".{new}.", f".{old}."): value for name, value in weights.items()}
    assert any(".proj_attn." in name for name in weights)
    agrees(loaded(case, weights), case)


def test_a_saved_folder_loads_with_every_bit(kind: str, tmp_path: Path):
    case = frozen(kind)
    folder = save_diffusers(loaded(case), tmp_path / "vae")
    back = load_diffusers(folder, rngs=nnx.Rngs(1))
    for mine, other in zip(*(jax.tree.leaves(nnx.state(m, nnx.Param)) for m in (loaded(case), back)), strict=True):
        assert_array_equal(mine, other)
    agrees(back, case)


@pytest.mark.reference
def test_a_saved_folder_loads_in_diffusers(kind: str, tmp_path: Path):
    diffusers, case = pytest.importorskip("diffusers"), frozen(kind)
    theirs = diffusers.AutoencoderKL.from_pretrained(save_diffusers(loaded(case), tmp_path / "vae"))
    made = runpy.run_path(str(TESTS / "frozen_diffusers.py"))["outputs"](theirs, case["x"], case["z"])
    for name, value in made.items():
        assert_allclose(value, case[name], atol=1e-4)
    settings = json.loads(str(case["settings"]))
    assert theirs.config.shift_factor == pytest.approx(settings["shift_factor"])
    assert theirs.config.scaling_factor == pytest.approx(settings["scaling_factor"])


def test_what_does_not_fit_is_named(tmp_path: Path):
    case = frozen("sd")
    weights = state(case)
    with pytest.raises(InvalidInputError, match="give settings="):
        load_diffusers(weights, rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=r"lack quant_conv\.bias"):
        loaded(case, {name: value for name, value in weights.items() if name != "quant_conv.bias"})
    with pytest.raises(InvalidInputError, match=r"no place for more\.weight"):
        loaded(case, {**weights, "more.weight": np.ones(2)})
    with pytest.raises(InvalidInputError, match="multiples of 2"):
        load_diffusers(weights, settings=json.loads(str(case["settings"])), image_size=(9, 8), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="norm_groups is 3"):
        KLAutoencoderConfig(input_shape=(8, 8, 1), hidden_dims=(6, 8), norm_groups=3)
    own = KLAutoencoderConfig(input_shape=(4, 4, 1), hidden_dims=(4,), blocks_per_level=1, attention=False)
    with pytest.raises(InvalidInputError, match="a number of groups"):
        save_diffusers(KLAutoencoder(own, rngs=nnx.Rngs(0)), tmp_path)
