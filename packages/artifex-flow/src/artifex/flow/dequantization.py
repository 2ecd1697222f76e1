r"""Dequantisation: a density of continuous images as a model of discrete ones.

An image of ``D`` elements has levels ``k`` in ``0 .. L - 1``; a flow has a density of ``y = (k + u) / L`` in ``[0, 1)``. The
mass of an image is that of its cell, and noise ``u ~ q(u | k)`` on ``[0, 1)`` gives a lower bound of it:

    P(k) = L^-D \int p((k + u) / L) du,   log P(k) >= E_q[log p((k + u) / L) - log q(u | k)] - D log L

    uniform        q = 1            Uria et al. 2013 (arXiv:1306.0186); Theis et al. 2015 (arXiv:1511.01844), section 3.1
    variational    u = sigmoid(h),  h = g(e; k),  e ~ N(0, I),  with g a flow:
                   log q(u | k) = log N(e; 0, I) - log |det dg/de| - sum log sigmoid'(h)
                                    Ho et al. 2019, "Flow++" (arXiv:1902.00275), section 3.1

The bound is tight where ``q`` is the posterior of the noise: for uniform noise, where the density is constant on every cell.

Images are given as intensities ``x = k / (L - 1)`` in ``[0, 1]``, which is what data sets and modalities hold, or as the
integers ``k``. Shapes: ``B = batch, ... = one example, H W C = an image``.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.core.errors import InvalidInputError
from artifex.flow.bijections import ActNorm, AffineTransformer, Chain, CheckerboardCoupling, Sigmoid
from artifex.flow.bijections.bijection import sum_over_example
from artifex.flow.layers import ConvNetConfig

__all__ = [
    "DequantizationConfig",
    "DequantizationField",
    "Dequantizer",
    "UniformDequantization",
    "UniformDequantizationConfig",
    "VariationalDequantization",
    "VariationalDequantizationConfig",
    "check_levels",
    "create_dequantization",
    "dequantize",
    "levels_of",
    "quantize",
]

Noise = tuple[Float[Array, "B ..."], Float[Array, "B"]]
"""``u`` in ``[0, 1]``, and ``log q(u | k)`` of each example, nats."""


def levels_of(x: Num[Array, "..."], levels: int) -> Float[Array, "..."]:
    """``k = round((L - 1) x)`` of intensities in ``[0, 1]``; integers are levels already.

    Example:
        >>> levels_of(jnp.array([0.0, 0.5, 1.0]), 17).tolist()
        [0.0, 8.0, 16.0]
    """
    if jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(jnp.float32)
    return jnp.round(x.astype(jnp.promote_types(x.dtype, jnp.float32)) * (levels - 1))


def dequantize(k: Float[Array, "..."], u: Float[Array, "..."], levels: int) -> Float[Array, "..."]:
    """``y = (k + u) / L``, kept below the next level, which a sum of rounded numbers can reach.

    Example:
        >>> dequantize(jnp.array([0.0, 3.0]), jnp.array([0.5, 0.5]), 4).tolist()
        [0.125, 0.875]
    """
    below = jax.lax.stop_gradient(jnp.nextafter(k + 1, jnp.zeros_like(k)))
    return jnp.minimum(k + u, below) / levels


def quantize(y: Float[Array, "..."], levels: int) -> Float[Array, "..."]:
    """``x = floor(L y) / (L - 1)``: the intensity in ``[0, 1]`` of the level in whose cell ``y`` lies, or of the nearest one.

    Example:
        >>> (3 * quantize(jnp.array([-0.1, 0.2, 0.3, 1.0]), 4)).tolist()
        [0.0, 0.0, 1.0, 3.0]
    """
    return jnp.clip(jnp.floor(y * levels), 0, levels - 1) / (levels - 1)


def check_levels(x: Array, levels: int) -> None:
    """Refuse values that no level lies near; arrays that are being traced cannot be looked at and pass.

    Raises:
        InvalidInputError: something lies outside.
    """
    if isinstance(x, Tracer) or x.size == 0:
        return
    integers = jnp.issubdtype(x.dtype, jnp.integer)
    highest = levels - 1 if integers else 1
    slack = 0.5 / (levels - 1)
    given = np.asarray(x)
    low, high = given.min(), given.max()
    if not (low >= 0 and high <= highest if integers else low > -slack and high < highest + slack):  # halfway rounds to even
        kind = f"integers in 0..{highest}" if integers else "intensities in [0, 1]"
        raise InvalidInputError(
            f"x has values from {low:g} to {high:g}; the model has {levels} levels and takes {kind}: rescale x, or set "
            "dequantization.levels"
        )


@config
class DequantizationConfig(Config):
    """Base of the configs of dequantisations; the registered name is the ``kind`` under ``dequantization``."""

    levels: Annotated[int, Field(ge=2)] = 256
    """Number of levels ``L`` of the images' intensities ``x = k / (L - 1)``: 256 for 8-bit images, 17 for the digits."""


