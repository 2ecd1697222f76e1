"""Four ways to fuse, one interface: against NumPy, with parts missing, and what training makes of encoders."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import InvalidInputError
from artifex.modalities.multimodal import (
    AttentionFusionConfig,
    ConcatenationFusionConfig,
    GatedFusionConfig,
    HierarchicalFusionConfig,
    JointEncoder,
    JointEncoderConfig,
    contrastive_loss,
)
from artifex.modalities.multimodal.fusion import create_fusion

KINDS = {
    "concatenation": ConcatenationFusionConfig(),
    "attention": AttentionFusionConfig(heads=2),
    "gated": GatedFusionConfig(),
    "hierarchical": HierarchicalFusionConfig(groups=((0, 2), (1,))),
}
RNG = np.random.default_rng(0)
E = RNG.normal(size=(6, 3, 4)).astype(np.float32)
PRESENT = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]], bool)


def fusion(kind: str) -> Any:
    return create_fusion(KINDS[kind], 3, 4, rngs=nnx.Rngs(0))


def arrays(module: Any) -> dict[str, np.ndarray]:
    return {".".join(map(str, path)): np.asarray(v) for path, v in nnx.to_flat_state(nnx.as_pure(nnx.state(module)))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("noise", [7.0, np.nan])
def test_what_stands_in_a_missing_place_changes_nothing(kind: str, noise: float) -> None:
    module = fusion(kind)

    @jax.jit
    def value(module: Any, e: jax.Array) -> Any:
        def total(module: Any, e: jax.Array) -> jax.Array:
            return jnp.sum(jnp.square(module(e, PRESENT)))

        return module(e, PRESENT), nnx.grad(total)(module, e), jax.grad(total, argnums=1)(module, e)

    zeros = value(module, jnp.where(PRESENT[..., None], E, 0.0))
    noisy = value(module, jnp.where(PRESENT[..., None], E, noise))
    jax.tree.map(assert_array_equal, zeros, noisy)
    assert np.isfinite(zeros[0]).all()
    assert_array_equal(np.asarray(zeros[2])[~PRESENT], 0.0)
    assert (np.abs(np.asarray(zeros[2])[PRESENT]).max(axis=-1) > 0).all()  # and every part that is there counts


def gated(p: dict[str, np.ndarray], prefix: str, e: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The unit of Arevalo et al., example by example."""
    made = np.zeros((len(e), e.shape[-1]))
    for b in range(len(e)):
        there = np.flatnonzero(present[b])
        if not len(there):
            continue
        scores = np.where(present[b][:, None], e[b], 0).ravel() @ p[f"{prefix}gates.kernel"] + p[f"{prefix}gates.bias"]
        weights = np.exp(scores[there] - scores[there].max())
        for weight, m in zip(weights / weights.sum(), there, strict=True):
            made[b] += weight * np.tanh(e[b, m] @ p[f"{prefix}states.{m}.kernel"] + p[f"{prefix}states.{m}.bias"])
    return made


