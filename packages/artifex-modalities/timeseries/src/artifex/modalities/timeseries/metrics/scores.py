"""Whether a network can tell samples from real series, and whether one that learnt from samples can forecast real ones.

J. Yoon, D. Jarrett, M. van der Schaar 2019, "Time-series generative adversarial networks" (NeurIPS), section 5.2. Their
networks are recurrent; here both are causal convolutions, trained from several seeds at once, so figures are comparable with
each other and not with the paper's.

Shapes: ``N`` series, ``L`` steps, ``C`` channels, ``H`` width, ``S`` seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.timeseries.metrics.dependence import pair, varies
from artifex.modalities.timeseries.series import filled, lengths_of

__all__ = [
    "Score",
    "discriminative",
    "discriminative_score",
    "discriminative_score_of_one",
    "predictive",
    "predictive_score",
    "predictive_score_of_one",
]

WIDTH, TAPS, STEPS, BATCH, RATE = 32, 5, 400, 64, 3e-3
TEST_SHARE = 0.25
Params = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Score:
    """A score of several networks that differ in their seeds."""

    mean: float
    """Mean of the seeds."""
    std: float
    """Standard deviation of the seeds."""


def discriminative(samples: Any, references: Any, *, n_seeds: int = 3, seed: int = 0) -> Score:
    """``|accuracy - 1/2|`` of a network that tells samples from real series, on a quarter that it was not trained on.

    0: they cannot be told apart; 1/2: always. The same number of each is used; series without a value are left out.

    Args:
        samples: series.
        references: real ones.
        n_seeds: networks, each with its own start, order and split.
        seed: of all of them.

    Raises:
        InvalidInputError: there are fewer than eight of either, or a value is infinite.
    """
    x, y = _pair(samples, references, steps=1)
    n = min(len(x), len(y))
    if n < 8:
        raise InvalidInputError(f"a discriminative score needs eight series of each kind or more, got {len(x)} and {len(y)}")
    found = []
    for key in jax.random.split(jax.random.key(seed), n_seeds):
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
        chosen = [side[rng.permutation(len(side))[:n]] for side in (x, y)]
        cut = round(n * TEST_SHARE)
        train = _arrays(np.concatenate([side[cut:] for side in chosen]), np.repeat([0.0, 1.0], n - cut))
        test = _arrays(np.concatenate([side[:cut] for side in chosen]), np.repeat([0.0, 1.0], cut))
        params = _train(train, key, loss=_telling)
        logits = _pooled(params, test["x"], test["mask"])
        found.append(abs(float(jnp.mean((logits > 0) == (test["y"] > 0))) - 0.5))
    return Score(float(np.mean(found)), float(np.std(found)))


def predictive(samples: Any, references: Any, *, n_seeds: int = 3, seed: int = 0) -> Score:
    """Mean absolute error of forecasts of real series one step ahead by a network that learnt from samples.

    In standard deviations of the real series. Series of one step are left out.

    Args:
        samples: series to learn from; real ones give the figure to compare with.
        references: real series to forecast.
        n_seeds: networks, each with its own start and order.
        seed: of all of them.

    Raises:
        InvalidInputError: none of either has two steps, or a value is infinite.
    """
    x, y = _pair(samples, references, steps=2)
    if not (len(x) and len(y)):
        raise InvalidInputError(
            "a predictive score needs series of two steps or more, since it forecasts the next one; that many have "
            f"{len(x)} samples and {len(y)} references: give at least one of each"
        )
    train, test = (_arrays(side, np.zeros(len(side))) for side in (x, y))
    keys = jax.random.split(jax.random.key(seed), n_seeds)
    found = [float(_forecast_error(_train(train, key, loss=_forecast_error), test)) for key in keys]
    return Score(float(np.mean(found)), float(np.std(found)))


def discriminative_score(samples: Any, references: Any) -> float:
    """Mean over three seeds of :func:`discriminative`."""
    return discriminative(samples, references).mean


def discriminative_score_of_one(samples: Any, references: Any) -> float:
    """:func:`discriminative` of one network: what the interval of :func:`discriminative_score` is made of.

    Twenty random halves with a network each vary with the series and with the seed, the mean over three seeds less with the
    seed: the interval is too wide rather than too narrow, for a third of the training.
    """
    return discriminative(samples, references, n_seeds=1).mean


def predictive_score(samples: Any, references: Any) -> float:
    """Mean over three seeds of :func:`predictive`."""
    return predictive(samples, references).mean


def predictive_score_of_one(samples: Any, references: Any) -> float:
    """:func:`predictive` of one network, as :func:`discriminative_score_of_one`."""
    return predictive(samples, references, n_seeds=1).mean


def _pair(samples: Any, references: Any, *, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Those of as many ``steps``, standardised by the real series, gaps filled, NaN after the end, both of one length."""
    x, y = pair(samples, references)
    for name, side in (("samples", x), ("references", y)):
        if (bad := np.isinf(side).any(axis=(1, 2))).any():
            raise InvalidInputError(f"{name}[{int(np.argmax(bad))}] holds what is infinite; mend it, or leave that series out")
    if (empty := np.isnan(y).all(axis=(0, 1))).any():
        raise InvalidInputError(f"references have no value in channel {int(np.argmax(empty))}; leave it out of both")
    centre = np.where(varies(y), np.nanmean(y, axis=(0, 1)), np.nanmax(y, axis=(0, 1)))  # no signal from a mean's rounding
    scale = np.where(varies(y), np.nanstd(y, axis=(0, 1)), 1.0)
    longest = max(x.shape[1], y.shape[1])
    x, y = (
        np.pad((filled(side) - centre) / scale, ((0, 0), (0, longest - side.shape[1]), (0, 0)), constant_values=np.nan)
        for side in (x, y)
    )
    return x[lengths_of(x) >= steps], y[lengths_of(y) >= steps]


