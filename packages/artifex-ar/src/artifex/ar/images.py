r"""What autoregressive models of images share: ``log p(x) = sum_i log p(x_i | x_{<i})``, and drawing pixel after pixel.

The order ``i`` is raster order, row after row, in a row column after column, in a pixel channel after channel. Pixels are
levels: ``levels`` evenly spaced values of [0, 1].

A model gives the parameters of all elements' distributions at once, for a whole image; and, to draw one, those of one pixel
at a time, each from what was kept of the pixels before it (:class:`ImageModel`). The loop over rows and in it that over columns
are scans of one program.

Shapes: ``B = batch, H W C = height, width, channels of an image, P = parameters of an element, F = features of a pixel``.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float
from pydantic import Field

from artifex.ar.conditioning import Classes, Given, class_ranges, classes_of, turns
from artifex.core.checks import check_at_least, check_number
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import ParamDType
from artifex.core.protocols import Batch
from artifex.core.value_ranges import Interval, ValueRange

__all__ = ["ImageConfig", "ImageModel", "PositiveInt"]

PositiveInt = Annotated[int, Field(ge=1)]


@config
class ImageConfig(Config):
    """What every model of images has."""

    image_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Height, width, channels."""
    levels: Annotated[int, Field(ge=2)] = 256
    """How many values an element has: evenly spaced ones from 0 to 1."""
    num_classes: PositiveInt | None = None
    """Images are of one of so many classes, which the model is given; none by default."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the network computes in. None follows the parameters and the input. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in."""


