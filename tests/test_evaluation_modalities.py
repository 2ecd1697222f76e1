"""Every registered metric of texts, sounds, tables and series: one figure in batches of 1, 7, 64 and all, and on eight devices.

Samples are given and nothing is drawn, so that figures can differ by how they were cut alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import nnx

from artifex.core.measuring import EvaluationConfig
from artifex.core.plugins import registry
from artifex.evaluation import EvaluationPipeline

N = 72
"""Examples: more than a batch of 64, and as many on each of eight devices."""


class Given(nnx.Module):
    """A model whose samples are given, for what compares reconstructions with their originals."""

    def __call__(self, x: Any, *, rngs: Any = None) -> dict:
        return {}

    def generate(self, n_samples: int = 1, *, rngs: Any = None) -> Any:
        raise AssertionError("samples are given")


class Near(Given):
    """Reconstructions are near."""

    def reconstruct(self, x: Any) -> Any:
        return 0.9 * x + 0.01 * jnp.sin(jnp.arange(x.shape[1], dtype=jnp.float32)).reshape(1, -1, *[1] * (x.ndim - 2))


class Bigrams(Given):
    """A law of tokens given the one before; reconstructions have other spaces."""

    def log_prob(self, x: Any, *, mask: Any = None) -> Any:
        table = jax.nn.log_softmax(jnp.sin(jnp.arange(257.0 * 257)).reshape(257, 257), axis=-1)
        terms = table[jnp.pad(x, ((0, 0), (1, 0)))[:, :-1], x]
        return jnp.sum(terms if mask is None else jnp.where(mask, terms, 0), axis=1)

    def reconstruct(self, x: Any) -> Any:
        at = jnp.arange(x.shape[1])[None, :]
        return jnp.where((x == ord(" ")) & (at % 3 == 0), ord("-"), x)


def texts(rng: np.random.Generator) -> dict[str, Any]:
    from artifex.modalities.text import TextModality, TextModalityConfig

    words = ["the", "a", "cat", "dog", "sat", "on", "mat", "ça", "天気", "кот", "1,000", "it's"]
    modality = TextModality(TextModalityConfig(length=96))
    drawn = [modality.batch_of([" ".join(rng.choice(words, rng.integers(0, 9))) for _ in range(N)]) for _ in range(2)]
    return {"modality": modality, "data": drawn[0], "samples": drawn[1]["x"], "model": Bigrams()}


def sounds(rng: np.random.Generator) -> dict[str, Any]:
    from artifex.modalities.audio import AudioModality, AudioModalityConfig

    loud = 0.02 + 0.1 * np.sin(2 * np.pi * 3 * np.arange(16000) / 16000) ** 2  # in bursts, as syllables are
    clean = (loud * np.cumsum(rng.normal(size=(N, 16000)), axis=1) / 60).clip(-1, 1).astype(np.float32)
    noisy = clean + 0.01 * rng.normal(size=clean.shape).astype(np.float32)
    return {"modality": AudioModality(AudioModalityConfig()), "data": {"x": clean}, "samples": noisy, "model": Near()}


def tables(rng: np.random.Generator) -> dict[str, Any]:
    from artifex.modalities.tabular import TabularModality

    def draw(n: int) -> pd.DataFrame:
        a = rng.normal(size=n)
        a[rng.random(n) < 0.1] = np.nan
        return pd.DataFrame(
            {"a": a, "b": rng.integers(0, 9, n), "c": rng.choice(list("xyz"), n), "d": rng.choice(list("uv"), n)}
        )

    train = draw(150)
    modality = TabularModality.fit(train)
    stored = {name: {"x": modality.encode(draw(120))} for name in ("data", "holdout")}
    samples = np.asarray(modality.prepare({"x": modality.encode(draw(120))}, train=False)["x"])
    return {"modality": modality, "samples": samples, "training": {"x": modality.encode(train)}, **stored}


def series(rng: np.random.Generator) -> dict[str, Any]:
    from artifex.modalities.timeseries import TimeseriesModality

    data, drawn = (np.cumsum(rng.normal(size=(N, 16, 2)), axis=1).astype(np.float32) for _ in range(2))
    modality = TimeseriesModality.fit(data)
    samples = np.asarray(modality.prepare({"x": drawn}, train=False)["x"])
    return {"modality": modality, "data": {"x": data}, "samples": samples, "model": Near()}


KINDS = {"text": texts, "audio": sounds, "tabular": tables, "timeseries": series}


def figures(given: Mapping[str, Any], names: tuple[str, ...], batch_size: int, mesh: Any = None) -> dict[str, float]:
    config = EvaluationConfig(metrics=names, batch_size=batch_size, n_samples=len(given["samples"]))
    given = dict(given)
    model, data, modality = given.pop("model", None), given.pop("data"), given.pop("modality")
    result = EvaluationPipeline(config, mesh=mesh, replicates=2).evaluate(model, data, modality, **given)
    assert result.ok, result.failures
    return {name: one.value for name, one in result.items()}


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_is_the_same_in_all_batches_and_on_eight_devices(kind: str) -> None:
    given = KINDS[kind](np.random.default_rng(0))
    names = tuple(sorted(entry.name for entry, _ in registry().entries("metric") if entry.modality == kind))
    whole = figures(given, names, len(given["samples"]))
    assert set(whole) == set(names)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    for batch_size, on in ((1, None), (7, None), (64, None), (64, mesh)):
        found = figures(given, names, batch_size, on)
        for name in names:
            assert np.isfinite(whole[name]), name
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-6, atol=1e-9, err_msg=f"{name} in {batch_size}")
