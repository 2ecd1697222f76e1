"""What is tested: a config, a batch, and what the checks have to know about the model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from artifex.core.config import Config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import Batch

__all__ = ["Case", "Space", "box", "lattice"]


class Space(NamedTuple):
    """Points and the weight of each: ``sum_i w_i f(x_i)`` is the sum, or nearly the integral, of ``f`` over a small space."""

    points: np.ndarray
    """``(N, ...)``."""
    weights: np.ndarray
    """``(N,)``."""


def lattice(values: Sequence[float], shape: tuple[int, ...], dtype: Any = np.float32) -> Space:
    """Every array of ``shape`` whose elements are among ``values``: the space of a discrete model.

    >>> lattice([0, 1], (3,)).points.shape
    (8, 3)
    """
    points = np.array(list(itertools.product(values, repeat=math.prod(shape))), dtype)
    return Space(points.reshape(-1, *shape), np.ones(len(points)))


def box(low: float, high: float, shape: tuple[int, ...], points_per_axis: int = 256) -> Space:
    """The midpoint rule on a cube, for a continuous model of one or two dimensions whose mass lies inside.

    >>> float(box(0.0, 2.0, (2,), 10).weights.sum().round(6))
    4.0
    """
    edges = np.linspace(low, high, points_per_axis + 1)
    space = lattice(list((edges[:-1] + edges[1:]) / 2), shape)
    return Space(space.points, np.full(len(space.points), ((high - low) / points_per_axis) ** math.prod(shape)))


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a case may say beside its config and batch."""

    waive: Mapping[str, str] = field(default_factory=dict)
    """Checks that this model need not pass: name to reason."""
    exact: Space | None = None
    """A small space that holds all the mass, for a model whose ``log_prob`` is exact: :func:`lattice` or :func:`box`."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of ``generate``: conditions of :attr:`n_samples` examples, say."""
    n_samples: int = 8
    """How many examples the checks draw at a time."""
    step: int = 1
    """The training step that is told to an objective which asks for it."""
    seed: int = 0
    """Of parameters and noise."""


@dataclass(frozen=True)
class Case(Options):
    """One model to be checked.

    Args:
        config: a registered model's config. Small: every check compiles the model anew.
        batch: at least ``x``, with a leading batch axis of the examples' number on every array.
    """

    config: Config
    batch: Batch

    def __post_init__(self) -> None:
        if not isinstance(self.config, Config):
            raise InvalidTypeError(f"a case is made of a model's config and a batch, got {type(self.config).__name__}")
        if not isinstance(self.batch, Mapping) or "x" not in self.batch:
            raise InvalidInputError("a case needs a batch {'x': array, ...} whose arrays have a leading batch axis")
        sizes = {key: np.shape(value)[:1] for key, value in self.batch.items()}
        if len(set(sizes.values())) > 1 or () in sizes.values():
            raise InvalidInputError(f"the arrays of a case's batch need one leading batch axis, got {sizes}")
        object.__setattr__(self, "batch", {key: jnp.asarray(value) for key, value in self.batch.items()})

    @classmethod
    def of(cls, given: Any) -> Case:
        """A case from itself, or from ``(config, batch)`` or ``(config, batch, options)``."""
        if isinstance(given, Case):
            return given
        if not isinstance(given, tuple) or len(given) not in (2, 3):
            raise InvalidTypeError(f"a case is a Case or a tuple (config, batch[, options]), got {type(given).__name__}")
        config, batch, *options = given
        return cls(config, batch, **(options[0] if options else {}))
