"""Every registered metric of six kinds of data: one figure in batches of 1, 7, 64 and all, and on eight devices.

Samples are given and nothing is drawn, so that figures can differ by how they were cut alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class Nearby(Given):
    """Reconstructions are near, and padded places empty."""

    def reconstruct(self, x: Any) -> Any:
        near = x + 0.2 * jnp.sin(jnp.arange(x[0].size, dtype=jnp.float32)).reshape(1, *x.shape[1:])
        return jnp.where(jnp.any(x != 0, axis=(2, 3), keepdims=True), near, 0)


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


SMALL = ("CCO", "CCN", "CC(=O)N", "CC", "C1CCC2CCCCC2C1", "CC(C)F", "C1CCC2CCCC2C1", "C1CC1", "CCC#N")
"""Whose bonds distances tell."""


def in_space(texts: Sequence[str]) -> dict[str, np.ndarray]:
    from artifex.modalities.molecular import conformer, parse_smiles
    from artifex.modalities.molecular.arrays import packed_positions

    made = {text: conformer(parse_smiles(text), seed=1).molecule for text in dict.fromkeys(texts)}
    return packed_positions([made[text] for text in texts], 29)


def crowded() -> np.ndarray:
    """A carbon with seven hydrogens about it, which is no molecule: a row in space."""
    row = np.zeros((29, 8), np.float32)
    ring = 2 * np.pi * np.arange(5) / 5
    row[1:6, :2] = 1.09 * np.stack([np.cos(ring), np.sin(ring)], axis=1)
    row[6, 2], row[7, 2] = 1.09, -1.09
    row[0, 4], row[1:8, 3] = 1, 1
    return row


def molecules(rng: np.random.Generator) -> dict[str, Any]:
    from artifex.modalities.molecular import MolecularModality, MolecularModalityConfig

    drawn, data, training = (in_space(list(rng.choice(names, N))) for names in (SMALL, SMALL[2:], SMALL[:5]))
    drawn["x"][::6] = crowded()
    modality = MolecularModality(MolecularModalityConfig(representation="conformer"))
    return {"modality": modality, "data": data, "samples": drawn["x"], "training": training}


def proteins(rng: np.random.Generator) -> dict[str, Any]:
    from artifex.modalities.protein import ProteinModality, ProteinModalityConfig
    from artifex.modalities.protein.datasets import ProteinFolds, ProteinFoldsConfig

    config = ProteinFoldsConfig(n_train=N, n_held_out=1, min_seq_length=12, max_seq_length=16)
    data = ProteinFolds(config).arrays("train")
    noise = 0.2 * rng.normal(size=data["x"].shape).astype(np.float32)
    samples = np.where(data["mask"][..., None, None], data["x"] + noise, 0)
    modality = ProteinModality(ProteinModalityConfig(max_seq_length=16))
    return {"modality": modality, "data": data, "samples": samples, "model": Nearby()}


def protein_letters(rng: np.random.Generator) -> dict[str, Any]:
    from artifex.modalities.protein import ProteinModality, ProteinModalityConfig, ProteinModelAdapter

    modality = ProteinModality(ProteinModalityConfig(max_seq_length=16, representation="sequence"))
    drawn = [["".join(rng.choice(list("AGKLWX"), rng.integers(1, 17))) for _ in range(N)] for _ in range(2)]
    data, samples = (ProteinModelAdapter(modality).stored(texts) for texts in drawn)
    return {"modality": modality, "data": data, "samples": samples["x"]}


KINDS = {
    "text": texts,
    "audio": sounds,
    "tabular": tables,
    "timeseries": series,
    "molecular": molecules,
    "protein": proteins,
    "protein letters": protein_letters,
}
APART = {"molecule_chemnet_distance"}
"""Needs PyTorch; the session `reference` has it."""


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
    form = getattr(given["modality"].config, "representation", "")
    entries = [entry for entry, _ in registry().entries("metric") if entry.modality == kind.split()[0]]
    names = tuple(sorted({e.name for e in entries if not e.representations or form in e.representations} - APART))
    whole = figures(given, names, len(given["samples"]))
    assert set(whole) == set(names)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    for batch_size, on in ((1, None), (7, None), (64, None), (64, mesh)):
        found = figures(given, names, batch_size, on)
        for name in names:
            assert np.isfinite(whole[name]), name
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-6, atol=1e-9, err_msg=f"{name} in {batch_size}")


def test_graphs_and_molecules_in_space_have_the_figures_of_their_smiles() -> None:
    """One of the samples is no molecule, either way; all figures but those of atoms in space are compared."""
    from artifex.modalities.molecular import MolecularModality, MolecularModalityConfig, MolecularModelAdapter

    samples, data, training = SMALL[:6], SMALL[4:], SMALL[6:] * 3 + SMALL[:3]  # more than the samples, all of which count
    names = {entry.name for entry, _ in registry().entries("metric") if entry.modality == "molecular"} - APART
    compared = tuple(sorted(name for name in names if "stable" not in name))
    texts = MolecularModality(MolecularModalityConfig(max_length=24))
    graphs = MolecularModality(MolecularModalityConfig(representation="graph"))
    space = MolecularModality(MolecularModalityConfig(representation="conformer"))
    stored, as_graphs = MolecularModelAdapter(texts).stored, MolecularModelAdapter(graphs).stored
    full = as_graphs(["CC(C)(C)C"])["x"]
    full[0, 0, 11] = full[0, 1, 10] = 2  # five pairs of electrons about a carbon
    broken = np.zeros((1, 24), np.int32)
    broken[0, 0] = texts.config.tokens.index("(")
    found = [
        figures(given, compared, 4)
        for given in (
            {
                "modality": texts,
                "samples": np.concatenate([stored(samples)["x"], broken]),
                "data": stored(data),
                "training": stored(training),
            },
            {
                "modality": graphs,
                "samples": np.concatenate([as_graphs(samples)["x"], full]),
                "data": as_graphs(data),
                "training": as_graphs(training),
            },
            {
                "modality": space,
                "samples": np.concatenate([in_space(samples)["x"], crowded()[None]]),
                "data": in_space(data),
                "training": in_space(training),
            },
        )
    ]
    assert set(found[0]) == set(compared)
    assert found[0]["molecule_validity"] == 6 / 7
    assert found[0]["molecule_novelty"] == 1 / 2
    for name in compared:
        for other in found[1:]:
            np.testing.assert_allclose(other[name], found[0][name], rtol=1e-12, err_msg=name)
