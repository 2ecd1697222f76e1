r"""How well two kinds of data find each other, and how well they agree.

    recall@k     how often the right one is among the k nearest; where several are equally near, the chance that it is
    rank         1 + nearer ones + half of those equally near
    alignment    mean |f(x) - g(y)|^a over pairs                            Wang & Isola 2020, arXiv:2005.10242, equation 3
    uniformity   log mean_{i < j} exp(-t |f(x_i) - f(x_j)|^2)               equation 4
    consistency  how often the parts of an example are of one class, each classed by the nearest of the references' same parts

What is registered takes the embeddings of all parts, as a model's ``embed_parts`` gives them, zero where an example lacks a
part or nothing is said of it: each part is asked for each other one of its example, among the examples that have both, and
every question counts once; alignment is the mean over all pairs of parts, uniformity the mean over the parts.

Shapes: ``N = pairs or examples, row i of both belongs together, F = features, M = parts``. Features are scaled to unit length
first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from artifex.core.errors import InvalidInputError

__all__ = [
    "ALIGNMENT",
    "MEDIAN_RANK",
    "RECALL_AT_1",
    "RECALL_AT_5",
    "UNIFORMITY",
    "Alignment",
    "OfParts",
    "cross_modal_consistency",
    "median_rank",
    "ranks",
    "recall_at_k",
    "squared_distances",
    "uniformity",
]

TIE = 1e-9
"""Cosines that differ by less are equal: rounding decides nothing."""


def _unit(features: Num[np.ndarray, "N F"], name: str) -> Float[np.ndarray, "N F"]:
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or 0 in x.shape:
        raise InvalidInputError(f"{name} are features (examples, features), at least one of each; got shape {x.shape}")
    if not (finite := np.isfinite(x)).all():
        row, feature = np.argwhere(~finite)[0]
        raise InvalidInputError(f"{name}[{row}] holds {x[row, feature]}, which is no finite feature")
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    if not lengths.all():
        raise InvalidInputError(f"{name}[{int(np.argmin(lengths))}] is zero, and has no direction")
    return x / lengths


def _pairs(samples: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = _unit(samples, "samples"), _unit(references, "references")
    if x.shape != y.shape:
        raise InvalidInputError(f"samples and references are pairs of one shape (pairs, features); got {x.shape} and {y.shape}")
    return x, y


def _nearer_and_tied(samples: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """For each sample: how many references are nearer than its own, and how many others are equally near."""
    x, y = _pairs(samples, references)
    own = np.einsum("nf,nf->n", x, y)
    nearer, tied = np.zeros(len(x), int), np.zeros(len(x), int)
    for start in range(0, len(x), 1024):
        difference = x[start : start + 1024] @ y.T - own[start : start + 1024, None]
        nearer[start : start + 1024] = (difference > TIE).sum(axis=1)
        tied[start : start + 1024] = (np.abs(difference) <= TIE).sum(axis=1) - 1
    return nearer, tied


def ranks(samples: Num[np.ndarray, "N F"], references: Num[np.ndarray, "N F"]) -> Float[np.ndarray, "N"]:
    """Rank of each sample's own reference among all, by cosine: the mean rank over the orders of those equally near.

    Raises:
        InvalidInputError: they are no pairs of finite features, or one is zero.

    >>> ranks(np.ones((3, 2)), np.ones((3, 2))).tolist()
    [2.0, 2.0, 2.0]
    """
    nearer, tied = _nearer_and_tied(samples, references)
    return 1.0 + nearer + 0.5 * tied


def recall_at_k(samples: Num[np.ndarray, "N F"], references: Num[np.ndarray, "N F"], *, k: int = 1) -> Float[np.ndarray, "N"]:
    """Probability, for each sample, that its own reference is among the ``k`` nearest when ties are broken by chance.

    Raises:
        InvalidInputError: as :func:`ranks`; or ``k`` is not positive.

    >>> recall_at_k(np.ones((4, 2)), np.ones((4, 2))).mean().item()  # all alike: chance
    0.25
    """
    if k < 1:
        raise InvalidInputError(f"k is {k}; it has to be at least 1")
    nearer, tied = _nearer_and_tied(samples, references)
    return np.clip((k - nearer) / (tied + 1), 0.0, 1.0)


def median_rank(samples: Num[np.ndarray, "N F"], references: Num[np.ndarray, "N F"]) -> float:
    """Median of :func:`ranks`."""
    return float(np.median(ranks(samples, references)))


def squared_distances(samples: Num[np.ndarray, "N F"], references: Num[np.ndarray, "N F"]) -> Float[np.ndarray, "N"]:
    """``|x_i - y_i|^2`` of each pair, both of unit length; their mean is the alignment.

    >>> squared_distances(np.eye(2), np.array([[1.0, 0], [0, -3.0]])).tolist()
    [0.0, 4.0]
    """
    x, y = _pairs(samples, references)
    return np.square(x - y).sum(axis=1)


def uniformity(samples: Num[np.ndarray, "N F"], *, t: float = 2.0) -> float:
    """``log mean_{i < j} exp(-t |x_i - x_j|^2)`` of features of unit length: the lower, the more evenly they fill the sphere.

    Raises:
        InvalidInputError: fewer than two, or one that is zero.

    >>> round(uniformity(np.array([[1.0, 0.0], [-2.0, 0.0]])), 6)
    -8.0
    """
    x = _unit(samples, "samples")
    if len(x) < 2:
        raise InvalidInputError("uniformity needs two samples at least, got 1")
    total = 0.0
    for start in range(0, len(x), 1024):
        rows = x[start : start + 1024]
        kernel = np.exp(-t * np.maximum(2.0 - 2.0 * rows @ x.T, 0.0))
        total += float(kernel.sum() - kernel[np.arange(len(rows)), np.arange(start, start + len(rows))].sum())
    return float(np.log(total / (len(x) * (len(x) - 1))))


def _present(embeddings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings in float64 and which parts each example has ``(N, M)``."""
    x = np.asarray(embeddings, np.float64)
    if x.ndim != 3 or x.shape[1] < 2:
        raise InvalidInputError(f"embeddings (examples, parts, width) of two parts at least are needed; got shape {x.shape}")
    return x, (x != 0).any(axis=-1)


