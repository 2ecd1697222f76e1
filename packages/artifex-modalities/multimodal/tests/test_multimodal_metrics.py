"""Retrieval against sorting by chance, alignment, uniformity and consistency against SciPy."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import top_k_accuracy_score
from sklearn.preprocessing import normalize

from artifex.core import plugins
from artifex.core.errors import InvalidInputError
from artifex.core.metrics import StreamedMetric
from artifex.core.testing.metrics import check_invariance
from artifex.modalities.multimodal.metrics import (
    ALIGNMENT,
    MEDIAN_RANK,
    RECALL_AT_1,
    RECALL_AT_5,
    UNIFORMITY,
    cross_modal_consistency,
    median_rank,
    ranks,
    recall_at_k,
    squared_distances,
    uniformity,
)

REGISTERED = {
    entry.name: entry for entry, plugin in plugins.registry().entries("metric") if plugin.distribution.endswith("-multimodal")
}


def pairs(seed: int, n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, x + rng.normal(size=(n, 4))


def test_recall_is_scikit_learns_in_a_thousand_cases() -> None:
    for seed in range(1000):
        x, y = pairs(seed, 8)
        scores = normalize(x) @ normalize(y).T
        k = 1 + seed % 5
        assert recall_at_k(x, y, k=k).mean() == pytest.approx(top_k_accuracy_score(np.arange(8), scores, k=k), abs=1e-12)
        order = np.argsort(-scores, axis=1)
        expected = [list(row).index(i) + 1 for i, row in enumerate(order)]
        assert ranks(x, y).tolist() == expected
        assert median_rank(x, y) == np.median(expected)


def test_ties_are_counted_as_chance_would() -> None:
    """By every order of references that are equally near."""
    y = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [0.6, 0.8]])
    x = np.array([[1.0, 0], [0, 1], [1, 0], [0.6, 0.8], [0.6, 0.8]])
    scores = normalize(x) @ normalize(y).T
    for i in range(5):
        seen, hits = [], []
        for order in permutations(range(5)):
            ranked = sorted(order, key=lambda j: (-round(scores[i, j], 9), order.index(j)))
            seen.append(ranked.index(i) + 1)
            hits.append(ranked.index(i) < 2)
        assert ranks(x, y)[i] == pytest.approx(np.mean(seen))
        assert recall_at_k(x, y, k=2)[i] == pytest.approx(np.mean(hits))
    assert recall_at_k(x, y, k=5).tolist() == [1.0] * 5


def test_features_that_are_all_alike_are_found_by_chance_alone() -> None:
    x = np.ones((1500, 3)) / 3  # more than one block of rows, and rounding
    assert recall_at_k(x, x, k=15).mean() == pytest.approx(0.01)
    assert median_rank(x, x) == 750.5


def test_alignment_and_uniformity_are_those_of_their_paper() -> None:
    for seed in range(1000):
        x, y = pairs(seed)
        expected = np.linalg.norm(normalize(x) - normalize(y), axis=1) ** 2
        assert_allclose(squared_distances(x, y), expected, rtol=1e-9)
        total = ALIGNMENT.statistics({"embeddings": np.stack([x, y], axis=1)}).sum(0)
        assert_allclose(ALIGNMENT.finalize(total), expected.mean(), rtol=1e-9)
        assert_allclose(uniformity(x), np.log(np.mean(np.exp(-2 * pdist(normalize(x), "sqeuclidean")))), rtol=1e-9)
        assert_allclose(uniformity(x, t=0.5), np.log(np.mean(np.exp(-0.5 * pdist(normalize(x), "sqeuclidean")))), rtol=1e-9)
    assert isinstance(ALIGNMENT, StreamedMetric)


def embedded(seed: int) -> np.ndarray:
    """12 examples of three parts, of which some are missing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(12, 1, 4)) + rng.normal(size=(12, 3, 4))
    x[rng.random((12, 3)) < 0.2] = 0
    return x


