"""The protocols of Artifex: what the engines may ask of a model, a data set, a modality.

A model follows :class:`GenerativeModelProtocol`; to be trained it also follows :class:`TrainableGenerativeModelProtocol`,
:class:`AdversarialModelProtocol` or :class:`DeclaresObjectives`. Everything else a model can do is a small capability of its
own, and a model has a method only where it means something. Shapes: ``B`` batch, ``...`` the shape of one example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, runtime_checkable

import jax
import numpy as np
from flax import nnx

if TYPE_CHECKING:
    from artifex.core.config import Config
    from artifex.core.objectives import Losses, Objective
    from artifex.core.value_ranges import ValueRange

Batch: TypeAlias = Mapping[str, jax.Array]
"""A flat dict of arrays with a leading batch axis: ``x`` is what is modelled; ``condition``, ``mask``, ``label`` where
there are any."""

__all__ = [
    "AdversarialModelProtocol",
    "ArrayDataset",
    "Batch",
    "ChecksData",
    "ChoosesConditions",
    "DataInitialized",
    "DeclaresObjectives",
    "DeclaresValues",
    "Decodes",
    "EmbedsParts",
    "Encodes",
    "FitsData",
    "GenerativeModelProtocol",
    "HasEnergy",
    "HasHostForm",
    "HasLogProb",
    "HasScore",
    "Interpolates",
    "KnowsDensity",
    "ModalityProtocol",
    "ModelAdapter",
    "NamesClasses",
    "Reconstructs",
    "Restores",
    "SourceDataset",
    "TrainableGenerativeModelProtocol",
]


@runtime_checkable
class GenerativeModelProtocol(Protocol):
    """A model that maps a batch to its outputs and draws new examples."""

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> dict[str, jax.Array]:
        """Forward pass on ``x`` of shape ``(B, ...)``."""
        ...

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Draw ``(n_samples, ...)``. Without ``rngs`` the model's own streams serve."""
        ...


@runtime_checkable
class TrainableGenerativeModelProtocol(GenerativeModelProtocol, Protocol):
    """A model with one objective."""

    def loss_fn(self, batch: Batch, outputs: Mapping[str, jax.Array]) -> Losses:
        """Scalars, among them ``"loss"``, for what :meth:`__call__` made of ``batch["x"]``.

        Plain ones are means over the examples; where something else is counted (tokens, unmasked elements) they are
        :class:`~artifex.core.objectives.WeightedMean`.

        A model whose objective changes during training declares a keyword ``step`` and is given the step's number.
        """
        ...


@runtime_checkable
class DataInitialized(Protocol):
    """A model some of whose parameters start from data (activation normalisation, say): the trainer sees to it."""

    @property
    def initialized(self) -> bool:
        """Whether that was done; kept in a variable of the model, so that it is saved with it."""
        ...

    def initialize(self, batch: Batch, *, rngs: nnx.Rngs | None = None) -> None:
        """Set those parameters, in place, from a batch such as :meth:`__call__` and ``loss_fn`` are given. May be traced."""
        ...


@runtime_checkable
class DeclaresValues(Protocol):
    """A model to which some values mean nothing: the trainer looks for them in the data before it starts."""

    def value_ranges(self, batch: Mapping[str, Any]) -> Mapping[str, ValueRange]:
        """What each of a batch's arrays may hold, of those that the model uses; one that is left out may hold anything.

        A class-conditional model says ``{"label": range(10)}``, one of grey values ``{"x": Interval(0.0, 1.0)}``
        (:mod:`artifex.core.value_ranges`).

        Args:
            batch: arrays in model space, ``x`` among them, of which only names, shapes and dtypes may be looked at.
        """
        ...


@runtime_checkable
class ChoosesConditions(Protocol):
    """A model that chooses the conditions of samples for which it is given none."""

    def conditions_for(self, n_samples: int) -> np.ndarray | None:
        """What ``generate(n_samples)`` takes as its ``condition``, ``(n_samples, ...)``; None where it has to be given one."""
        ...


@runtime_checkable
class AdversarialModelProtocol(Protocol):
    """A model with two alternating objectives over the parameters below ``generator`` and ``discriminator``."""

    generator: nnx.Module
    discriminator: nnx.Module

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array: ...

    def generator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> Losses:
        """Scalars, among them ``"loss"``, that the generator descends."""
        ...

    def discriminator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> Losses:
        """Scalars, among them ``"loss"``, that the discriminator descends."""
        ...


@runtime_checkable
class DeclaresObjectives(Protocol):
    """A model that says by itself what is descended, how often and with which optimisers: it is trained by nothing else."""

    def objectives(self) -> Sequence[Objective]:
        """In the order of a step. Each loss is given the model to use: it must not hold on to this one."""
        ...


