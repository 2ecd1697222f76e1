r"""What flows on images have in common.

A model of images with ``L`` levels is a flow on ``y = (k + u) / L`` and a dequantisation (:mod:`artifex.flow.dequantization`):

    log P(x) >= log p(y) - log q(u | x) - D log L          in expectation over u ~ q
    log p(y) = log p_base(f(y)) + log |det df/dy|
    f = multi-scale layers o logit                          logit(a + (1 - 2 a) y), where ``alpha`` is given

(Dinh et al. 2016, arXiv:1605.08803, sections 3.6 and 4.1; the logit is the symmetric one of Papamakarios et al. 2017,
arXiv:1705.07057.)

Two spaces, then. ``model(x)``, ``log_prob``, ``loss_fn``, ``initialize`` and ``generate`` are about images ``x = k / (L - 1)``
in ``[0, 1]``, as data sets and modalities hold them; ``forward``, ``inverse``, ``sample`` and ``sample_and_log_prob`` about the
flow's own ``y``. Without a dequantisation there is one: ``x`` is ``y``, and its density is exact.

Shapes: ``B = batch, N = draws, S = draws of noise, H W C = an image, D = H W C, K = width of the condition``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import config
from artifex.core.protocols import Batch
from artifex.core.value_ranges import Interval, ValueRange
from artifex.flow.bijections import Bijection, Chain, Flatten, Inverse, Rescale, Sigmoid, Split
from artifex.flow.bijections.bijection import Condition
from artifex.flow.dequantization import (
    DequantizationField,
    UniformDequantizationConfig,
    check_levels,
    create_dequantization,
    dequantize,
    levels_of,
    quantize,
)
from artifex.flow.flow import AnyFlowConfig, Flow, PositiveInt, zero_where_overflown
from artifex.flow.layers import ConvNetConfig

__all__ = ["ImageFlow", "ImageFlowConfig", "multi_scale"]


@config
class ImageFlowConfig(AnyFlowConfig):
    """What the configs of flows on images share."""

    input_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Of one image, ``(H, W, C)``."""
    dequantization: DequantizationField | None = UniformDequantizationConfig()
    """`uniform` or `variational` noise, or a dict of its `kind` and fields, `levels` among them. Images are then intensities
    ``k / (levels - 1)`` in [0, 1], in and out, as the image modality gives them without a `dequantize_levels` of its own. None:
    images are continuous."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """The flow models ``logit(alpha + (1 - 2 alpha) y)`` for ``y`` in [0, 1], and never leaves that interval by more than
    ``alpha / (1 - 2 alpha)``. None: it models ``y`` itself."""
    num_scales: PositiveInt = 2
    """How many scales, each of half the height and width of the one before."""
    network: ConvNetConfig = ConvNetConfig()
    """The network of each coupling layer."""
    min_scale: Annotated[float, Field(gt=0, lt=1)] = 1e-2
    """Least scale of a coupling layer; the largest is its reciprocal."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.input_shape

    @property
    def levels(self) -> int | None:
        """Number of levels of an image's intensities; None where they are continuous."""
        return None if self.dequantization is None else self.dequantization.levels

    def coupling(self) -> dict[str, Any]:
        """What all coupling layers of the model are built with, beside their sizes."""
        return {"n_condition": self.condition_dim or 0, "dtype": self.dtype, "param_dtype": self.param_dtype}

    def check_halvings(self, halvings: int) -> None:
        """Refuse images whose height and width cannot be halved that often, with a ``ValueError``."""
        height, width, _ = self.input_shape
        if height % 2**halvings or width % 2**halvings:
            raise ValueError(
                f"num_scales is {self.num_scales}: images of {height} x {width} would be halved {halvings} times, which takes "
                f"multiples of {2**halvings}; choose fewer scales, or another size of the images"
            )


Stage = Callable[[tuple[int, int, int], bool], tuple[list[Bijection], tuple[int, int, int]]]
"""``stage(shape, last)``: the layers of one scale for images of that shape, and the shape they leave."""


