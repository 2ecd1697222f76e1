"""How a metric is written so that an engine can stream it, shard it, and say how sure it is.

The simplest metric is a pure function (:class:`~artifex.core.plugins.MetricEntry`). One of these two forms is never given more
than a batch at once. Both take a *batch*: a mapping whose keys are what the metric's entry lists under ``needs``, arrays with a
leading axis of examples or, in the space ``host``, sequences of host objects; ``model`` and ``rngs`` are handed on as they are.

Shapes: ``B`` examples of a batch, ``S`` statistics, ``...`` any leading axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

__all__ = ["FeatureExtractor", "FitsModality", "MeanOf", "MergedMetric", "StreamedMetric"]


@runtime_checkable
class StreamedMetric(Protocol):
    """A metric that is a function of a sum over examples: ``finalize(sum_i statistics_i)``.

    From that alone follow constant memory, one sum over devices, figures that do not depend on batches, and a bootstrap that is
    one matrix product: resampled counts ``(R, N)`` times statistics ``(N, S)``. The bootstrap needs every row, so that a figure
    with an interval costs one copy ``(N, S)`` on the host; one without is summed where its examples lie.

    Example:
        >>> import numpy as np
        >>> class RootMeanSquare:
        ...     def statistics(self, batch):
        ...         squares = np.mean(np.square(batch["samples"] - batch["references"]), axis=1)
        ...         return np.stack([squares, np.ones_like(squares)], axis=-1)
        ...
        ...     def finalize(self, total):
        ...         return np.sqrt(total[..., 0] / total[..., 1])
        >>> metric = RootMeanSquare()
        >>> isinstance(metric, StreamedMetric)
        True
        >>> total = metric.statistics({"samples": np.full((4, 2), 3.0), "references": np.zeros((4, 2))}).sum(0)
        >>> float(metric.finalize(total))
        3.0
    """

    def statistics(self, batch: Mapping[str, Any]) -> Any:
        """An array ``(B, S)``: what each example adds to the sum, its weight among it where the figure is a mean."""
        ...

    def finalize(self, total: Any) -> Any:
        """The figure, ``(...)``, of sums ``(..., S)``."""
        ...


@dataclass(frozen=True, slots=True)
class MeanOf:
    """``sum_i f_i / N`` as a :class:`StreamedMetric`: the mean of a function that gives one number for each example.

    ``function`` is given what the metric's entry needs, as arguments of these names.

    Example:
        >>> import numpy as np
        >>> error = MeanOf(lambda samples, references: np.abs(samples - references).mean(axis=1))
        >>> total = error.statistics({"samples": np.ones((4, 2)), "references": np.zeros((4, 2))}).sum(axis=0)
        >>> float(error.finalize(total))
        1.0
    """

    function: Callable[..., Any]
    """Arrays ``(B, ...)`` in, ``(B,)`` out."""

    def statistics(self, batch: Mapping[str, Any]) -> Any:
        """``[f_i, 1]``."""
        import jax.numpy as jnp  # here, because a plugin that names this class imports no jax

        values = jnp.asarray(self.function(**batch))
        return jnp.stack([values, jnp.ones_like(values)], axis=-1)

    def finalize(self, total: Any) -> Any:
        """The mean."""
        return total[..., 0] / total[..., 1]


@runtime_checkable
class MergedMetric(Protocol):
    """A metric that is a function of a state that merges, where a sum of raw moments would lose its digits.

    A Fréchet distance, say, whose state is counts, means and centred second moments of samples and of references.
    """

    def state(self, batch: Mapping[str, Any]) -> Any:
        """State of one batch: a pytree of host arrays in float64.

        A batch may hold some of what the metric needs, and not the rest: ``samples`` without ``references``.
        """
        ...

    def merge(self, one: Any, other: Any) -> Any:
        """State of the examples of both. Associative, and commutative but for rounding."""
        ...

    def finalize(self, state: Any) -> Any:
        """The figure."""
        ...


@runtime_checkable
class FeatureExtractor(Protocol):
    """What turns examples into features that metrics compare: a component of the slot ``feature_extractor``."""

    @property
    def signature(self) -> str:
        """Network, checksum of its weights and resizing, in one line, with every field of its config that changes a feature.

        Figures of other signatures are not comparable, and features that were kept are found again by it.
        """
        ...

    def __call__(self, examples: Any) -> Any:
        """Features ``(B, F)`` of a batch, in the space that the metric's entry names."""
        ...


@runtime_checkable
class FitsModality(Protocol):
    """An extractor that takes from the data's modality what its own config leaves open: a sample rate."""

    def for_modality(self, modality: Any) -> FeatureExtractor:
        """The extractor for examples that this modality restores; itself, where the modality says nothing that it asks for.

        Raises:
            InvalidInputError: its config says something else.
        """
        ...
