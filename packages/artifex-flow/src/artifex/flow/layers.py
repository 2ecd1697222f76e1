"""Networks that the layers of a flow are steered by.

Shapes: ``B = batch, D = elements, C = width of the condition, P = parameters of one element, H = hidden units``; of images,
``h w = height, width, c = channels in, o = channels out``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.nn import Conv, activation as activation_named
from artifex.flow.bijections.bijection import check_width
from artifex.flow.masks import checked_order, hidden_degrees, hidden_mask, output_mask

__all__ = ["ConvNet", "ConvNetConfig", "MaskedMLP", "ReachField", "scatter_biases", "start_near_identity", "within_reach"]

ReachField = Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
KERNEL_INIT = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
NEAR_IDENTITY = 0.01
"""Factor of the weights that make a transformer's parameters: a deep flow starts as nearly the identity, whatever its depth.

Splines and coupling layers fit better for it; autoregressive affine layers fit better without."""

FARTHEST = 1e6
"""How far out networks tell elements apart: far beyond all data, far within float32."""


class MaskedMLP(nnx.Module):
    """A multilayer perceptron whose outputs for an element see the elements before it alone, and the condition.

    Germain et al. 2015 (arXiv:1502.03509). A network too narrow to have a unit of every degree has direct connections from
    input to output beside it, as they propose, so that no dependence that is allowed is missing.

    The biases of the last layer count ``bias_gain`` times. A step of Adam moves each weight by about the learning rate, and so
    an output by that times the sum over all hidden units, but by the rate once through a bias: what an element's parameters are
    on average, and all that those of the first element are, would be learned far slower than the rest.

    Args:
        order: the place of each element, 0 first.
        hidden_dims: width of each hidden layer.
        n_outputs: ``P``.
        n_condition: ``C``; 0 for none.
        activation: a name that :func:`artifex.core.nn.activation` knows.
        reach: beyond this, elements are seen ever less clearly (:func:`within_reach`); None for never.
        head_scale: factor of the last layer's first weights.
        bias_gain: factor of the last layer's biases; None means a third of the last hidden width, and at least 1. Plain
            gradient descent moves what a bias adds by its square: let it be 1 there.
        dtype: computes in this type; None means the common type of input and parameters.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Raises:
        InvalidInputError: ``order`` is no ordering.

    Example:
        >>> network = MaskedMLP((0, 1, 2), (16,), 2, rngs=nnx.Rngs(0))
        >>> network(jnp.zeros((4, 3))).shape
        (4, 2, 3)
    """

    def __init__(
        self,
        order: Sequence[int],
        hidden_dims: Sequence[int],
        n_outputs: int,
        *,
        n_condition: int = 0,
        activation: str = "relu",
        reach: float | None = None,
        head_scale: float = NEAR_IDENTITY,
        bias_gain: float | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        n = len(order)
        kinds: dict[str, Any] = {"param_dtype": param_dtype, "rngs": rngs}
        self.order = checked_order(order, n)
        self.n_outputs = n_outputs
        self.reach = reach
        self.dtype = dtype
        self.activation = activation_named(activation)
        inputs = (*self.order, *(-1,) * n_condition)
        self.degrees = (inputs, *(hidden_degrees(width, n, conditional=n_condition > 0) for width in hidden_dims))
        self.hidden = nnx.List([_linear(len(i), len(o), ("embed", "mlp"), **kinds) for i, o in pairwise(self.degrees)])
        self.head = _linear(len(self.degrees[-1]), n_outputs * n, ("mlp", "embed"), **kinds)
        self.bias_gain = max(1.0, len(self.degrees[-1]) / 3) if bias_gain is None else bias_gain
        narrow = any(set(inputs) - {n - 1} > set(layer) for layer in self.degrees[1:])
        init = nnx.with_metadata(KERNEL_INIT, logical_axes=("embed", "mlp"))
        direct = nnx.Linear(len(inputs), n_outputs * n, use_bias=False, kernel_init=init, **kinds) if narrow else None
        self.direct = nnx.data(direct)
        start_near_identity(self.head, *([] if direct is None else [direct]), scale=head_scale)
        scatter_biases(*self.hidden, rngs=rngs)

    def __call__(self, x: Float[Array, "B D"], condition: Float[Array, "B C"] | None = None) -> Float[Array, "B P D"]:
        check_width(x, len(self.order), "x")
        h = inputs = self.seen(x, condition).astype(self.compute_dtype(x.dtype))
        for kernel, bias in self.hidden_weights():
            h = self.activation(h @ kernel + bias)
        kernel, bias = self.head_weights()
        outputs = h @ kernel + bias
        if self.direct is not None:
            outputs = outputs + inputs @ self.direct_weights()
        return outputs.reshape(x.shape[0], self.n_outputs, len(self.order))

    def seen(self, x: Float[Array, "B D"], condition: Float[Array, "B C"] | None) -> Float[Array, "B _"]:
        """What the first layer sees of elements and condition."""
        x = within_reach(x, self.reach)
        return x if condition is None else jnp.concatenate([x, within_reach(condition.astype(x.dtype))], axis=-1)

    def compute_dtype(self, of: DTypeLike) -> np.dtype:
        """What an input of a type is worked on in."""
        return np.dtype(jnp.promote_types(of, self.head.kernel[...].dtype) if self.dtype is None else self.dtype)

    def hidden_weights(self) -> list[tuple[Array, Array]]:
        """Masked kernel ``(below, above)`` and bias ``(1, above)`` of each hidden layer."""
        layers = zip(self.hidden, pairwise(self.degrees), strict=True)
        return [(self._cast(layer.kernel[...]) * hidden_mask(*degrees), self._bias(layer)) for layer, degrees in layers]

    def head_weights(self) -> tuple[Array, Array]:
        """Masked kernel ``(H, P * D)`` and gained bias ``(1, P * D)`` of the output layer, an element's outputs ``D`` apart."""
        mask = np.tile(output_mask(self.degrees[-1], self.order), (1, self.n_outputs))
        return self._cast(self.head.kernel[...]) * mask, self._bias(self.head) * self.bias_gain

    def direct_weights(self) -> Array:
        """Masked kernel ``(D + C, P * D)`` from input to output."""
        assert self.direct is not None
        return self._cast(self.direct.kernel[...]) * np.tile(output_mask(self.degrees[0], self.order), (1, self.n_outputs))

    def _cast(self, weight: Array) -> Array:
        return weight if self.dtype is None else weight.astype(self.dtype)

    def _bias(self, layer: nnx.Linear) -> Array:
        assert layer.bias is not None
        return self._cast(layer.bias[...])[None]