def multi_scale(
    shape: tuple[int, int, int], num_scales: int, stage: Stage, aside: Callable[[int], Bijection | None] | None = None
) -> Chain:
    """Scale upon scale: layers, then half of the channels set aside and the other half on to the next scale.

    Dinh et al. 2016 (arXiv:1605.08803), section 3.6, figure 4 (b).

    Args:
        shape: of one image.
        num_scales: how many.
        stage: makes the layers of a scale.
        aside: makes what happens to that many channels before half of them are set aside; None for nothing.

    Returns:
        a bijection from images to vectors.
    """
    layers, shape = stage(shape, num_scales == 1)
    if num_scales == 1:
        return Chain([*layers, Flatten(shape)])
    half = (*shape[:-1], shape[-1] // 2)
    before = None if aside is None else aside(shape[-1])
    return Chain([*layers, Split(shape, multi_scale(half, num_scales - 1, stage, aside), aside=before)])


def squeezed(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """What :class:`artifex.flow.bijections.Squeeze` makes of an image of this shape."""
    return shape[0] // 2, shape[1] // 2, 4 * shape[2]


def _logit(alpha: float) -> list[Bijection]:
    """``logit(a + (1 - 2 a) y)``."""
    width = 1 / (1 - 2 * alpha)
    return [Rescale(-alpha * width, width), Inverse(Sigmoid())]


class ImageFlow(Flow):
    """A flow on images. Models are subclasses that build their ``layers`` and hand them to this constructor.

    Args:
        config: of the model.
        layers: a bijection from images to vectors; a logit is put before it where the config asks for one.
        rngs: as of :class:`artifex.flow.Flow`.
    """

    config: ImageFlowConfig

    def __init__(self, config: ImageFlowConfig, layers: Bijection, *, rngs: nnx.Rngs):
        before = [] if config.alpha is None else _logit(config.alpha)
        super().__init__(config, Chain([*before, layers, Inverse(Flatten(config.shape))]), rngs=rngs)
        self.dequantization = nnx.data(None)
        if config.dequantization is not None:
            self.dequantization = create_dequantization(
                config.dequantization, config.shape, param_dtype=config.param_dtype, rngs=rngs
            )
        self.was_initialized = nnx.Variable(jnp.zeros((), bool))

    def __call__(
        self, x: Num[Array, "B H W C"], *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """One draw of the bound of ``log P(x)``, or ``log p(x)`` of continuous images.

        Args:
            x: ``(B, H, W, C)``, intensities in [0, 1], or integers ``0 .. levels - 1``.
            condition: ``(B, K)`` for a conditional flow.
            rngs: stream ``sample`` draws the noise; the model's own by default.

        Returns:
            ``log_prob`` ``(B,)``, nats, ``-inf`` for images outside the levels; ``z`` ``(B, H, W, C)``; ``log_det`` ``(B,)``.

        Raises:
            InvalidInputError: ``x`` or ``condition`` does not fit the model.
        """
        x, condition = self._checked_images(x, condition)
        return self._outputs(x, condition, None if self.dequantization is None else draw_key(self, rngs))

    def log_prob(
        self,
        x: Num[Array, "B H W C"],
        *,
        condition: Condition = None,
        n_samples: int = 1,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "B"]:
        """``log 1/S sum_s p(y_s) / (L^D q(u_s | x)) <= log P(x)``, tighter with more draws; ``log p(x)`` of continuous images.

        Hoogeboom et al. 2020, "Learning Discrete Distributions by Dequantization" (arXiv:2001.11235).

        Args:
            x: ``(B, H, W, C)``, intensities in [0, 1], or integers ``0 .. levels - 1``.
            condition: ``(B, K)`` for a conditional flow.
            n_samples: draws of noise for each image, ``S``; nothing is drawn for continuous images.
            rngs: stream ``sample`` draws the noise; the model's own by default.

        Returns:
            nats for each image.

        Raises:
            InvalidInputError: ``x`` or ``condition`` does not fit the model, values lie outside the levels, or ``n_samples`` is
                less than one.
        """
        x, condition = self._checked_images(x, condition)
        check_at_least(1, n_samples=n_samples)
        if self.dequantization is None:
            return super().log_prob(x, condition=condition)
        return self._log_prob(x, condition=condition, n_samples=n_samples, rngs=rngs)

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x``: the levels, as integers or as intensities; of continuous images what the logit takes, if there is one."""
        levels, alpha = self.config.levels, self.config.alpha
        if levels is None:
            return {} if alpha is None else {"x": Interval(0.0, 1.0, slack=alpha / (1 - 2 * alpha))}
        if jnp.issubdtype(batch["x"].dtype, jnp.integer):
            return {"x": range(levels)}
        return {"x": Interval(0.0, 1.0, slack=0.5 / (levels - 1))}

    @compiled_method(static=("n_samples",))
    def _log_prob(self, x: Array, *, condition: Condition, n_samples: int, rngs: nnx.Rngs | None = None) -> Array:
        keys = jax.random.split(draw_key(self, rngs), n_samples)
        draws = jax.lax.map(lambda key: self._outputs(x, condition, key)["log_prob"], keys)  # (S, B)
        return jax.nn.logsumexp(draws, axis=0) - math.log(n_samples)

    def _outputs(self, x: Array, condition: Condition, key: Array | None) -> dict[str, Array]:
        y, cost, inside = self._dequantized(x, key)
        z, log_det = self.bijection.forward(y, condition)
        log_prob = zero_where_overflown(self.base.log_prob(z) + log_det - cost, y)
        return {"log_prob": jnp.where(inside, log_prob, -jnp.inf), "z": z, "log_det": log_det}

    def _dequantized(self, x: Array, key: Array | None) -> tuple[Array, Array, Array]:
        """``y``; ``log q(u | x) + D log L``; whether all of an image's values have a level."""
        if self.dequantization is None:
            return x, jnp.zeros(x.shape[0], x.dtype), jnp.ones(x.shape[0], bool)
        levels = self.config.levels
        assert levels is not None
        assert key is not None
        k = levels_of(x, levels)
        u, log_q = self.dequantization.noise(key, jnp.clip(k, 0, levels - 1))
        inside = jnp.all((k >= 0) & (k < levels), axis=(1, 2, 3))
        return dequantize(k, u, levels), log_q + math.prod(x.shape[1:]) * math.log(levels), inside

    @compiled_method(static=("n_samples",))
    def generate(
        self, n_samples: int = 1, *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "N H W C"]:
        """Images: samples of the flow, each value the intensity in [0, 1] of the level in whose cell it lies.

        Args:
            n_samples: how many.
            condition: one row for each image ``(N, K)``, or one for all ``(1, K)``.
            rngs: stream ``sample``; the model's own by default.
        """
        y, _ = inspect.unwrap(Flow._sampled)(self, n_samples, condition=condition, rngs=rngs)
        return y if self.config.levels is None else quantize(y, self.config.levels)

    @property
    def initialized(self) -> bool:
        """Whether the parameters that start from data have been set; it is saved with the model."""
        return bool(self.was_initialized[...])

    def initialize(self, batch: Batch, *, rngs: nnx.Rngs | None = None) -> None:
        """Set the scales and shifts of all :class:`artifex.flow.bijections.ActNorm` from a batch, in one pass.

        Each then gives mean zero and variance one in every channel for this batch (Kingma & Dhariwal 2018, arXiv:1807.03039,
        section 3.1). The trainer does so before the first step.

        Args:
            batch: ``x`` ``(B, H, W, C)``, and ``condition`` ``(B, K)`` for a conditional flow.
            rngs: stream ``sample`` draws the dequantisation's noise; the model's own by default.

        Raises:
            InvalidInputError: the batch does not fit the model.
        """
        x, condition = self._checked_images(batch["x"], batch.get("condition"))
        y, _, _ = self._dequantized(x, None if self.dequantization is None else draw_key(self, rngs))
        graph, state = nnx.split(self.bijection)
        nnx.update(self.bijection, _initialized(graph, nnx.as_pure(state), y, condition))
        self.was_initialized[...] = jnp.ones((), bool)

    def _checked_images(self, x: Array, condition: Condition) -> tuple[Array, Array | None]:
        x, levels = jnp.asarray(x), self.config.levels
        if levels is None or not jnp.issubdtype(x.dtype, jnp.integer):
            x, condition = self._checked(x, condition, "x")
        else:
            _, condition = self._checked(jnp.broadcast_to(jnp.float32(0), x.shape), condition, "x")
        if levels is not None:
            check_levels(x, levels)
        return x, condition


@partial(jax.jit, static_argnums=0)
def _initialized(graph: nnx.GraphDef[Bijection], state: Any, x: Array, condition: Condition) -> Any:
    """The state of a bijection once it has seen ``x``."""
    bijection = nnx.merge(graph, state)
    bijection.initialize(x, condition)
    return nnx.as_pure(nnx.state(bijection))
