"""Methods of a model that run as one compiled program.

What loops — samplers, chains, decoding, importance-weighted estimates — is written as an ordinary method and decorated:

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> class Gaussian(nnx.Module):
    ...     def __init__(self, *, rngs: nnx.Rngs) -> None:
    ...         self.mean = nnx.Param(jnp.zeros(2))
    ...         self.rngs = rngs
    ...
    ...     @compiled_method(static=("n_samples",))
    ...     def generate(self, n_samples: int = 1, *, scale: float = 1.0, rngs: nnx.Rngs | None = None) -> jax.Array:
    ...         return self.mean[None] + scale * jax.random.normal(rngs.sample(), (n_samples, 2))
    >>> model = Gaussian(rngs=nnx.Rngs(0))
    >>> model.generate(4).shape
    (4, 2)
    >>> bool((model.generate(rngs=nnx.Rngs(1)) == model.generate(rngs=nnx.Rngs(1))).all())
    True
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.model_tree import flatten

__all__ = ["compiled_method", "convolution_options", "draw_key"]

P = ParamSpec("P")
R = TypeVar("R")

_DRAWING = threading.Lock()
"""Held while a stream's count is read and moved on, so that threads never draw the same key."""


def compiled_method(*, static: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the method runs as one :func:`jax.jit` program, traced once a model structure, shapes and static values.

    A method that is random declares ``rngs: nnx.Rngs | None = None``. The caller may leave it out: the key then comes from the
    streams that the model keeps as ``self.rngs`` (:func:`draw_key`), and so the next call differs.
    Given ``rngs``, the key is drawn from those. Inside, ``rngs`` is always an ``nnx.Rngs`` seeded with that key. A method that
    declares no ``rngs`` is compiled just so.

    The program works on a copy of the model's state: whatever the method changes there is dropped. It may be called within an
    outer ``jax.jit``, ``jax.grad`` or ``jax.vmap``, and follows the placement of a sharded model. The method itself stays
    within reach as ``__wrapped__``.

    Args:
        static: names of the arguments that shapes or Python control flow depend on; each new value is compiled anew.
            Their values must be hashable.

    Raises:
        TypeError: at decoration, when ``static`` names no argument of the method.
        InvalidTypeError: at a call, when a static value is not hashable or ``rngs`` is not an ``nnx.Rngs``.
        InvalidInputError: at a call, when there is no stream to draw from.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(method)
        unknown = [name for name in static if name not in signature.parameters]
        if unknown:
            raise TypeError(
                f"{method.__qualname__} has no argument {', '.join(unknown)}; it has {', '.join(signature.parameters)}."
            )
        itself = next(iter(signature.parameters))
        random = "rngs" in signature.parameters

        @_compiled
        def program(
            graph: nnx.GraphDef[Any],
            fixed: tuple[tuple[str, Any], ...],
            state: Any,
            key: jax.Array | None,
            given: dict[str, Any],
        ) -> R:
            arguments = {itself: nnx.merge(graph, state), **dict(fixed), **given}
            if key is not None:
                arguments["rngs"] = nnx.Rngs(key)
            call = inspect.BoundArguments(signature, {name: arguments[name] for name in signature.parameters})
            return method(*call.args, **call.kwargs)

        @functools.wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = bound.arguments
            model = given.pop(itself)
            key = draw_key(model, given.pop("rngs")) if random else None
            fixed = tuple((name, _hashable(name, given.pop(name))) for name in static)
            graph, state = flatten(model)
            return program(graph, fixed, state, key, given)

        return call

    return decorate


def _compiled(program: Callable[..., R]) -> Callable[..., R]:
    """:func:`jax.jit`, the first two arguments static; with :func:`convolution_options` where no other program is around it."""
    within = jax.jit(program, static_argnums=(0, 1))

    @functools.cache
    def alone() -> Callable[..., R]:  # made at the first call: to ask for the platform starts it
        options = convolution_options(jax.default_backend())
        return within if options is None else jax.jit(program, static_argnums=(0, 1), compiler_options=options)

    def call(*args: Any) -> R:
        # Options are refused within a program, and of what is differentiated or mapped.
        traced = isinstance(jnp.zeros(()), Tracer) or any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(args[2:]))
        return (within if traced else alone())(*args)

    return call


def convolution_options(platform: str, version: tuple[int, ...] = jax.__version_info__) -> dict[str, str] | None:
    """``compiler_options`` of :func:`jax.jit` with which a CPU convolves on all its cores; None where XLA does so by itself.

    JAX 0.10 gives convolutions to a library (YNNPACK) that computes one to fewer than 128 channels on a single thread; these
    options leave them to Eigen, which divides them, and sums and products to that library. From 0.12 on the library divides
    convolutions as well. A program within another one takes no options: they belong to the outermost, a training step or a
    :func:`compiled_method`.

    Args:
        platform: of the devices that the program is compiled for.
        version: of JAX.

    >>> convolution_options("cuda") is None
    True
    """
    if platform != "cpu" or version[:2] != (0, 10):
        return None
    return {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"}


def draw_key(model: nnx.Module, rngs: nnx.Rngs | None, stream: str = "sample") -> jax.Array:
    """A fresh key: from ``rngs`` where they are given, from the model's own streams (``model.rngs``) where not.

    Several threads may draw from the same streams: each gets another key.

    Args:
        model: keeps its streams as ``rngs``, if it has any.
        rngs: the caller's streams; their count goes on by one.
        stream: the stream asked for; the default stream serves where it is missing. Of the model's own, which are forks that
            nothing else draws from, ``params`` serves last: ``nnx.Rngs(params=seed)`` is enough to make a model.

    Raises:
        InvalidInputError: there is no stream to draw from.
        InvalidTypeError: ``rngs`` is something else, a key for instance.
    """
    source = getattr(model, "rngs", None) if rngs is None else rngs
    streams = (stream, "default", "params") if rngs is None else (stream, "default")
    if source is None:
        raise InvalidInputError(f"{type(model).__name__} keeps no streams of its own; pass rngs=nnx.Rngs(sample=seed).")
    if not isinstance(source, nnx.Rngs):
        raise InvalidTypeError(
            f"rngs is a flax.nnx.Rngs, got {type(source).__name__}. With a key: rngs=nnx.Rngs({stream}=key)."
        )
    found = [name for name in streams if name in source]
    if not found:
        raise InvalidInputError(
            f"rngs has neither a stream {stream!r} nor a default one, only {', '.join(source)}; use nnx.Rngs({stream}=seed)."
        )
    with _DRAWING:
        return source[found[0]]()


def _hashable(name: str, value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        raise InvalidTypeError(
            f"{name}={value!r} decides what is compiled and so must be hashable, got {type(value).__name__}; "
            "pass a number, a string or a tuple."
        ) from None
    return value