@config
class ConvNetConfig(Config):
    """The network that steers a coupling layer on images."""

    hidden_channels: Annotated[int, Field(gt=0)] = 64
    """Channels of the hidden layers, ``H``."""
    num_blocks: Annotated[int, Field(ge=0)] = 1
    """Residual 1×1 convolutions between the two 3×3 convolutions; Glow has one."""
    activation: str = "relu"
    """Name of the nonlinearity."""
    reach: ReachField = 3.0
    """Beyond this, the network sees a channel ever less clearly, at most as 4/3 of this; null for never."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built


class ConvNet(nnx.Module):
    """3×3 convolution, residual 1×1 convolutions, 3×3 convolution: ``(B, h, w, c)`` to ``(B, h, w, o)``.

    The form of Glow's networks (Kingma & Dhariwal 2018, arXiv:1807.03039), most of whose work is in matrix products.

    Args:
        config: sizes.
        in_channels: ``c``.
        out_channels: ``o``.
        n_condition: channels of the condition; 0 for none.
        dtype: computes in this type; None means the common type of input and parameters.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> network = ConvNet(ConvNetConfig(hidden_channels=8), 1, 2, n_condition=3, rngs=nnx.Rngs(0))
        >>> network(jnp.zeros((4, 6, 6, 1)), jnp.zeros((4, 3))).shape
        (4, 6, 6, 2)
    """

    def __init__(
        self,
        config: ConvNetConfig,
        in_channels: int,
        out_channels: int,
        *,
        n_condition: int = 0,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        kinds: dict[str, Any] = {"param_dtype": param_dtype, "rngs": rngs}
        self.dtype = dtype
        self.reach = config.reach
        width = config.hidden_channels
        self.activation = activation_named(config.activation)
        self.first = Conv(in_channels + n_condition, width, dtype=dtype, **kinds)
        self.blocks = nnx.List([_linear(width, width, ("embed", "mlp"), **kinds) for _ in range(config.num_blocks)])
        self.last = Conv(width, out_channels, dtype=dtype, **kinds)
        start_near_identity(self.last)

    def __call__(self, x: Float[Array, "B h w c"], condition: Float[Array, "B ..."] | None = None) -> Float[Array, "B h w o"]:
        """``condition`` is a vector for each example ``(B, C)``, or an image ``(B, h, w, C)``."""
        x = within_reach(x, self.reach)
        if condition is not None:
            c = condition if condition.ndim == 4 else condition[:, None, None]
            x = jnp.concatenate([x, jnp.broadcast_to(c, (*x.shape[:3], c.shape[-1])).astype(x.dtype)], axis=-1)
        h = self.activation(self.first(x))
        for block in self.blocks:
            assert block.bias is not None
            kernel, bias = block.kernel[...].astype(h.dtype), block.bias[...].astype(h.dtype)
            h = h + self.activation(h @ kernel + bias[None, None, None])
        return self.last(h)


def within_reach(inputs: Float[Array, "..."], reach: float | None = None) -> Float[Array, "..."]:
    """What a network gets to see: ``x`` within ``r = reach``, ``sign(x) (r + m e / (m + e))`` beyond it.

    Here ``e = |x| - r`` and ``m = r / 3``.

    A network of rectifiers goes on in straight lines where it has seen no data, and layers of such networks multiply: a point
    ten standard deviations out may come to ``1e8``, and nothing is left of its last digits. Seen so, within ``4 r / 3``, it
    stays where it is. Without a reach, what is seen is still clipped to what can be multiplied without overflow, after which
    nothing would be a number.

    Example:
        >>> within_reach(jnp.array([-2.0, 3.0, 4.0, 1e30]), 3.0).tolist()
        [-2.0, 3.0, 3.5, 4.0]
    """
    return jnp.clip(inputs, -FARTHEST, FARTHEST) if reach is None else _squashed(inputs, reach)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _squashed(x: Array, reach: float) -> Array:
    far = jnp.sign(x) * (reach + reach / 3 * (1 - _clarity(x, reach)))
    return jnp.where(jnp.abs(x) > reach, far, x)


@_squashed.defjvp
def _squashed_jvp(reach: float, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Written out, it is quicker on CPUs than what automatic differentiation makes of the selections."""
    return _squashed(*primals, reach), tangents[0] * _clarity(*primals, reach) ** 2


