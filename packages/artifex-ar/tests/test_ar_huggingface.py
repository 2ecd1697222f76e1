"""Folders of transformers: their GPT-2 and Llama give the same numbers here, and ours there.

Rounding: float32 networks of two layers; 1e-4 is asked of logits of order one to ten.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load_file, save_file

from artifex.ar import TransformerAR, TransformerARConfig, load_huggingface, save_huggingface
from artifex.core.errors import DataError, InvalidInputError

TESTS = Path(__file__).parent
KINDS = ("gpt2", "llama", "llama_tied")
Arrays = dict[str, np.ndarray]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def frozen(kind: str) -> Arrays:
    with np.load(TESTS / "frozen_transformers.npz") as file:
        return {name.removeprefix(f"{kind}/"): file[name] for name in file.files if name.startswith(f"{kind}/")}


@pytest.fixture(params=["frozen", pytest.param("live", marks=pytest.mark.reference)])
def case(request: pytest.FixtureRequest, kind: str) -> Arrays:
    if request.param == "live":
        return runpy.run_path(str(TESTS / "frozen_transformers.py"))["case"](kind)
    return frozen(kind)


def folder_of(case: Arrays, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(str(case["settings"]))
    (folder / "model.safetensors").write_bytes(case["weights"].tobytes())
    return folder


@pytest.mark.daily("frozen-gpt2", "frozen-llama", "live-gpt2", "live-llama", "live-llama_tied")
def test_their_folder_gives_their_logits_and_their_tokens(case: Arrays, tmp_path: Path):
    model = load_huggingface(folder_of(case, tmp_path), rngs=nnx.Rngs(0))
    x, greedy = jnp.asarray(case["x"]), case["greedy"]
    assert_allclose(jax.jit(lambda x: model.following(x))(x), case["logits"], atol=1e-4)
    prompt = x[:, : greedy.shape[1] - 8]
    assert_array_equal(model.generate(3, prompt=prompt, max_new_tokens=8, temperature=0), greedy)


@pytest.mark.daily("gpt2", "llama")
def test_ours_is_theirs_again_key_for_key(kind: str, tmp_path: Path):
    case = frozen(kind)
    theirs = folder_of(case, tmp_path / "theirs")
    ours = save_huggingface(load_huggingface(theirs, rngs=nnx.Rngs(0)), tmp_path / "ours")
    a, b = (load_file(folder / "model.safetensors") for folder in (theirs, ours))
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert_array_equal(value, b[name], err_msg=name)
    again = load_huggingface(ours, rngs=nnx.Rngs(0))
    assert again.config == load_huggingface(theirs, rngs=nnx.Rngs(0)).config


@pytest.mark.reference
def test_transformers_reads_what_we_write(kind: str, tmp_path: Path):
    case = frozen(kind)
    model = load_huggingface(folder_of(case, tmp_path / "theirs"), rngs=nnx.Rngs(0))
    reloaded = runpy.run_path(str(TESTS / "frozen_transformers.py"))["reloaded"]
    logits, keys = reloaded(save_huggingface(model, tmp_path / "ours"), case["x"])
    assert not keys
    assert_allclose(logits, case["logits"], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "bert"}, "a model of type 'bert'; known are gpt2, llama"),
        ({"activation_function": "relu"}, "activation_function 'relu'; known here is 'gelu_new'"),
        ({"n_layer": 3}, r"missing transformer.h.2.attn.c_attn.bias, .* and 9 more, left over none"),
        ({"vocab_size": 24}, r"transformer.wte.weight \(23, 16\) for \(24, 16\)"),
    ],
)
def test_settings_that_do_not_fit_are_said(settings: dict, message: str, tmp_path: Path):
    folder = folder_of(frozen("gpt2"), tmp_path)
    given = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(given))
    with pytest.raises(InvalidInputError, match=message):
        load_huggingface(folder, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("token", [50256, None, "left out"])
def test_a_first_token_that_a_small_vocabulary_lacks_is_none(token: int | str | None, tmp_path: Path):
    """As of every small model of transformers that was given no other: its default stays that of GPT-2."""
    case = frozen("gpt2")
    folder = folder_of(case, tmp_path)
    given = json.loads((folder / "config.json").read_text()) | {"bos_token_id": token}
    if token == "left out":
        del given["bos_token_id"]
    (folder / "config.json").write_text(json.dumps(given))
    model = load_huggingface(folder, rngs=nnx.Rngs(0))
    assert model.config.start_token == 0
    assert_allclose(jax.jit(lambda x: model.following(x))(jnp.asarray(case["x"])), case["logits"], atol=1e-4)


def test_rotary_positions_of_another_kind_are_refused(tmp_path: Path):
    folder = folder_of(frozen("llama"), tmp_path)
    given = json.loads((folder / "config.json").read_text()) | {"rope_parameters": {"rope_type": "yarn"}}
    (folder / "config.json").write_text(json.dumps(given))
    with pytest.raises(InvalidInputError, match="rotary positions of type 'yarn'"):
        load_huggingface(folder, rngs=nnx.Rngs(0))


def test_an_index_and_keys_without_prefix_are_read(tmp_path: Path):
    """A bare model in two files, as large and old folders are."""
    case = frozen("gpt2")
    whole = load_file(folder_of(case, tmp_path) / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    named = {name.removeprefix("transformer."): value for name, value in whole.items()}
    parts = {"a.safetensors": dict(list(named.items())[::2]), "b.safetensors": dict(list(named.items())[1::2])}
    for file, part in parts.items():
        save_file(part, tmp_path / file)
    index = {"weight_map": {name: file for file, part in parts.items() for name in part}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    model = load_huggingface(tmp_path, rngs=nnx.Rngs(0))
    assert_allclose(jax.jit(lambda x: model.following(x))(jnp.asarray(case["x"])), case["logits"], atol=1e-4)


def test_a_folder_of_something_else_is_said(tmp_path: Path):
    with pytest.raises(DataError, match=r"holds no config.json"):
        load_huggingface(tmp_path, rngs=nnx.Rngs(0))


def test_a_model_without_counterpart_is_not_written(tmp_path: Path):
    config = TransformerARConfig(vocab_size=5, context_length=4, num_layers=1, embed_dim=8, num_heads=2)
    with pytest.raises(InvalidInputError, match=r"transformers has no such model: .*start_token None"):
        save_huggingface(TransformerAR(config, rngs=nnx.Rngs(0)), tmp_path / "new")
