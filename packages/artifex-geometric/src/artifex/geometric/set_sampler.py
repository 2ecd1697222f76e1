r"""What models that carry noise to sets in steps have in common: how many points, from how much noise, in how many steps.

A model draws each sample's size from the histogram in its config, or takes the sizes it is asked for, and walks from noise on
sets of those sizes to data in one compiled program.

Shapes: ``B`` samples, ``N`` rows of points or residues.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.errors import InvalidInputError
from artifex.geometric.sizes import draw_sizes, given_sizes, mask_of

__all__ = ["SetSampler", "Walk"]


class Walk(NamedTuple):
    """What a model's config says of its samples."""

    max_points: int
    """Rows of a sample, N."""
    size_counts: tuple[int, ...]
    """How often sets of 1, 2, ... points occur; empty where all have ``max_points``."""
    steps: int
    """From noise to data, where a caller does not say."""
    most_steps: int | None = None
    """More than which a caller cannot have; any number by default."""


class SetSampler(nnx.Module):
    """Base of models whose samples are sets. Abstract: a model adds :meth:`walk` and :meth:`from_noise`."""

    config: Any
    rngs: nnx.Rngs

    def walk(self) -> Walk:
        """How many rows and steps samples have."""
        raise NotImplementedError

    def from_noise(self, key: Array, mask: Bool[Array, "B N"], steps: int) -> Float[Array, "B N ..."]:
        """Sets as data have them, from noise that is drawn here.

        Args:
            key: of all draws.
            mask: true where there is a point.
            steps: from noise to data.
        """
        raise NotImplementedError

    def sample_sets(
        self, n_samples: int = 1, *, sizes: Any = None, steps: int | None = None, rngs: nnx.Rngs | None = None
    ) -> tuple[Float[Array, "n_samples N ..."], Bool[Array, "n_samples N"]]:
        """Sets and their masks.

        Args:
            n_samples: how many.
            sizes: points of each, one number or one a sample; drawn from the config's histogram by default.
            steps: from noise to data; the config's by default. Fewer are quicker and coarser.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: ``n_samples``, ``sizes`` or ``steps`` are out of range.
        """
        walk = self.walk()
        steps = walk.steps if steps is None else steps
        check_at_least(1, n_samples=n_samples)
        check_at_least(1, steps=steps)
        if walk.most_steps is not None and steps > walk.most_steps:
            raise InvalidInputError(f"steps is {steps}; it is at most the model's timesteps, {walk.most_steps}")
        given = None if sizes is None else given_sizes(sizes, n_samples, walk.max_points)
        return self._drawn(given, n_samples, steps, rngs=rngs)

    def generate(
        self, n_samples: int = 1, *, sizes: Any = None, steps: int | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples N ..."]:
        """The sets of :meth:`sample_sets`, zeros in padded rows."""
        return self.sample_sets(n_samples, sizes=sizes, steps=steps, rngs=rngs)[0]

    @compiled_method(static=("n_samples", "steps"))
    def _drawn(
        self, sizes: Array | None, n_samples: int, steps: int, *, rngs: nnx.Rngs | None = None
    ) -> tuple[Float[Array, "n_samples N ..."], Bool[Array, "n_samples N"]]:
        walk, (of_sizes, of_noise) = self.walk(), jax.random.split(draw_key(self, rngs))
        if sizes is None:
            sizes = draw_sizes(of_sizes, walk.size_counts, walk.max_points, n_samples)
        mask = mask_of(sizes, walk.max_points)
        return self.from_noise(of_noise, mask, steps), mask

    @property
    def _noise_dtype(self) -> jnp.dtype:
        return jnp.promote_types(jnp.dtype(self.config.param_dtype), jnp.float32)