def attention(p: dict[str, np.ndarray], e: np.ndarray, present: np.ndarray) -> np.ndarray:
    made = []
    for b in range(len(e)):
        tokens = np.concatenate([p["summary"], (e[b] + p["kinds"])[present[b]]])
        q, k, v = (tokens @ p[f"{n}.kernel"] + p[f"{n}.bias"] for n in ("query", "key", "value"))
        heads = []
        for h in (slice(0, 2), slice(2, 4)):
            scores = np.exp(q[:1, h] @ k[:, h].T / np.sqrt(2))
            heads.append(scores / scores.sum() @ v[:, h])
        made.append(tokens[0] + (np.concatenate(heads, axis=1) @ p["out.kernel"] + p["out.bias"])[0])
    return np.stack(made)


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_its_formula(kind: str) -> None:
    module = fusion(kind)
    p = arrays(module)
    ours = jax.jit(lambda m, e: m(e, PRESENT))(module, E)
    if kind == "concatenation":
        filled = np.where(PRESENT[..., None], E, p["missing"])
        expected = filled.reshape(6, 12) @ p["linear.kernel"] + p["linear.bias"]
    elif kind == "attention":
        expected = attention(p, E, PRESENT)
    elif kind == "gated":
        expected = gated(p, "", E, PRESENT)
    else:
        groups = [[0, 2], [1]]
        inner = np.stack([gated(p, f"within.{g}.", E[:, m], PRESENT[:, m]) for g, m in enumerate(groups)], axis=1)
        expected = gated(p, "among.", inner, np.stack([PRESENT[:, m].any(axis=1) for m in groups], axis=1))
    assert_allclose(ours, expected, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_no_examples_give_none(kind: str) -> None:
    assert fusion(kind)(jnp.zeros((0, 3, 4)), jnp.zeros((0, 3), bool)).shape == (0, 4)


def test_what_does_not_fit() -> None:
    for kind in KINDS:
        with pytest.raises(
            InvalidInputError, match=r"embeddings \(batch, 3, 4\) and booleans \(batch, 3\) are needed; got \(6, 2, 4\)"
        ):
            fusion(kind)(E[:, :2], PRESENT[:, :2])
    with pytest.raises(InvalidInputError, match="3 heads do not divide a width of 4"):
        create_fusion(AttentionFusionConfig(heads=3), 3, 4, rngs=nnx.Rngs(0))
    with pytest.raises(InvalidInputError, match="do not hold each of 3 parts, 0 to 2, once"):
        create_fusion(HierarchicalFusionConfig(groups=((0,), (1,))), 3, 4, rngs=nnx.Rngs(0))


# --- encoders into one space ---


def encoder(kind: str = "gated") -> JointEncoder:
    parts = [{"part": "a", "size": 3, "hidden_dims": [8]}, {"part": "b", "size": 2, "hidden_dims": []}]
    fused = {"kind": kind, **({"groups": [[0], [1]]} if kind == "hierarchical" else {})}
    return JointEncoder(JointEncoderConfig.from_dict({"parts": parts, "width": 4, "fusion": fused}), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("kind", KINDS)
def test_encoders_give_unit_vectors_and_zero_for_what_is_missing(kind: str) -> None:
    model = encoder(kind)
    x = RNG.normal(size=(5, 5)).astype(np.float32)
    mask = np.ones((5, 5), bool)
    mask[1, :3] = mask[2, 3:] = False
    embedded = model.embed_parts(x, mask)
    lengths = np.ones((5, 2))
    lengths[1, 0] = lengths[2, 1] = 0
    assert_allclose(np.linalg.norm(embedded, axis=-1), lengths, atol=1e-5)
    noisy = np.where(mask, x, np.nan)
    assert_array_equal(model(noisy, mask), model(np.where(mask, x, 0), mask))
    with pytest.raises(InvalidInputError, match=r"x of shape \(batch, 5\) is needed, got \(5, 4\)"):
        model(x[:, :4])


def test_contrastive_loss_is_two_cross_entropies() -> None:
    e = RNG.normal(size=(7, 2, 4))
    e /= np.linalg.norm(e, axis=-1, keepdims=True)
    present = np.ones((7, 2), bool)
    present[3, 0] = present[5, 1] = False
    rows = present.all(axis=1)
    scores = e[rows, 0] @ e[rows, 1].T / 0.2

    def cross_entropy(s: np.ndarray) -> float:
        return float(np.mean(np.log(np.exp(s).sum(axis=1)) - np.diagonal(s)))

    loss = contrastive_loss(jnp.asarray(np.where(present[..., None], e, np.nan)), jnp.asarray(present), temperature=0.2)
    assert_allclose(loss.value, (cross_entropy(scores) + cross_entropy(scores.T)) / 2, rtol=1e-5)
    assert float(loss.weight) == 10.0
    assert float(contrastive_loss(jnp.asarray(e), jnp.zeros((7, 2), bool)).value) == 0.0


def test_training_brings_digits_and_their_words_together() -> None:
    """Each test image has to find its word among the ten: chance is a tenth, ties counted fairly."""
    import optax

    from artifex.modalities.multimodal.datasets import DigitWords, DigitWordsConfig
    from artifex.modalities.multimodal.metrics import recall_at_k

    def vectors(split: str) -> tuple[np.ndarray, np.ndarray]:
        arrays = DigitWords(DigitWordsConfig()).arrays(split)
        word = np.eye(27, dtype=np.float32)[arrays["word"]].reshape(-1, 135)
        return np.concatenate([arrays["x"].reshape(-1, 64), word], axis=1), arrays["label"]

    x, label = vectors("train")
    parts = [{"part": "image", "size": 64}, {"part": "word", "size": 135}]
    model = JointEncoder(JointEncoderConfig.from_dict({"parts": parts, "width": 16}), rngs=nnx.Rngs(0))
    graph, params = nnx.split(model)
    optimizer = optax.adam(3e-3)
    by_class = [np.flatnonzero(label == c) for c in range(10)]

    @jax.jit
    def train(params: Any, batches: jax.Array) -> Any:
        def loss(params: Any, batch: jax.Array) -> jax.Array:
            return contrastive_loss(nnx.merge(graph, params).embed_parts(batch), jnp.ones((10, 2), bool)).value

        def step(carry: Any, batch: jax.Array) -> Any:
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params, batch), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), batches)[0][0]

    rng = np.random.default_rng(0)
    batches = np.stack([x[[rng.choice(rows) for rows in by_class]] for _ in range(600)])  # one of each class
    trained = nnx.merge(graph, train(nnx.as_pure(params), batches))
    test, classes = vectors("test")
    embedded = np.asarray(trained.embed_parts(test))
    words = np.stack([embedded[np.flatnonzero(classes == c)[0], 1] for c in range(10)])
    found = [
        recall_at_k(np.repeat(image[None], 10, axis=0), words)[c] for image, c in zip(embedded[:, 0], classes, strict=True)
    ]
    assert np.mean(found) > 0.85
