"""Layers of one kind as a single module whose arrays have one more axis in front: what :func:`jax.lax.scan` goes through.

A scan over stacked layers is compiled once, however many layers there are, and has one array where a Python loop has one for
each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
from flax import nnx

__all__ = ["drop_key", "scan_layers", "stacked", "unstacked"]

M = TypeVar("M", bound=nnx.Module)


def stacked(make: Callable[[nnx.Rngs], M], n_layers: int, rngs: nnx.Rngs) -> M:
    """``n_layers`` modules as one: every parameter has a leading axis, called ``layers`` among its logical axes.

    Args:
        make: one layer from its streams. It may keep none of them.
        n_layers: how many.
        rngs: stream ``params`` initialises.

    Example:
        >>> layers = stacked(lambda rngs: nnx.Linear(4, 4, rngs=rngs), 3, nnx.Rngs(0))
        >>> layers.kernel.shape
        (3, 4, 4)
    """
    keys = jax.random.split(rngs.params(), n_layers)
    graph = nnx.graphdef(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    arrays = jax.vmap(lambda key: nnx.as_pure(nnx.state(make(nnx.Rngs(params=key)))))(keys)
    layers = nnx.merge(graph, arrays)
    for _, parameter in nnx.iter_graph(layers):
        if isinstance(parameter, nnx.Param):
            axes = parameter.get_metadata().get("logical_axes") or (None,) * (parameter[...].ndim - 1)
            parameter.set_metadata(logical_axes=("layers", *axes))
    return layers


def scan_layers(
    layers: nnx.Module,
    step: Callable[..., tuple[Any, Any]],
    start: Any,
    along: Any = (),
    *,
    remat: bool = False,
    kept: Callable[..., Any] | None = None,
    unroll: int = 1,
) -> tuple[Any, Any]:
    """``step(layer, carry, along[i]) -> (carry, made)`` for one layer after the other, in one :func:`jax.lax.scan`.

    Args:
        layers: what :func:`stacked` gives.
        step: pure.
        start: the first carry.
        along: a tree of arrays with an axis of the layers in front.
        remat: compute activations again in the backward pass, and keep only the carries (arXiv:1604.06174).
        kept: a policy of :mod:`jax.checkpoint_policies`: what else is kept, the rest being computed again; without ``remat``.
        unroll: layers in one step of the loop.

    Returns:
        The last carry, and what was made, stacked.
    """
    graph, arrays = nnx.split(layers)

    def body(carry: Any, given: Any) -> tuple[Any, Any]:
        of_layer, along = given
        return step(nnx.merge(graph, of_layer), carry, along)

    if remat or kept is not None:  # in a loop, nothing has to keep XLA from merging what is computed twice
        body = jax.checkpoint(body, policy=None if remat else kept, prevent_cse=False)
    return jax.lax.scan(body, start, (nnx.as_pure(arrays), along), unroll=unroll)


def drop_key(dropout: nnx.Dropout) -> jax.Array:
    """A fresh key of a dropout layer's own stream: layers in a scan cannot move its count."""
    assert dropout.rngs is not None  # made with streams
    return dropout.rngs()


def unstacked(layers: M, n_layers: int) -> Iterator[M]:
    """The layers one by one."""
    graph, arrays = nnx.split(layers)
    for i in range(n_layers):
        yield nnx.merge(graph, jax.tree.map(lambda a: a[i], nnx.as_pure(arrays)))  # noqa: B023