def _clarity(x: Array, reach: float) -> Array:
    """``m / (m + e)``, whose square is how much of a change is seen: one within reach, falling to zero."""
    return (reach / 3) / (reach / 3 + jnp.where(jnp.abs(x) > reach, jnp.abs(x) - reach, 0))


def start_near_identity(*layers: nnx.Linear | Conv, scale: float = NEAR_IDENTITY) -> None:
    """Scale the kernels of a network's last layers down."""
    for layer in layers:
        layer.kernel[...] = scale * layer.kernel[...]


def scatter_biases(*layers: nnx.Linear, rngs: nnx.Rngs) -> None:
    """Draw the biases of hidden layers from ``U(-1 / sqrt(n_in), 1 / sqrt(n_in))``.

    With biases of zero all rectifiers of a layer bend at one point, zero; where a layer sees one or two elements that is poor.
    """
    for layer in layers:
        assert layer.bias is not None
        bound = layer.kernel.shape[0] ** -0.5
        bias = layer.bias[...]
        layer.bias[...] = jax.random.uniform(rngs.params(), bias.shape, bias.dtype, -bound, bound)


def _linear(n_in: int, n_out: int, axes: tuple[str, str], *, param_dtype: DTypeLike, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(
        n_in,
        n_out,
        kernel_init=nnx.with_metadata(KERNEL_INIT, logical_axes=axes),
        bias_init=nnx.with_metadata(nnx.initializers.zeros_init(), logical_axes=axes[1:]),
        param_dtype=param_dtype,
        rngs=rngs,
    )
