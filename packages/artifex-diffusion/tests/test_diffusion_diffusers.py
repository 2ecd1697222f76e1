"""diffusers: its schedules, its samplers' steps and its networks' numbers are ours.

Schedules are theirs in float32, with a thousand roundings; samplers are compared step by step, from their own sample before
each step, so that no difference hides behind a later one. Networks are some ten layers of float32: 1e-4 of outputs near one.
"""

from __future__ import annotations

import json
import math
import runpy
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import InvalidInputError
from artifex.diffusion import DDPMConfig, DDPMModel, NoiseScheduleConfig, load_diffusers, noise_table, samplers
from artifex.diffusion.processes import Levels, create_process

TESTS = Path(__file__).parent
Arrays = dict[str, np.ndarray]
STEPS = ("ddpm", "ddim", "euler", "heun", "dpm_solver_pp_2m")
NETWORKS = ("plain", "scale_shift", "context", "dit")


@pytest.fixture(params=["frozen", pytest.param("live", marks=pytest.mark.reference)], scope="module")
def frozen(request: pytest.FixtureRequest) -> Arrays:
    if request.param == "live":
        with warnings.catch_warnings():  # their schedulers hand tensors to NumPy in a way of old
            warnings.simplefilter("ignore", DeprecationWarning)
            return runpy.run_path(str(TESTS / "frozen_diffusers.py"))["everything"]()
    with np.load(TESTS / "frozen_diffusers.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine", "zero_terminal_snr"])
def test_schedules_are_theirs(frozen: Arrays, name: str):
    zero = name == "zero_terminal_snr"
    table = noise_table(NoiseScheduleConfig(schedule_type="linear" if zero else name, zero_terminal_snr=zero))
    theirs = frozen[f"table/{name}"]
    assert_allclose(table.alpha**2, theirs, atol=1e-5)
    assert_allclose(table.sigma**2, 1 - theirs, atol=1e-5)
    if zero:
        assert table.alpha[-1] == 0
    else:  # to the last digits where little is left, but for a thousand roundings of theirs
        assert_allclose(table.alpha**2, theirs, rtol=2e-4)


def predicted(x):
    """Stands for a network that predicts noise."""
    return jnp.tanh(1.3 * x) + 0.1 * x


@pytest.mark.parametrize("kind", STEPS)
def test_every_step_is_theirs(frozen: Arrays, kind: str, monkeypatch: pytest.MonkeyPatch):
    process = create_process(NoiseScheduleConfig())
    levels = process.levels(10, None).to_the_end()
    assert_array_equal(levels.t[:-1], frozen[f"times/{kind}"][:: 2 if kind == "heun" else 1])
    kept = frozen[f"steps/{kind}"]
    if kind == "heun":  # a step of two, the last of one
        kept = np.concatenate([kept[0:-1:2], kept[-1:]])
    if kind in ("euler", "heun"):  # theirs is x / alpha
        kept = kept * levels.alpha.astype(np.float32)[:, None, None]

    def denoise(x, t):
        alpha, sigma = (level[0] for level in process.at(jnp.reshape(t, (1,))))
        return (x - sigma * predicted(x)) / alpha

    if kind == "dpm_solver_pp_2m":  # which remembers: so many steps from the start, each time
        for n in range(1, 11):
            first = Levels(*(column[: n + 1] for column in levels))
            assert close(samplers.dpm_solver_pp_2m(denoise, jnp.asarray(kept[0]), first), kept[n])
        return
    for i in range(10):
        pair = Levels(*(column[i : i + 2] for column in levels))
        x = jnp.asarray(kept[i])
        if kind == "ddpm":
            noise = frozen["noise/ddpm"][i]
            monkeypatch.setattr(jax.random, "normal", lambda *_, noise=noise: jnp.asarray(noise))
            got = samplers.ddpm(denoise, x, pair, jax.random.key(0))
        else:
            got = {"ddim": samplers.ddim, "euler": samplers.euler, "heun": samplers.heun}[kind](denoise, x, pair)
        assert close(got, kept[i + 1]), (i, np.abs(np.asarray(got) - kept[i + 1]).max())


def close(got, wanted) -> bool:
    """To 1e-5 of the sample's size."""
    return bool(np.abs(np.asarray(got) - wanted).max() <= 1e-5 * max(1.0, float(np.abs(wanted).max())))


def state(frozen: Arrays, kind: str) -> Arrays:
    shapes = json.loads(str(frozen[f"{kind}/shapes"]))
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
    parts = np.split(frozen[f"{kind}/weights"].astype(np.float32), ends[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def loaded(frozen: Arrays, kind: str, weights: Arrays | None = None, **changed):
    settings = {**json.loads(str(frozen[f"{kind}/settings"])), **changed}
    return load_diffusers(state(frozen, kind) if weights is None else weights, settings=settings, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("kind", NETWORKS)
def test_weights_of_diffusers_give_its_numbers(frozen: Arrays, kind: str):
    network = loaded(frozen, kind)
    given = None if f"{kind}/given" not in frozen else jnp.asarray(frozen[f"{kind}/given"])
    x, t = jnp.asarray(frozen[f"{kind}/x"]), jnp.asarray(frozen[f"{kind}/t"], jnp.float32)
    out = jax.jit(lambda x, t: network(x, t, given))(x, t)
    assert np.abs(frozen[f"{kind}/out"]).max() > 0.1
    assert_allclose(out, frozen[f"{kind}/out"], atol=1e-4)


def test_a_loaded_network_goes_into_a_model(frozen: Arrays):
    network = loaded(frozen, "scale_shift")
    model = DDPMModel(DDPMConfig(input_shape=network.shape, backbone=network.config), rngs=nnx.Rngs(0))
    assert jax.tree.structure(nnx.state(model.network)) == jax.tree.structure(nnx.state(network))
    model.network = network
    x, t = jnp.asarray(frozen["scale_shift/x"]), jnp.array([3.0, 250.0, 999.0])
    alpha, sigma = (level[:, None, None, None] for level in model.process.at(t))
    assert_allclose(model.denoise(x, t), (x - sigma * frozen["scale_shift/out"]) / alpha, rtol=1e-3, atol=1e-4)


def test_what_does_not_fit_is_named(frozen: Arrays):
    weights = state(frozen, "plain")
    with pytest.raises(InvalidInputError, match="give settings="):
        load_diffusers(weights, rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match=r"lack conv_out\.bias"):
        loaded(frozen, "plain", {name: value for name, value in weights.items() if name != "conv_out.bias"})
    with pytest.raises(InvalidInputError, match=r"no place for more\.weight"):
        loaded(frozen, "plain", {**weights, "more.weight": np.ones(2)})
    with pytest.raises(InvalidInputError, match="time_embedding_type is 'fourier'; known here is 'positional'"):
        loaded(frozen, "plain", time_embedding_type="fourier")
    with pytest.raises(InvalidInputError, match="SkipDownBlock2D"):
        loaded(frozen, "plain", down_block_types=["SkipDownBlock2D", "AttnDownBlock2D"])
    with pytest.raises(InvalidInputError, match="predicts variances"):
        loaded(frozen, "dit", out_channels=4)
    other = state(frozen, "dit")
    name = "transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.bias"
    with pytest.raises(InvalidInputError, match="embedded once for all blocks"):
        loaded(frozen, "dit", {**other, name: other[name] + 1})