def test_figures_of_all_parts_are_those_of_questions_asked_one_by_one() -> None:
    """Every part that is there is asked for every other one; the right one's place among those that there are, by sorting."""
    for seed in range(1000):
        x = embedded(seed)
        there = np.abs(x).sum(axis=2) > 0
        unit = x / np.where(there, np.linalg.norm(x, axis=2), 1)[..., None]
        places, squares = [], []
        for m, n in permutations(range(3), 2):
            both = np.flatnonzero(there[:, m] & there[:, n])
            order = np.argsort(-unit[both, m] @ unit[both, n].T, axis=1)
            places += [list(row).index(i) + 1 for i, row in enumerate(order)]
            squares += [float(((unit[i, m] - unit[i, n]) ** 2).sum()) for i in both]
        state = RECALL_AT_1.merge(RECALL_AT_1.state({"embeddings": x[:5]}), RECALL_AT_1.state({"embeddings": x[5:]}))
        assert RECALL_AT_1.finalize(state) == pytest.approx(np.mean(np.array(places) <= 1))
        assert RECALL_AT_5.finalize(state) == pytest.approx(np.mean(np.array(places) <= 5))
        assert MEDIAN_RANK.finalize(state) == np.median(places)
        assert ALIGNMENT.finalize(ALIGNMENT.statistics({"embeddings": x}).sum(axis=0)) == pytest.approx(np.mean(squares))
        spread = [np.log(np.mean(np.exp(-2 * pdist(unit[there[:, m], m], "sqeuclidean")))) for m in range(3)]
        assert UNIFORMITY.finalize(state) == pytest.approx(np.mean(spread))


def test_embeddings_of_which_there_are_too_few() -> None:
    alone = np.zeros((4, 2, 3))
    alone[:2, 0] = alone[2:, 1] = np.eye(3)[:2]
    for metric in (RECALL_AT_1, RECALL_AT_5, MEDIAN_RANK):
        with pytest.raises(InvalidInputError, match="none of 4 examples has embeddings of two parts"):
            metric.finalize([alone])
    assert np.isnan(ALIGNMENT.finalize(ALIGNMENT.statistics({"embeddings": alone}).sum(axis=0)))
    assert UNIFORMITY.finalize([alone]) == pytest.approx(-4)  # two orthogonal ones of each part: log exp(-2 * 2)
    with pytest.raises(InvalidInputError, match="two examples of a part at least"):
        UNIFORMITY.finalize([alone[:1]])
    with pytest.raises(InvalidInputError, match=r"of two parts at least are needed; got shape \(4, 3\)"):
        ALIGNMENT.statistics({"embeddings": alone[:, 0]})
    with pytest.raises(InvalidInputError, match=r"samples\[1\] holds nan"):
        RECALL_AT_1.finalize([np.where(np.arange(4)[:, None, None] == 1, np.nan, 1.0) * np.ones((4, 2, 3))])


def test_uniformity_in_blocks() -> None:
    x = np.random.default_rng(0).normal(size=(1100, 5))
    assert_allclose(uniformity(x), np.log(np.mean(np.exp(-2 * pdist(normalize(x), "sqeuclidean")))), rtol=1e-9)


def test_consistency_is_that_of_nearest_neighbours() -> None:
    """Of three parts, one of them text, some of which are missing; the nearest by SciPy's distances classes each by itself."""
    words = np.array(["one", "two", "six"])
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        labels = np.r_[0:3, rng.integers(3, size=9)]

        def drawn(c: int, rng: np.random.Generator = rng) -> dict:
            return {"a": rng.normal(size=(2, 2)) + c, "b": rng.normal() - c, "c": words[(c + (rng.random() < 0.3)) % 3]}

        known, made = [drawn(c) for c in labels], [drawn(c) for c in rng.integers(3, size=6)]
        lacks = rng.random((6, 3)) < 0.2
        classes = np.full((6, 3), -1)
        for i, part in enumerate("abc"):
            x, y = ([_flat(example[part], words) for example in examples] for examples in (known, made))
            classes[:, i] = labels[cdist(y, x).argmin(axis=1)]
        pairs = np.stack([~lacks[:, i] & ~lacks[:, j] for i, j in ((0, 1), (0, 2), (1, 2))], axis=1)
        agree = np.stack([classes[:, i] == classes[:, j] for i, j in ((0, 1), (0, 2), (1, 2))], axis=1) & pairs
        expected = agree.sum(1) / np.maximum(pairs.sum(1), 1)
        given = [{p: v for p, v in e.items() if not lack["abc".index(p)]} for e, lack in zip(made, lacks, strict=True)]
        assert_allclose(cross_modal_consistency(given, known, labels), expected, err_msg=str(seed))