def _arrays(x: np.ndarray, y: np.ndarray) -> dict[str, Array]:
    mask = np.arange(x.shape[1]) < lengths_of(x)[:, None]
    return {
        "x": jnp.asarray(np.where(mask[..., None], x, 0.0), jnp.float32),
        "mask": jnp.asarray(mask, jnp.float32),
        "y": jnp.asarray(y, jnp.float32),
    }


def _initial(key: Array, channels: int, out: int) -> Params:
    """He's initialisation (arXiv:1502.01852)."""
    one, two, three = jax.random.split(key, 3)
    return {
        "first": jax.random.normal(one, (TAPS, channels, WIDTH), jnp.float32) * math.sqrt(2 / (TAPS * channels)),
        "first_bias": jnp.zeros(WIDTH, jnp.float32),
        "second": jax.random.normal(two, (TAPS, WIDTH, WIDTH), jnp.float32) * math.sqrt(2 / (TAPS * WIDTH)),
        "second_bias": jnp.zeros(WIDTH, jnp.float32),
        "head": jax.random.normal(three, (WIDTH, out), jnp.float32) * math.sqrt(1 / WIDTH),
        "head_bias": jnp.zeros(out, jnp.float32),
    }


def _features(params: Params, x: Float[Array, "N L C"]) -> Float[Array, "N L H"]:
    """Two causal convolutions: the output at a step knows that step and those before it."""
    for layer in ("first", "second"):
        kernel, length = params[layer], x.shape[1]
        early = jnp.pad(x, ((0, 0), (TAPS - 1, 0), (0, 0)))
        taps = jnp.concatenate([early[:, k : k + length] for k in range(TAPS)], axis=-1)
        x = jax.nn.relu(taps @ kernel.reshape(-1, kernel.shape[-1]) + params[f"{layer}_bias"][None, None])
    return x


def _pooled(params: Params, x: Float[Array, "N L C"], mask: Float[Array, "N L"]) -> Float[Array, "N"]:
    """One logit a series, from the mean over its steps."""
    weight = mask / jnp.sum(mask, axis=1, keepdims=True)
    pooled = jnp.sum(_features(params, x) * weight[:, :, None], axis=1)
    return (pooled @ params["head"] + params["head_bias"][None])[:, 0]


def _telling(params: Params, batch: dict[str, Array]) -> Array:
    """Cross-entropy."""
    logits = _pooled(params, batch["x"], batch["mask"])
    return jnp.mean(jax.nn.softplus(logits) - batch["y"] * logits)


def _forecast_error(params: Params, batch: dict[str, Array]) -> Array:
    """Mean absolute error one step ahead: what is forecast is the change."""
    x, counted = batch["x"], batch["mask"][:, 1:, None]
    ahead = x[:, :-1] + (_features(params, x) @ params["head"] + params["head_bias"][None, None])[:, :-1]
    return jnp.sum(jnp.abs(ahead - x[:, 1:]) * counted) / (jnp.sum(counted) * x.shape[2])


@partial(jax.jit, static_argnames="loss")
def _train(data: dict[str, Array], key: Array, *, loss: Callable[[Params, dict[str, Array]], Array]) -> Params:
    """Adam (arXiv:1412.6980) over all its steps in one scan."""
    start, order = jax.random.split(key)
    channels = data["x"].shape[2]
    params = _initial(start, channels, 1 if loss is _telling else channels)

    def step(state: tuple[Params, Params, Params], now: tuple[Array, Array]) -> tuple[tuple[Params, Params, Params], None]:
        params, mean, square = state
        t, draw = now
        rows = jax.random.randint(draw, (min(BATCH, len(data["x"])),), 0, len(data["x"]), jnp.int32)
        slope = jax.grad(loss)(params, {name: values[rows] for name, values in data.items()})
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, square, slope)
        rate = RATE * (1 - t / STEPS)

        def moved(p: Array, m: Array, v: Array) -> Array:
            return p - rate * m / (1 - 0.9 ** (t + 1)) / (jnp.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)

        return (jax.tree.map(moved, params, mean, square), mean, square), None

    zeros = jax.tree.map(jnp.zeros_like, params)
    times = jnp.arange(STEPS, dtype=data["x"].dtype), jax.random.split(order, STEPS)
    (params, _, _), _ = jax.lax.scan(step, (params, zeros, zeros), times)
    return params