class ImageModel(nnx.Module):
    """An autoregressive model of images. A kind of model says what its network is; everything else is here.

    ``x`` is ``(B, H, W, C)`` in [0, 1]; what lies between two levels counts as the nearer one.
    """

    config: Any
    rngs: nnx.Rngs

    # What a kind of model has to say.

    @abstractmethod
    def parameters(self, x: Float[Array, "B H W C"], classes: Given) -> Float[Array, "B H W C P"]:
        """Parameters of each element's distribution, ``x`` in [-1, 1] on its levels."""

    def training_parameters(self, x: Float[Array, "B H W C"], classes: Given) -> Float[Array, "B H W C P"]:
        """The same in training; a network that drops features says what is different."""
        return self.parameters(x, classes)

    @abstractmethod
    def element_log_prob(self, x: Float[Array, "B H W C"], parameters: Float[Array, "B H W C P"]) -> Float[Array, "B H W C"]:
        """Nats of each element, ``x`` in [-1, 1] on its levels."""

    @abstractmethod
    def start_rows(self, n: int) -> Any:
        """What is kept from row to row, before the first."""

    @abstractmethod
    def row(self, kept: Any, classes: Given) -> tuple[Any, Any]:
        """What the next row is given from above: what is kept, and a tree of ``(W, n, ...)``, one for each of its columns."""

    @abstractmethod
    def end_row(self, kept: Any, pixels: Float[Array, "n W C"], features: Any) -> Any:
        """What is kept, with a row that is done: its pixels, and ``(W, n, ...)`` of what :meth:`pixel` gave to remember."""

    @abstractmethod
    def start_columns(self, n: int) -> Any:
        """What is kept from column to column, before the first."""

    @abstractmethod
    def pixel(self, kept: Any, left: Float[Array, "n C"], above: Any) -> tuple[Any, Float[Array, "n F"], Any]:
        """What is kept; the features that a pixel is drawn from; what its row remembers. ``left`` is the pixel before it."""

    @abstractmethod
    def channel_parameters(self, features: Float[Array, "n F"], x: Float[Array, "n C"], channel: int) -> Float[Array, "n P"]:
        """Of one channel's distribution, from the features and the channels of ``x`` before it."""

    @abstractmethod
    def draw(self, parameters: Float[Array, "n P"], temperature: float | Array, key: Array) -> Float[Array, "n"]:
        """A draw of one element, in [-1, 1]."""

    # What follows from it.

    def __call__(
        self,
        x: Float[Array, "B H W C"],
        *,
        condition: Classes | None = None,
        label: Classes | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> dict[str, Array]:
        """The distribution of each element given those before it.

        Args:
            x: images in [0, 1].
            condition: classes ``(B,)``, for a model that has some.
            label: what data sets call the classes; it serves where there is no condition.
            rngs: nothing is drawn from it: what a network drops in training, it draws from streams of its own.

        Returns:
            ``parameters``, ``(B, H, W, C, P)``.

        Raises:
            InvalidInputError: ``x`` is not a batch of images of the model's shape, or the classes do not fit.
        """
        del rngs
        x = jnp.asarray(x)
        levels = self.on_levels(x)
        classes = classes_of(self.config.num_classes, condition, label, x.shape[0])
        return {"parameters": self.training_parameters(levels, classes)}

    def on_levels(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Images in [0, 1] as what the network is given: the nearest level, in [-1, 1].

        The gradient is that of ``2 x - 1``: rounding is passed over. What is half a level or more outside is NaN, at which
        training stops: on another scale everything would be the first level or the last.

        Raises:
            InvalidInputError: ``x`` is not a batch of images of the model's shape.
        """
        self._check_images(x)
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))  # bfloat16 would miss levels
        steps = self.config.levels - 1
        level = jnp.round(x * steps)
        level = jnp.where((level >= 0) & (level <= steps), level, jnp.nan)
        return 2 * (x + jax.lax.stop_gradient(level / steps - x)) - 1

    def _check_images(self, x: Array) -> None:
        shape = self.config.image_shape
        if x.ndim != 4 or x.shape[1:] != shape:
            hint = "; add a batch axis: x[None]" if x.shape == shape else ""
            raise InvalidInputError(f"x has shape {x.shape}, expected (batch, {', '.join(map(str, shape))}){hint}")
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise InvalidInputError(f"x is {x.dtype}, expected floating point in [0, 1]; divide 8-bit images by 255")

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x`` in [0, 1], and the classes, if the model has any (:class:`artifex.core.protocols.DeclaresValues`)."""
        interval = Interval(0.0, 1.0, slack=0.499 / (self.config.levels - 1))
        return {"x": interval, **class_ranges(self.config.num_classes, batch)}

    def conditions_for(self, n_samples: int) -> np.ndarray | None:
        """What :meth:`generate` takes where it is given none: classes in turns, 0, 1, 2, ...; None where there are none."""
        return turns(self.config.num_classes, n_samples)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean -log p(x_i | x_{<i})`` over elements, nats; ``bits_per_dimension`` is the same in bits.

        Args:
            batch: holds ``x``.
            outputs: what the model made of it.
        """
        x = self.on_levels(jnp.asarray(batch["x"], jnp.float32))
        nats = -self.element_log_prob(x, outputs["parameters"])
        loss = jnp.mean(jnp.mean(nats, axis=(1, 2, 3)))
        return {"loss": loss, "bits_per_dimension": loss / math.log(2)}

    def log_prob(
        self, x: Float[Array, "B H W C"], *, condition: Classes | None = None, label: Classes | None = None
    ) -> Float[Array, "B"]:
        """``log p(x) = sum_i log p(x_i | x_{<i})``, nats for each image, exact.

        Args:
            x: images in [0, 1].
            condition: classes ``(B,)``, for a model that has some.
            label: another name for the same.

        Raises:
            InvalidInputError: as of a call.
        """
        x = jnp.asarray(x)
        self._check_images(x)
        return self._log_prob(x, classes_of(self.config.num_classes, condition, label, x.shape[0]))

    @compiled_method()
    def _log_prob(self, x: Float[Array, "B H W C"], classes: Given) -> Float[Array, "B"]:
        levels = self.on_levels(x)
        return jnp.sum(self.element_log_prob(levels, self.parameters(levels, classes)), axis=(1, 2, 3))

    def generate(
        self,
        n_samples: int = 1,
        *,
        condition: Classes | None = None,
        prefix: Float[Array, "n_samples rows W C"] | None = None,
        temperature: float = 1.0,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n_samples H W C"]:
        """Images drawn pixel after pixel, in [0, 1].

        Args:
            n_samples: how many.
            condition: classes, one for each image or one for all; by default they take turns.
            prefix: first rows, which the images begin with, in [0, 1]; what lies between two levels counts as the nearer one.
            temperature: below 1, likelier values become likelier still.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: a number is out of range, or the classes or the prefix do not fit.
        """
        check_at_least(1, n_samples=n_samples)
        check_number("temperature", temperature, "above 0, 0.01 say for nearly the likeliest")
        given = None if prefix is None else self._checked_prefix(prefix, n_samples)
        condition = self.conditions_for(n_samples) if condition is None else condition
        classes = classes_of(self.config.num_classes, condition, None, n_samples)
        return self._generate(n_samples, classes, given, temperature, rngs=rngs)

    def _checked_prefix(self, prefix: Any, n: int) -> Float[Array, "n rows W C"]:
        """The rows that are given, if they fit."""
        prefix = jnp.asarray(prefix)
        height, *rest = self.config.image_shape
        fits = prefix.ndim == 4 and prefix.shape[0] == n and [*prefix.shape[2:]] == rest and prefix.shape[1] <= height
        if not fits or not jnp.issubdtype(prefix.dtype, jnp.floating):
            raise InvalidInputError(
                f"prefix is {prefix.dtype} of shape {prefix.shape}, expected floating point in [0, 1] of shape "
                f"({n}, rows up to {height}, {', '.join(map(str, rest))})"
            )
        if not isinstance(prefix, Tracer) and prefix.size:
            low, high = float(jnp.min(prefix)), float(jnp.max(prefix))
            slack = getattr(self.value_ranges({})["x"], "slack", 0.0)  # an interval's
            if not (-slack <= low and high <= 1 + slack):
                raise InvalidInputError(f"prefix holds {low:g} to {high:g}, expected intensities in [0, 1]")
        return prefix

    @compiled_method(static=("n_samples",))
    def _generate(
        self, n_samples: int, classes: Given, prefix: Array | None, temperature: float, *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples H W C"]:
        height, width, channels = self.config.image_shape
        given = jnp.zeros((n_samples, height, width, channels))
        rows = 0
        if prefix is not None:
            rows = prefix.shape[1]
            whole = jnp.pad(prefix, ((0, 0), (0, height - rows), (0, 0), (0, 0)))
            given = self.on_levels(whole)
        x, _ = self._raster(given, rows, classes, temperature, draw_key(self, rngs))
        return (x + 1) / 2

    @compiled_method()
    def _parameters_one_by_one(self, x: Float[Array, "B H W C"], classes: Given) -> Float[Array, "B H W C P"]:
        """:meth:`parameters` as drawing computes them: from what is kept, pixel after pixel."""
        x = self.on_levels(x)
        return self._raster(x, x.shape[1], classes, jnp.ones(()), None)[1]

    def _raster(
        self, given: Float[Array, "n H W C"], rows: int, classes: Given, temperature: float | Array, key: Array | None
    ) -> tuple[Float[Array, "n H W C"], Float[Array, "n H W C P"]]:
        """Images of which the first ``rows`` are given and the rest drawn, and the parameters of each element.

        Without a ``key`` all of it is given, and nothing is drawn.
        """
        n, height, width, channels = given.shape

        def pixel(carry: Any, column: Any) -> tuple[Any, Any]:
            kept, left = carry
            above, given, is_given, key = column
            kept, features, remembered = self.pixel(kept, left, above)
            x, parameters = jnp.zeros((n, channels), given.dtype), []
            for c in range(channels):
                parameters.append(self.channel_parameters(features, x, c))
                element = given[:, c]
                if key is not None:
                    drawn = self.draw(parameters[-1], temperature, jax.random.fold_in(key, c))
                    element = jnp.where(is_given, element, drawn.astype(x.dtype))
                x = x.at[:, c].set(element)
            return (kept, x), (x, jnp.stack(parameters, axis=1), remembered)

        def row(kept: Any, of_row: Any) -> tuple[Any, Any]:
            given, is_given, key = of_row
            kept, above = self.row(kept, classes)
            columns = (above, given, jnp.broadcast_to(is_given, (width,)), _split(key, width))
            start = (self.start_columns(n), jnp.zeros((n, channels), given.dtype))
            _, (x, parameters, remembered) = jax.lax.scan(pixel, start, columns)
            return self.end_row(kept, x.swapaxes(0, 1), remembered), (x, parameters)

        of_rows = (jnp.moveaxis(given, 0, 2), jnp.arange(height) < rows, _split(key, height))  # (H, W, n, C)
        _, (x, parameters) = jax.lax.scan(row, self.start_rows(n), of_rows)
        return jnp.moveaxis(x, 2, 0), jnp.moveaxis(parameters, 2, 0)


def _split(key: Array | None, n: int) -> Array | None:
    """A key for each of ``n``; none of none."""
    return None if key is None else jax.random.split(key, n)
