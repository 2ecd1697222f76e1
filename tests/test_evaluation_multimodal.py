"""How well parts find each other, through the pipeline: of embeddings that are known, of encoders, of a joint VAE's run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core import create_model
from artifex.core.measuring import EvaluationConfig
from artifex.evaluation import EvaluationPipeline
from artifex.modalities.multimodal import (
    JointEncoder,
    JointEncoderConfig,
    MultiModalModality,
    MultiModalModalityConfig,
)
from artifex.modalities.multimodal.metrics import recall_at_k, squared_distances
from artifex.vae import JointVAEConfig

NAMES = {"recall_at_1", "recall_at_5", "median_rank", "alignment", "uniformity"}
N, WIDTH = 200, 8
PARTS = [
    {"part": "one", "stored": "x", "modality": {"kind": "waves", "length": WIDTH}},
    {"part": "other", "modality": {"kind": "waves", "length": WIDTH}},
]
MODALITY = MultiModalModality(MultiModalModalityConfig.from_dict({"parts": PARTS}))


class Known:
    """The parts are their own embeddings."""

    def embed_parts(self, x: Any, *, mask: Any = None) -> Any:
        there = jnp.ones(x.shape, bool) if mask is None else mask
        return jnp.where(there, x, 0.0).reshape(x.shape[0], 2, WIDTH)


def directions(seed: int = 0, n: int = N) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def measured(model: Any, data: dict[str, np.ndarray], batch_size: int = 64) -> Any:
    pipeline = EvaluationPipeline(EvaluationConfig(batch_size=batch_size))
    return pipeline.evaluate(model, data, MODALITY, data_name="made")


def test_parts_in_one_place_find_each_other() -> None:
    result = measured(Known(), {"x": directions(), "other": directions()})
    assert result.ok, result.failures
    assert set(result) == NAMES
    for name, value in {"recall_at_1": 1, "recall_at_5": 1, "median_rank": 1}.items():
        assert (result[name].value, result[name].low, result[name].high) == (value, value, value)
    assert result["alignment"].value == pytest.approx(0, abs=1e-12)
    for name in NAMES:
        found = result[name]
        assert found.n == N
        assert found.low <= found.value <= found.high
        assert found.signature.data.startswith("made:")
        assert found.signature.version.startswith("artifex-modalities-multimodal ")


def test_parts_that_do_not_belong_together_find_each_other_by_chance() -> None:
    result = measured(Known(), {"x": directions(0), "other": directions(1)})
    # 400 questions, each right with a probability of k / 200: their number has a deviation of at most sqrt(400 k / 200)
    for name, k in (("recall_at_1", 1), ("recall_at_5", 5)):
        assert abs(400 * result[name].value - 2 * k) < 4 * np.sqrt(2 * k)
        assert 0 < result[name].high - result[name].low < 0.1
    assert abs(result["median_rank"].value - 100.5) < 4 * 200 / np.sqrt(12 * 400) * np.sqrt(3)  # a median of uniform ranks
    # independent directions: E|x - y|^2 = 2, with a deviation of 2 / sqrt(WIDTH) each
    assert abs(result["alignment"].value - 2) < 4 * 2 / np.sqrt(WIDTH * N)
    assert result["alignment"].low < 2 < result["alignment"].high


def test_batches_change_no_figure_and_examples_without_a_part_do_not_count() -> None:
    x, other = directions(0), (directions(0) + directions(1)) / 2
    there = np.arange(N) % 4 != 0
    data = {"x": x, "other": np.where(there[:, None], other, np.nan).astype(np.float32), "other.present": there}
    results = [measured(Known(), data, batch_size) for batch_size in (1, 7, 64, N)]
    for result in results:
        assert result.ok, result.failures
        assert {name: result[name].value for name in NAMES} == pytest.approx(
            {name: results[0][name].value for name in NAMES}, rel=1e-6
        )
    kept = [a[there].astype(np.float64) for a in (x, other)]
    expected = (recall_at_k(*kept).mean() + recall_at_k(*kept[::-1]).mean()) / 2
    assert 0.1 < expected < 1
    assert results[0]["recall_at_1"].value == pytest.approx(expected)
    assert results[0]["alignment"].value == pytest.approx(squared_distances(*kept).mean(), rel=1e-6)


def test_encoders_and_joint_vaes_are_measured_and_other_models_are_not() -> None:
    data = {"x": directions(0), "other": directions(1)}
    parts = [{"part": name, "size": WIDTH} for name in ("one", "other")]
    encoder = JointEncoder(JointEncoderConfig.from_dict({"parts": parts, "width": 4}), rngs=nnx.Rngs(0))
    batch = MODALITY.prepare(data, train=False)
    embedded = np.asarray(encoder.embed_parts(batch["x"], batch["mask"]))
    result = measured(encoder, data)
    assert result["alignment"].value == pytest.approx(squared_distances(embedded[:, 0], embedded[:, 1]).mean(), rel=1e-5)

    dense = {"encoder": {"hidden_dims": [8], "input_shape": [WIDTH], "activation": "silu"}, "decoder": {"hidden_dims": [8]}}
    of = [{"part": name, **dense, "likelihood": "gaussian"} for name in ("one", "other")]
    for experts in ("product", "mixture"):
        config = JointVAEConfig.from_dict({"parts": of, "latent_dim": 3, "experts": experts})
        model = create_model(config, rngs=nnx.Rngs(0))
        alone = jnp.arange(2 * WIDTH)[None].repeat(N, axis=0) < WIDTH
        means = [np.asarray(model.encode(batch["x"], mask=mask).mean) for mask in (alone, ~alone)]
        result = measured(model, data)
        assert result["alignment"].value == pytest.approx(squared_distances(*means).mean(), rel=1e-5)
        assert set(result) >= NAMES

    class Silent(nnx.Module):
        def __call__(self, x: Any, *, rngs: Any = None) -> dict[str, Any]:
            return {}

    skipped = measured(Silent(), data).skipped
    assert {skipped[name] for name in NAMES} == {"the model has no embed_parts"}


def test_prepared_arrays_on_a_mesh_have_the_figures_of_one_device() -> None:
    data = {"x": directions(0), "other": (directions(0) + directions(1)) / 2}
    one = measured(Known(), data)
    prepared = {key: np.asarray(MODALITY.prepare(data, train=False)[key]) for key in ("x", "mask")}
    mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = EvaluationPipeline(mesh=mesh).evaluate(Known(), prepared, "multimodal")
    assert spread.ok, spread.failures
    assert {name: spread[name].value for name in NAMES} == pytest.approx({name: one[name].value for name in NAMES}, rel=1e-6)