@runtime_checkable
class HasLogProb(Protocol):
    """Capability ``log_prob``."""

    def log_prob(self, x: jax.Array) -> jax.Array:
        """Log density or log probability of each example, nats, shape ``(B,)``."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """Capability ``encode``."""

    def encode(self, x: jax.Array) -> Any: ...


@runtime_checkable
class EmbedsParts(Protocol):
    """Capability ``embed_parts``: several kinds of data in one space, where what belongs together is near."""

    def embed_parts(self, x: jax.Array) -> jax.Array:
        """Each part of each example by itself, ``(B, M, W)`` of ``M`` parts; zero where an example lacks it.

        A model whose examples may lack parts declares a keyword ``mask``, true where there is something.
        """
        ...


@runtime_checkable
class Decodes(Protocol):
    """Capability ``decode``."""

    def decode(self, z: jax.Array) -> jax.Array: ...


@runtime_checkable
class Reconstructs(Protocol):
    """Capability ``reconstruct``."""

    def reconstruct(self, x: jax.Array) -> jax.Array: ...


@runtime_checkable
class Interpolates(Protocol):
    """Capability ``interpolate``."""

    def interpolate(self, x0: jax.Array, x1: jax.Array, n_steps: int) -> jax.Array: ...


@runtime_checkable
class HasScore(Protocol):
    """Capability ``score``: the gradient of the log density."""

    def score(self, x: jax.Array) -> jax.Array: ...


@runtime_checkable
class HasEnergy(Protocol):
    """Capability ``energy``: minus the log density up to a constant."""

    def energy(self, x: jax.Array) -> jax.Array: ...


@runtime_checkable
class ArrayDataset(Protocol):
    """A data set that fits in memory."""

    @property
    def splits(self) -> Sequence[str]:
        """Names of the splits: ``train`` first, then ``test``, and others where they exist."""
        ...

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """The whole split as host arrays with a leading example axis, in stored form (``x``: uint8 for images).

        Examples of different length are padded along their second axis, and ``mask`` is true where there is something. With
        ``bucket``, whole numbers to which examples may be cut there, a loader makes batches of similar length; models do not
        see it.
        """
        ...


@runtime_checkable
class SourceDataset(Protocol):
    """A data set read example by example."""

    @property
    def splits(self) -> Sequence[str]: ...

    def source(self, split: str) -> Sequence[dict[str, np.ndarray]]:
        """A picklable random-access sequence (``len``, ``[i]``) of single examples, each a dict of host arrays."""
        ...


@runtime_checkable
class NamesClasses(Protocol):
    """A data set that knows what its classes are called. A run keeps the names, so that samples can be asked for by name."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes: label ``i`` is ``classes[i]``. Empty where they have none."""
        ...


@runtime_checkable
class KnowsDensity(Protocol):
    """A data set that was drawn from a law which is known."""

    def log_prob(self, x: jax.Array) -> jax.Array:
        """Log density of each stored example ``x``, nats, shape ``(B,)``."""
        ...


@runtime_checkable
class ModalityProtocol(Protocol):
    """A kind of data: the way from stored arrays to a model's input, and from samples to something to look at."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one prepared example ``x``."""
        ...

    def prepare(self, batch: Batch, *, rngs: nnx.Rngs, train: bool) -> dict[str, jax.Array]:
        """Stored form to model input, inside the compiled step. Augments only when ``train``."""
        ...

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write samples (model space, ``(N, ...)``) for people to look at; returns the file, ``stem`` with the right suffix.

        Raises:
            InvalidInputError: there is no sample (:func:`artifex.core.checks.check_any_samples`); no file is left.
        """
        ...


@runtime_checkable
class DrawsSamples(Protocol):
    """A modality whose samples are written as values for programs, and beside them as a picture for people."""

    def draw_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Draw samples (model space, ``(N, ...)``); returns the picture, ``stem`` with the right suffix."""
        ...


@runtime_checkable
class FitsData(Protocol):
    """A modality that has to know the training data before it can prepare any: their scales, ranges, categories.

    What it learns stands in its config, which a run keeps, so that the run's folder alone restores it.
    """

    @property
    def config(self) -> Config:
        """All that the modality is, what it has learnt included."""
        ...

    def fitted(self, dataset: Any, split: str) -> Self:
        """A modality that has learnt from this split of the data set, and from no other; on the host, before the first step.

        One that has learnt already stays as it is.

        Raises:
            DataError: it has learnt from data of another form than the data set has now.
        """
        ...


@runtime_checkable
class Restores(Protocol):
    """A modality that leads samples back from a model's space to that of the data: intensities, waveforms, units."""

    def restore(self, x: jax.Array) -> jax.Array:
        """``x`` of shape ``(B, *shape)`` in the data's own units; undoes what :meth:`ModalityProtocol.prepare` does."""
        ...


@runtime_checkable
class HasHostForm(Protocol):
    """A modality whose field works on objects that are no arrays: texts, tables, molecules, structures."""

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> Sequence[Any]:
        """``x`` of shape ``(B, *shape)`` as ``B`` objects of the field. What does not make one is ``None`` in its place.

        Args:
            x: samples or prepared data, in model space.
            mask: true where there is something, for examples that are padded.
        """
        ...


@runtime_checkable
class ModelAdapter(Protocol):
    """Carries a model from data as they are stored to data in the field's own form: images, texts, structures."""

    def adapt_model(self, model: Any) -> Any:
        """``model`` with the same methods, of which each takes stored data and gives data in the field's own form."""
        ...

    def preprocess(self, data: Any) -> dict[str, jax.Array]:
        """Stored data as a batch for a model, ``x`` among its keys. Nothing is augmented."""
        ...

    def postprocess(self, outputs: jax.Array) -> Any:
        """What a model gives in the place of ``x``, ``(B, ...)``, as data in the field's own form."""
        ...


@runtime_checkable
class ChecksData(Protocol):
    """A modality that knows which stored values are none of its kind: the trainer asks it before the first step."""

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise :class:`~artifex.core.errors.InvalidInputError` unless ``prepare`` can make sense of these values.

        Args:
            arrays: stored host arrays with a leading example axis: a whole split, or a piece of one.
            first_row: row of the data set that the first of them is, for messages, which name key, row, value and the fix.
        """
        ...
