r"""The coupling layer.

Dinh et al. 2014 (arXiv:1410.8516) and 2016 (arXiv:1605.08803): one part of the input steers what happens to the other,

    y_a = x_a,   y_b = t(x_b; network(x_a, c)),   log |det dy/dx| = sum_b log dt/dx_b

and both directions cost one pass of the network.

Shapes: ``B = batch, D = elements, A + T = D: elements that pass and that are transformed, C = width of the condition``.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.core.nn import MLP
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed, check_width, sum_over_example
from artifex.flow.bijections.transformer import Transformer
from artifex.flow.layers import scatter_biases, start_near_identity, within_reach

__all__ = ["Coupling"]


class Coupling(Bijection):
    """``y_b = t(x_b; network(x_a, c))`` on vectors, one pass both ways.

    Args:
        mask: which elements pass unchanged and steer the others.
        transformer: ``t``.
        hidden_dims: widths of the network's hidden layers.
        n_condition: ``C``; 0 for none.
        activation: of the network.
        reach: beyond this, the network sees elements ever less clearly (:func:`artifex.flow.layers.within_reach`).
        dtype: what the network computes in; None means the common type of input and parameters. Elements stay as they are.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Raises:
        InvalidInputError: nothing passes, or everything does.

    Example:
        >>> from artifex.flow.bijections import AffineTransformer
        >>> layer = Coupling((True, False, True), AffineTransformer(), (16,), rngs=nnx.Rngs(0))
        >>> y, log_det = layer.forward(jnp.array([[0.5, -1.0, 2.0]]))
        >>> float(y[0, 0]), float(y[0, 2])
        (0.5, 2.0)
    """

    def __init__(
        self,
        mask: Sequence[bool],
        transformer: Transformer,
        hidden_dims: Sequence[int],
        *,
        n_condition: int = 0,
        activation: str = "relu",
        reach: float | None = None,
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.mask = tuple(bool(passes) for passes in mask)
        n_pass, n = sum(self.mask), len(self.mask)
        if not 0 < n_pass < n:
            raise InvalidInputError(
                f"mask {self.mask} lets {n_pass} of {n} elements pass; some have to pass and some have to be transformed"
            )
        self.transformer = transformer
        self.reach = reach
        self.network = MLP(
            n_pass + n_condition,
            hidden_dims,
            transformer.n_parameters * (n - n_pass),
            activation=activation,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        *hidden, head = self.network.layers
        start_near_identity(head)
        scatter_biases(*hidden, rngs=rngs)

    def forward(self, x: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        return self._apply(x, condition, self.transformer.forward)

    def inverse(self, y: Float[Array, "B D"], condition: Condition = None) -> Transformed:
        return self._apply(y, condition, self.transformer.inverse)

    def _apply(self, x: Float[Array, "B D"], condition: Condition, move) -> Transformed:
        check_width(x, len(self.mask), "x")
        passing, changing = np.flatnonzero(self.mask), np.flatnonzero(np.logical_not(self.mask))
        steering, moving = _taken(x, passing), _taken(x, changing)
        seen = within_reach(steering, self.reach)
        if condition is not None:
            seen = jnp.concatenate([seen, within_reach(condition.astype(x.dtype))], axis=-1)
        shape = (x.shape[0], self.transformer.n_parameters, len(changing))
        parameters = self.network(seen).reshape(shape).astype(x.dtype)
        moved, log_derivatives = move(moving, parameters)
        return _merged(x.shape[-1], (passing, steering), (changing, moved)), sum_over_example(log_derivatives)


def _taken(x: Float[Array, "B D"], places: np.ndarray) -> Float[Array, "B A"]:
    """The elements at ``places``: of pairs, one of two columns; evenly spaced ones as a slice, whose transpose is a pad.

    Both are quicker on CPUs than indexing, whose transpose is a scatter.
    """
    if _one_of_each_pair(x.shape[-1], places):
        return x.reshape(x.shape[0], x.shape[-1] // 2, 2)[..., int(places[0])]
    stride = _stride(places)
    return x[:, places] if stride is None else x[:, places[0] : places[-1] + 1 : stride]


def _merged(n: int, *parts: tuple[np.ndarray, Float[Array, "B A"]]) -> Float[Array, "B D"]:
    """What :func:`_taken` took apart: two pairs of places and elements."""
    if all(_one_of_each_pair(n, places) for places, _ in parts):
        columns = [elements for _, elements in sorted(parts, key=lambda part: part[0][0])]
        return jnp.stack(columns, axis=-1).reshape(columns[0].shape[0], n)
    strides = [_stride(places) for places, _ in parts]
    if None in strides:
        back = np.argsort(np.concatenate([places for places, _ in parts]))
        return jnp.concatenate([elements for _, elements in parts], axis=-1)[:, back]
    total = jnp.zeros((), parts[0][1].dtype)
    for (places, elements), stride in zip(parts, strides, strict=True):
        margins = (int(places[0]), n - 1 - int(places[-1]), (stride or 1) - 1)
        total += jax.lax.pad(elements, jnp.zeros((), elements.dtype), ((0, 0, 0), margins))
    return total


def _one_of_each_pair(n: int, places: np.ndarray) -> bool:
    """Whether ``places`` are 0, 2 ... or 1, 3 ... of an even ``n``."""
    return n % 2 == 0 and np.array_equal(places, np.arange(places[0] % 2, n, 2))


def _stride(places: np.ndarray) -> int | None:
    """The step between ``places``, if it is the same everywhere."""
    steps = set(np.diff(places).tolist()) or {1}
    return steps.pop() if len(steps) == 1 else None