def _pairs_of_parts(embeddings: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every two parts, the embeddings of both where an example has both.

    Raises:
        InvalidInputError: no example has two parts.
    """
    x, there = _present(embeddings)
    if not (there.sum(axis=1) > 1).any():
        raise InvalidInputError(f"none of {len(x)} examples has embeddings of two parts, which are asked for each other")
    for m, n in combinations(range(x.shape[1]), 2):
        if (both := there[:, m] & there[:, n]).any():
            yield x[both, m], x[both, n]


def _each_asked_for_the_other(found: Callable[[np.ndarray, np.ndarray], np.ndarray], embeddings: Any) -> np.ndarray:
    return np.concatenate([each for x, y in _pairs_of_parts(embeddings) for each in (found(x, y), found(y, x))])


def _recall_at_1(embeddings: Any) -> float:
    return float(_each_asked_for_the_other(recall_at_k, embeddings).mean())


def _recall_at_5(embeddings: Any) -> float:
    return float(_each_asked_for_the_other(partial(recall_at_k, k=5), embeddings).mean())


def _median_rank(embeddings: Any) -> float:
    return float(np.median(_each_asked_for_the_other(ranks, embeddings)))


def _uniformity(embeddings: Any) -> float:
    x, there = _present(embeddings)
    parts = [x[has, m] for m, has in enumerate(there.T) if has.sum() > 1]
    if not parts:
        raise InvalidInputError("uniformity needs two examples of a part at least, and no part has them")
    return float(np.mean([uniformity(part) for part in parts]))


@dataclass(frozen=True, slots=True)
class OfParts:
    """A figure of the embeddings of all examples; a :class:`~artifex.core.metrics.MergedMetric`, whose state they are.

    >>> same = np.repeat(np.eye(3)[:, None], 2, axis=1)  # three examples, whose two parts are in one place
    >>> RECALL_AT_1.finalize(RECALL_AT_1.state({"embeddings": same})), MEDIAN_RANK.finalize([same])
    (1.0, 1.0)
    """

    figure: Callable[[Any], float]
    """Of embeddings ``(N, M, W)``."""

    def state(self, batch: Mapping[str, Any]) -> list[Float[np.ndarray, "B M W"]]:
        """The embeddings."""
        return [np.asarray(batch["embeddings"], np.float64)]

    def merge(self, one: list[np.ndarray], other: list[np.ndarray]) -> list[np.ndarray]:
        """Those of both."""
        return [*one, *other]

    def finalize(self, state: list[np.ndarray]) -> float:
        """The figure.

        Raises:
            InvalidInputError: embeddings are not finite, or too few examples have parts enough.
        """
        return self.figure(np.concatenate(state))


RECALL_AT_1 = OfParts(_recall_at_1)
RECALL_AT_5 = OfParts(_recall_at_5)
MEDIAN_RANK = OfParts(_median_rank)
UNIFORMITY = OfParts(_uniformity)


class Alignment:
    """Mean squared distance of two parts of an example, of unit length; a :class:`~artifex.core.metrics.StreamedMetric`.

    >>> total = Alignment().statistics({"embeddings": np.array([[[1.0, 0], [3, 0]], [[0, 1], [0, -1]]])}).sum(axis=0)
    >>> float(Alignment().finalize(total))
    2.0
    """

    def statistics(self, batch: Mapping[str, Any]) -> Float[np.ndarray, "B 2"]:
        """Of each example, the sum over the pairs of its parts, and how many pairs there are."""
        x, there = _present(batch["embeddings"])
        rows = np.zeros((len(x), 2))
        for m, n in combinations(range(x.shape[1]), 2):
            if (both := there[:, m] & there[:, n]).any():
                rows[both, 0] += squared_distances(x[both, m], x[both, n])
                rows[both, 1] += 1
        return rows

    def finalize(self, total: Float[np.ndarray, "... 2"]) -> Any:
        """The mean; NaN where no example has two parts."""
        total = np.asarray(total, np.float64)
        pairs = total[..., 1]
        return np.where(pairs > 0, total[..., 0] / np.where(pairs > 0, pairs, 1), np.nan)


ALIGNMENT = Alignment()


def cross_modal_consistency(
    samples: Sequence[Mapping[str, Any] | None], references: Sequence[Mapping[str, Any] | None], labels: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """Share of each sample's pairs of parts that are of one class, each part classed by its nearest reference.

    Args:
        samples: examples as dicts of their parts: numbers or arrays of one shape, or texts. An example with fewer than two
            parts agrees with nothing: 0. A part that is there and is None, or holds what is not finite, agrees with no other.
        references: examples of known class.
        labels: the class of each reference.

    Raises:
        InvalidInputError: labels and references differ in number; no reference has a part that a sample has; or a part is
            neither numbers nor text, of unequal length, or not finite in a reference.

    >>> known = [{"image": np.zeros(2), "word": "zero"}, {"image": np.ones(2), "word": "one"}]
    >>> made = [{"image": np.full(2, 0.9), "word": "ona"}, {"image": np.full(2, 0.9), "word": "zer"}]
    >>> cross_modal_consistency(made, known, np.array([0, 1])).tolist()
    [1.0, 0.0]
    """
    if len(labels) != len(references):
        raise InvalidInputError(f"there are {len(references)} references and {len(labels)} labels; each reference has one")
    classes: list[dict[str, int | None]] = [{} for _ in samples]
    for part in sorted({name for sample in samples for name in sample or {}}):
        known = _known(part, references, labels)
        made = {i: _value(sample[part], part) for i, sample in enumerate(samples) if sample and part in sample}
        whole = {i: value for i, value in made.items() if value is not None}
        for i in made.keys() - whole.keys():
            classes[i][part] = None
        if not whole:
            continue
        x, y = _vectors(part, list(whole.values()), [value for value, _ in known])
        distances = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
        for i, nearest in zip(whole, distances.argmin(axis=1), strict=True):
            classes[i][part] = known[nearest][1]
    return np.array([_agreement(list(found.values())) for found in classes])


def _known(part: str, references: Sequence[Mapping[str, Any] | None], labels: Any) -> list[tuple[str | np.ndarray, int]]:
    """What references have as a part, and the class of each; one that has None, as what makes no object is, is left out."""
    known = []
    for row, (reference, label) in enumerate(zip(references, labels, strict=True)):
        if not reference or reference.get(part) is None:
            continue
        value = _value(reference[part], part)
        if value is None:
            raise InvalidInputError(f"references[{row}] has a number that is not finite in its part {part!r}; leave it out")
        known.append((value, int(label)))
    if not known:
        raise InvalidInputError(f"no reference has the part {part!r}, which samples have")
    return known


def _value(value: Any, part: str) -> str | np.ndarray | None:
    """A text, or numbers as a vector; None for what is neither: None itself, and numbers that are not finite."""
    if value is None or isinstance(value, str):
        return value
    try:
        x = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"part {part!r} holds a {type(value).__name__}; numbers, arrays of numbers and texts are compared"
        ) from error
    return x if np.isfinite(x).all() else None


def _agreement(classes: list[int | None]) -> float:
    pairs = list(combinations(classes, 2))
    return sum(a == b and a is not None for a, b in pairs) / len(pairs) if pairs else 0.0


def _vectors(part: str, samples: list[Any], references: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 vectors of one length: texts by their characters at each place."""
    texts = {isinstance(value, str) for value in (*samples, *references)}
    if texts == {True, False}:
        raise InvalidInputError(f"part {part!r} is a text here and numbers there; samples and references have one kind")
    if texts == {True}:
        length = max(map(len, [*samples, *references]))
        alphabet = sorted(set("".join([*samples, *references]))) or [" "]
        index = {letter: i for i, letter in enumerate(alphabet)}

        def one_hot(text: str) -> np.ndarray:
            made = np.zeros((length, len(alphabet)))
            made[np.arange(len(text)), [index[letter] for letter in text]] = 1
            return made.ravel()

        return np.stack([one_hot(text) for text in samples]), np.stack([one_hot(text) for text in references])
    sizes = [sorted({value.size for value in values}) for values in (samples, references)]
    if sizes[0] != sizes[1] or len(sizes[0]) > 1:
        made, known = (" or ".join(map(str, found)) for found in sizes)
        raise InvalidInputError(
            f"part {part!r} has {made} elements in samples and {known} in references; each has to have as many"
        )
    x, y = np.stack(samples), np.stack(references)
    centre = y.mean(axis=0)
    return x - centre, y - centre