@runtime_checkable
class Dequantizer(Protocol):
    """What a flow on images asks of a dequantisation, built as ``dequantizer(config, shape, *, param_dtype, rngs)``."""

    def noise(self, key: Array, k: Float[Array, "B ..."]) -> Noise:
        """``u ~ q(u | k)`` and ``log q(u | k)`` for levels ``k``."""
        ...


@config
class UniformDequantizationConfig(DequantizationConfig):
    """Uniform noise."""


class UniformDequantization(nnx.Module):
    """``q(u | k) = 1`` on the unit cube.

    Example:
        >>> dequantizer = UniformDequantization(UniformDequantizationConfig(levels=4), (2,), rngs=nnx.Rngs(0))
        >>> dequantizer.noise(jax.random.key(0), jnp.zeros((3, 2)))[1].tolist()
        [0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        config: UniformDequantizationConfig,
        shape: tuple[int, ...],
        *,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        del config, shape, param_dtype, rngs  # it has no parameters

    def noise(self, key: Array, k: Float[Array, "B ..."]) -> Noise:
        return jax.random.uniform(key, k.shape, k.dtype), jnp.zeros(len(k), k.dtype)


@config
class VariationalDequantizationConfig(DequantizationConfig):
    """Noise from a flow given the image, learned together with the density."""

    num_layers: Annotated[int, Field(ge=2)] = 4
    """Checkerboard couplings of the noise's flow; two are needed for every element to be transformed."""
    network: ConvNetConfig = ConvNetConfig(hidden_channels=32)
    """The network of each coupling."""


class VariationalDequantization(nnx.Module):
    """``u = sigmoid(g(e; k))`` with ``g`` affine checkerboard couplings that see the image, and ``e ~ N(0, I)``.

    Args:
        config: sizes.
        shape: of one image, ``(H, W, C)``.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.
    """

    def __init__(
        self,
        config: VariationalDequantizationConfig,
        shape: tuple[int, int, int],
        *,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        channels = shape[-1]
        couplings = [
            CheckerboardCoupling(
                channels,
                AffineTransformer(1e-2, 1e2),
                config.network,
                odd=i % 2 == 1,
                n_condition=channels,
                param_dtype=param_dtype,
                rngs=rngs,
            )
            for i in range(config.num_layers)
        ]
        # sigmoid(1.75 e) is nearly uniform for a normal e, 0.01 nats off: the noise starts as that of uniform dequantisation
        widened = ActNorm(channels, param_dtype=param_dtype)
        widened.log_scale[...] = jnp.full(channels, math.log(1.75), param_dtype)
        self.flow = Chain([*couplings, widened, Sigmoid()])
        self.levels = config.levels

    def noise(self, key: Array, k: Float[Array, "B H W C"]) -> Noise:
        e = jax.random.normal(key, k.shape, k.dtype)
        u, log_det = self.flow.forward(e, 2 * k / (self.levels - 1) - 1)
        return u, sum_over_example(-0.5 * (jnp.square(e) + math.log(2 * math.pi))) - log_det


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


DequantizationField = Annotated[DequantizationConfig, Registered("dequantization"), BeforeValidator(_named)]
"""A config field that takes a dequantisation's config, a dict with its ``kind``, or just its name."""


def create_dequantization(
    config: DequantizationConfig, shape: tuple[int, ...], *, param_dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs
) -> Any:
    """The dequantisation that ``config`` describes, found by its type among the installed plugins."""
    entry = plugins.registry().entry_of_config("dequantization", type(config))
    return plugins.resolve(entry.component)(config, shape, param_dtype=param_dtype, rngs=rngs)
