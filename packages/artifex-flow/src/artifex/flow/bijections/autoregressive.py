r"""The masked autoregressive layer.

Papamakarios et al. 2017, "Masked Autoregressive Flow for Density Estimation" (arXiv:1705.07057):

    y_i = t(x_i; h_i),   h_i = network(x_1 ... x_{i-1}, c)         one pass of a masked network for all elements
    x_i = t^-1(y_i; h_i)                                           one element after the other
    log |det dy/dx| = sum_i log dt/dx_i                            the Jacobian is triangular

The inverse is one compiled scan over elements. Its step does not run the network again: hidden units are sorted by degree, and
what becomes known with element ``i - 1`` are the few units of that degree and the outputs of element ``i``. All steps together
cost about what one pass does, where running the network ``D`` times would cost ``D`` passes.

Shapes: ``B = batch, D = elements, C = width of the condition, P = parameters of one element, H = hidden units``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from artifex.flow.bijections.bijection import Bijection, Condition, Transformed, check_width, sum_over_example
from artifex.flow.bijections.transformer import Transformer
from artifex.flow.layers import NEAR_IDENTITY, MaskedMLP

__all__ = ["MaskedAutoregressive"]


class MaskedAutoregressive(Bijection):
    """``y_i = t(x_i; network(x_{<i}, c))``: forward in one pass, inverse element by element.

    Args:
        order: the place of each element in the ordering, 0 first.
        transformer: ``t``.
        hidden_dims: widths of the network's hidden layers.
        n_condition: ``C``; 0 for none.
        activation: of the network.
        reach: beyond this, the network sees elements ever less clearly (:func:`artifex.flow.layers.within_reach`).
        head_scale: factor of the first weights that make ``t``'s parameters; a small one starts near the identity.
        bias_gain: factor of the biases that make them (:class:`artifex.flow.layers.MaskedMLP`).
        dtype: what the network computes in; None means the common type of input and parameters. Elements stay as they are.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> from artifex.flow.bijections import AffineTransformer
        >>> layer = MaskedAutoregressive((0, 1, 2), AffineTransformer(), (16,), rngs=nnx.Rngs(0))
        >>> x = jnp.array([[0.5, -1.0, 2.0]])
        >>> bool(jnp.allclose(layer.inverse(layer.forward(x)[0])[0], x, atol=1e-5))
        True
    """

    def __init__(
        self,
        order: Sequence[int],
        transformer: Transformer,
        hidden_dims: Sequence[int],
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
        self.transformer = transformer
        self.network = MaskedMLP(
            order,
            hidden_dims,
            transformer.n_parameters,
            n_condition=n_condition,
            activation=activation,
            reach=reach,
            head_scale=head_scale,
            bias_gain=bias_gain,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def forward(self, x: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        y, log_derivatives = self.transformer.forward(x, self.network(x, condition).astype(x.dtype))
        return y, sum_over_example(log_derivatives)

    def inverse(self, y: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        network, n = self.network, len(self.network.order)
        check_width(y, n, "y")
        dtype = network.compute_dtype(y.dtype)
        element = np.argsort(network.order)  # at each place
        steps = _steps(network)
        seen = network.seen(jnp.zeros_like(y), condition).astype(dtype).T
        hidden = [jnp.zeros((len(degrees), y.shape[0]), dtype) for degrees in network.degrees[1:]]

        def solve(carry: Any, step: _Step) -> tuple[Any, Array]:
            seen, hidden, log_det = carry
            below, known = seen, []
            for h, (kernel, bias, start) in zip(hidden, step.hidden, strict=True):
                units = network.activation(kernel @ below + bias[:, None])  # (m, B)
                below = jax.lax.dynamic_update_slice(h, units, (start, 0))
                known.append(below)
            parameters = step.head @ below + step.bias[:, None]  # (P, B)
            if step.direct is not None:
                parameters = parameters + step.direct @ seen
            x, log_derivative = self.transformer.inverse(step.y, parameters.astype(y.dtype))
            seen = jax.lax.dynamic_update_slice(seen, network.seen(x[None], None).astype(dtype), (step.element, 0))
            return (seen, known, log_det + log_derivative), x

        start = (seen, hidden, jnp.zeros(y.shape[0], y.dtype))
        (_, _, log_det), x = jax.lax.scan(solve, start, steps._replace(y=y.T[element], element=jnp.asarray(element)))
        return x[np.asarray(network.order)].T, log_det


class _Step(NamedTuple):
    """What one step of the inverse needs; with a leading axis of ``D``, all of them."""

    hidden: list[tuple[Array, Array, Array]]
    """Of each layer: kernel ``(m, below)`` and bias ``(m,)`` of the units that may be new, and the first of them."""
    head: Array
    """``(P, H)``."""
    bias: Array
    """``(P,)``."""
    direct: Array | None
    """``(P, D + C)``."""
    y: Any = None
    """``(B,)``: the element to invert."""
    element: Any = None
    """Which it is."""


def _steps(network: MaskedMLP) -> _Step:
    """The network's weights, sorted by degree and cut into the pieces that the steps take.

    At place ``s`` the units of degree ``s - 1`` are new. Each step computes equally many, as many as the commonest degree has,
    from the first new one on: those too many have a higher degree, are masked out of everything at this step, and are computed
    again when their own turn comes.
    """
    n, p = len(network.order), network.n_outputs
    element = np.argsort(network.order)
    below = np.arange(len(network.degrees[0]))
    hidden = []
    for (kernel, bias), degrees in zip(network.hidden_weights(), network.degrees[1:], strict=True):
        order = np.argsort(degrees, kind="stable")
        counts = [degrees.count(s - 1) for s in range(n)]
        m = max(counts)
        start = np.minimum(np.cumsum([0, *counts[:-1]]), len(degrees) - m)
        units = order[start[:, None] + np.arange(m)]  # (D, m)
        hidden.append((kernel[below].T[units], bias[0][units], jnp.asarray(start)))
        below = order
    kernel, bias = network.head_weights()
    columns = np.arange(p)[None] * n + element[:, None]  # (D, P)
    direct = None if network.direct is None else network.direct_weights().T[columns]
    return _Step(hidden, kernel[below].T[columns], bias[0][columns], direct)
