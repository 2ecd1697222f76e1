r"""Coupling layers on images.

Dinh et al. 2016, "Density estimation using Real NVP" (arXiv:1605.08803), section 3.4, figure 3. A binary mask ``b`` says which
elements pass and steer the others by a convolutional network:

    y = b x + (1 - b) t(x; network(b x, c)),   log |det dy/dx| = sum (1 - b) log dt/dx

    checkerboard   b = 1 where row + column is even, or odd, in every channel
    channels       b = 1 in the first half of the channels, or in the second, at every position

Shapes: ``B = batch, H W C = an image, P = parameters of one element``; a condition is a vector ``(B, K)`` or an image
``(B, H, W, K)``.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed, sum_over_example
from artifex.flow.bijections.transformer import Transformer
from artifex.flow.layers import ConvNet, ConvNetConfig

__all__ = ["ChannelCoupling", "CheckerboardCoupling", "checkerboard"]


def checkerboard(height: int, width: int, *, odd: bool = False) -> np.ndarray:
    """``(height, width)``: True where row plus column is even, or ``odd``.

    Example:
        >>> checkerboard(2, 3).tolist()
        [[True, False, True], [False, True, False]]
    """
    return np.add.outer(np.arange(height), np.arange(width)) % 2 == int(odd)


class CheckerboardCoupling(Bijection):
    """Every other position steers the rest.

    Args:
        channels: ``C``.
        transformer: ``t``.
        network: sizes of the network.
        odd: the positions whose row and column add up to an odd number pass; else the even ones.
        n_condition: ``K``; 0 for none.
        dtype: what the network computes in; None means the common type of input and parameters. Elements stay as they are.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> from artifex.flow.bijections import AffineTransformer
        >>> layer = CheckerboardCoupling(1, AffineTransformer(), ConvNetConfig(hidden_channels=4), rngs=nnx.Rngs(0))
        >>> y, log_det = layer.forward(jnp.ones((1, 2, 2, 1)))
        >>> (y[0, :, :, 0] == 1).tolist()
        [[True, False], [False, True]]
    """

    def __init__(
        self,
        channels: int,
        transformer: Transformer,
        network: ConvNetConfig,
        *,
        odd: bool = False,
        n_condition: int = 0,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.transformer, self.odd = transformer, odd
        kinds: dict[str, Any] = {"n_condition": n_condition, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.network = ConvNet(network, channels, transformer.n_parameters * channels, **kinds)

    def forward(self, x: Float[Array, "B H W C"], condition: Condition = None) -> Transformed:
        return self._apply(x, condition, self.transformer.forward)

    def inverse(self, y: Float[Array, "B H W C"], condition: Condition = None) -> Transformed:
        return self._apply(y, condition, self.transformer.inverse)

    def _apply(self, x: Float[Array, "B H W C"], condition: Condition, move) -> Transformed:
        passes = jnp.asarray(checkerboard(*x.shape[1:3], odd=self.odd)[None, :, :, None])
        parameters = self.network(jnp.where(passes, x, 0), condition).astype(x.dtype)
        moved, log_derivatives = move(x, _by_element(parameters, self.transformer))
        return jnp.where(passes, x, moved), sum_over_example(jnp.where(passes, 0, log_derivatives))


class ChannelCoupling(Bijection):
    """One half of the channels steers the other.

    Args:
        channels: ``C``, an even number.
        transformer: ``t``.
        network: sizes of the network.
        second_steers: the second half of the channels passes; else the first.
        n_condition: ``K``; 0 for none.
        dtype: what the network computes in; None means the common type of input and parameters. Elements stay as they are.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Raises:
        InvalidInputError: the number of channels is odd.

    Example:
        >>> from artifex.flow.bijections import AffineTransformer
        >>> layer = ChannelCoupling(4, AffineTransformer(), ConvNetConfig(hidden_channels=4), rngs=nnx.Rngs(0))
        >>> (layer.forward(jnp.ones((1, 1, 1, 4)))[0] == 1).tolist()
        [[[[True, True, False, False]]]]
    """

    def __init__(
        self,
        channels: int,
        transformer: Transformer,
        network: ConvNetConfig,
        *,
        second_steers: bool = False,
        n_condition: int = 0,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        if channels % 2:
            raise InvalidInputError(f"{channels} channels cannot be halved; squeeze first, which multiplies them by four")
        self.transformer, self.second_steers = transformer, second_steers
        kinds: dict[str, Any] = {"n_condition": n_condition, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.network = ConvNet(network, channels // 2, transformer.n_parameters * channels // 2, **kinds)

    def forward(self, x: Float[Array, "B H W C"], condition: Condition = None) -> Transformed:
        return self._apply(x, condition, self.transformer.forward)

    def inverse(self, y: Float[Array, "B H W C"], condition: Condition = None) -> Transformed:
        return self._apply(y, condition, self.transformer.inverse)

    def _apply(self, x: Float[Array, "B H W C"], condition: Condition, move) -> Transformed:
        halves = jnp.split(x, 2, axis=-1)
        steering, moving = halves[::-1] if self.second_steers else halves
        parameters = self.network(steering, condition).astype(x.dtype)
        moved, log_derivatives = move(moving, _by_element(parameters, self.transformer))
        parts = (moved, steering) if self.second_steers else (steering, moved)
        return jnp.concatenate(parts, axis=-1), sum_over_example(log_derivatives)


def _by_element(parameters: Float[Array, "B H W PC"], transformer: Transformer) -> Float[Array, "B H W P C"]:
    *places, outputs = parameters.shape
    return parameters.reshape(*places, transformer.n_parameters, outputs // transformer.n_parameters)