def _flat(value: object, words: np.ndarray) -> np.ndarray:
    """Words that share no letter in a place are as far from each other as unit vectors are."""
    return (words == value).astype(float) if isinstance(value, str) else np.ravel(value)


def test_consistency_of_texts_and_of_what_is_missing() -> None:
    known = [{"x": np.zeros(2), "word": "zero"}, {"x": np.ones(2), "word": "one"}, {"x": np.zeros(2)}, None]
    labels = np.array([0, 1, 0, 1])
    made = [
        {"x": np.ones(2), "word": "one"},
        {"x": np.ones(2), "word": "zer"},
        {"word": "one"},
        None,
        {"x": np.ones(2), "word": ""},
    ]
    assert cross_modal_consistency(made, known, labels).tolist()[:4] == [1.0, 0.0, 0.0, 0.0]
    with pytest.raises(InvalidInputError, match="no reference has the part 'tone'"):
        cross_modal_consistency([{"tone": np.ones(2)}], known, labels)
    with pytest.raises(InvalidInputError, match="there are 4 references and 3 labels"):
        cross_modal_consistency(made, known, labels[:3])
    with pytest.raises(InvalidInputError, match="part 'x' has 3 elements in samples and 2 in references"):
        cross_modal_consistency([{"x": np.ones(3)}], known, labels)


def test_what_is_broken_agrees_with_nothing_and_is_told_where_it_is_data() -> None:
    known = [{"x": np.zeros(2), "y": 0.0, "word": "zero"}, {"x": np.ones(2), "y": 1.0, "word": "one"}, {"x": None, "y": 0.0}]
    labels = np.array([0, 1, 0])
    broken = [
        {"x": np.full(2, np.nan), "word": "zero"},
        {"x": np.zeros(2), "word": None},
        {"x": np.full(2, np.inf), "y": np.nan},
        {"x": np.ones(2), "y": 0.9, "word": None},
    ]
    assert_allclose(cross_modal_consistency(broken, known, labels), [0, 0, 0, 1 / 3])
    assert cross_modal_consistency([{"word": None}], known, labels).tolist() == [0]
    for bad, message in (
        ({"y": np.nan}, r"references\[1\] has a number that is not finite in its part 'y'; leave it out"),
        ({"y": {"age": 3}}, "part 'y' holds a dict; numbers, arrays of numbers and texts are compared"),
        ({"y": "one"}, "part 'y' is a text here and numbers there"),
        ({"y": np.ones(2)}, "part 'y' has 1 elements in samples and 1 or 2 in references"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            cross_modal_consistency([{"y": 0.0}], [{"y": 0.0}, bad], labels[:2])


def test_bad_features() -> None:
    x, y = pairs(0)
    with pytest.raises(InvalidInputError, match=r"pairs of one shape \(pairs, features\); got \(20, 4\) and \(19, 4\)"):
        ranks(x, y[:-1])
    with pytest.raises(InvalidInputError, match=r"references\[3\] is zero, and has no direction"):
        ranks(x, np.where(np.arange(20)[:, None] == 3, 0.0, y))
    with pytest.raises(InvalidInputError, match=r"at least one of each; got shape \(0, 4\)"):
        uniformity(x[:0])
    with pytest.raises(InvalidInputError, match="uniformity needs two samples at least, got 1"):
        uniformity(x[:1])
    with pytest.raises(InvalidInputError, match="k is 0; it has to be at least 1"):
        recall_at_k(x, y, k=0)
    with pytest.raises(InvalidInputError, match=r"samples\[0\] holds nan, which is no finite feature"):
        ranks(np.full_like(x, np.nan), y)


@pytest.mark.parametrize("name", REGISTERED)
def test_figures_depend_neither_on_batches_nor_on_devices_or_order(name: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((72, 4))
    labels = np.arange(72) % 3
    words = ["one", "two", "three"]
    known = [{"image": rng.standard_normal(2) + 3 * c, "word": words[c]} for c in labels]
    made = [{"image": rng.standard_normal(2) + 3 * c, "word": words[c]} if i % 9 else None for i, c in enumerate(labels)]
    entry = REGISTERED[name]
    given = {"embeddings": np.stack([x, x + 0.5 * rng.standard_normal(x.shape)], axis=1)}
    if entry.space == "host":
        given = {"samples": made, "references": known, "labels": labels}
    check_invariance(entry, {key: given[key] for key in entry.needs})
