r"""Low-rank adaptation of linear layers: :math:`W + \frac{\alpha}{r} A B`, of which only :math:`A` and :math:`B` are trained.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685, section 4.1. Kernels act from the right
here, ``y = x W`` with ``W`` of shape ``(I, O)``, so ``A`` is ``(I, R)`` and ``B`` is ``(R, O)``: the paper's transposed.

    I: inputs  O: outputs  R: rank  L: layers of a stacked kernel (L, I, O)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from math import prod
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.patterns import Patterns, covered

__all__ = ["LoRAConfig", "add_lora", "is_lora_factor", "merge_lora", "merged_weights"]

A, B = "lora_a", "lora_b"
"""Names of the factors, beside the ``kernel`` that they add to."""


@config
class LoRAConfig(Config):
    """Which linear layers are adapted, and how."""

    rank: Annotated[int, Field(ge=1)] = 8
    """Rank r of the update."""
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The update is scaled by alpha / r; by default alpha is r."""
    parameters: Patterns = ("**",)
    """Dotted names of the layers or of modules above them, ``encoder.layers.*``; by default all linear layers."""

    @property
    def scale(self) -> float:
        """The factor of ``A B``."""
        return 1.0 if self.alpha is None else self.alpha / self.rank


def add_lora(model: nnx.Module, config: LoRAConfig, *, rngs: nnx.Rngs) -> list[str]:
    r"""Have the linear layers of ``model`` that ``config`` names compute with :math:`W + \frac{\alpha}{r} A B`, in place.

    Linear layers are ``nnx.Linear`` and ``nnx.LinearGeneral`` and what is derived from them, stacked ones for a scan included.
    Outputs stay what they were, because ``B`` starts at zero (and ``A`` normal, with variance 1 / I). Nothing is frozen here:
    see :func:`is_lora_factor`.

    Args:
        model: its layers get two parameters more, ``lora_a`` and ``lora_b``; ``layer.kernel`` reads as the sum, and only reads.
        config: which layers, and the rank.
        rngs: stream ``params`` draws each ``A``.

    Returns:
        The dotted names of the layers.

    Raises:
        InvalidInputError: a pattern names no linear layer, or the model has LoRA factors already.

    Example:
        >>> layer = nnx.Linear(8, 4, rngs=nnx.Rngs(0))
        >>> model = nnx.Sequential(layer)
        >>> add_lora(model, LoRAConfig(rank=2), rngs=nnx.Rngs(1))
        ['layers.0']
        >>> layer.lora_a.shape, layer.lora_b.shape
        ((8, 2), (2, 4))
    """
    layers = {".".join(path): module for path, module in _linear_layers(model)}
    if any(_is_adapted(layer) for layer in layers.values()):
        raise InvalidInputError(f"{type(model).__name__} has LoRA factors already; merge_lora(model) first")
    if not layers:
        raise InvalidInputError(f"{type(model).__name__} has no nnx.Linear or nnx.LinearGeneral to adapt")
    names = covered(config.parameters, layers.keys(), what="lora.parameters")
    for name in names:
        _adapt(layers[name], config, rngs)
    return names


def merge_lora(model: nnx.Module) -> list[str]:
    """Add the update of each adapted layer to its kernel and make it the plain layer that it was, in place.

    Returns:
        The dotted names of the layers; none where none is adapted.

    Example:
        >>> layer = nnx.Linear(8, 4, rngs=nnx.Rngs(0))
        >>> _ = add_lora(nnx.Sequential(layer), LoRAConfig(rank=2), rngs=nnx.Rngs(1))
        >>> merge_lora(nnx.Sequential(layer)), type(layer).__name__
        (['layers.0'], 'Linear')
    """
    names = []
    for path, layer in _linear_layers(model):
        if not _is_adapted(layer):
            continue
        merged = layer.kernel[...]
        object.__setattr__(layer, "__class__", type(layer).plain)
        layer.kernel[...] = merged
        for name in (A, B, "lora_scale"):
            delattr(layer, name)
        names.append(".".join(path))
    return names


def is_lora_factor(name: str) -> bool:
    """Whether the parameter with this dotted name is one of the two that are trained.

    >>> is_lora_factor("encoder.layers.0.lora_a"), is_lora_factor("encoder.layers.0.kernel")
    (True, False)
    """
    return name.rpartition(".")[2] in (A, B)


def merged_weights(weights: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """Flat weights of an adapted model, under dotted keys, as those of the plain one.

    Args:
        weights: with ``lora_a`` and ``lora_b`` beside a ``kernel``.
        scale: alpha / r (:attr:`LoRAConfig.scale`).
    """
    plain = {name: value for name, value in weights.items() if not is_lora_factor(name)}
    for name, a in weights.items():
        layer, _, last = name.rpartition(".")
        if last == A:
            prefix = f"{layer}." if layer else ""
            kernel = f"{prefix}kernel"
            plain[kernel] = _sum(jnp.asarray(plain[kernel]), jnp.asarray(a), jnp.asarray(weights[f"{prefix}{B}"]), scale)
    return plain


class _Sum:
    """What an adapted layer's ``kernel`` reads as."""

    def __init__(self, value: jax.Array):
        self._value = value

    def __getitem__(self, key: Any) -> jax.Array:
        return self._value[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value, name)


def _sum(kernel: jax.Array, a: jax.Array, b: jax.Array, scale: float) -> jax.Array:
    """``W + scale A B`` in the shape and type of ``W``."""
    return (kernel + scale * (a @ b).reshape(kernel.shape)).astype(kernel.dtype)


@cache
def _adapted(cls: type) -> type:
    """``cls`` with the sum for its kernel; a subclass, so that graph, clones and views keep it."""

    def read(self: Any) -> _Sum:
        kernel = vars(self)["kernel"]
        return _Sum(_sum(kernel[...], self.lora_a[...], self.lora_b[...], self.lora_scale))

    def write(self: Any, value: Any) -> None:
        vars(self)["kernel"] = value

    attributes = {"kernel": property(read, write), "plain": cls, "__module__": cls.__module__}
    if cls.__call__ is nnx.Linear.__call__:
        attributes["__call__"] = _call
    return type(cls)(cls.__name__, (cls,), attributes)


def _call(self: Any, inputs: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
    """``x W + scale (x A) B``: no gradient as large as ``W`` is computed, and in bfloat16 no small update is rounded away."""
    plain = object.__new__(type(self).plain)
    vars(plain).update(vars(self))
    outputs = plain(inputs, *args, **kwargs)
    x, a, b = self.promote_dtype((inputs, self.lora_a[...], self.lora_b[...]), dtype=self.dtype)
    return outputs + (self.lora_scale * (x @ a) @ b).astype(outputs.dtype)


def _is_adapted(layer: Any) -> bool:
    return hasattr(type(layer), "plain")


def _adapt(layer: Any, config: LoRAConfig, rngs: nnx.Rngs) -> None:
    kernel = layer.kernel
    stacked, inputs = _axes(layer, kernel.ndim)
    stack, fan_in, fan_out = kernel.shape[:stacked], *_sizes(kernel.shape[stacked:], inputs)
    dtype = jnp.promote_types(layer.param_dtype, jnp.float32)  # what is trained is kept in no less
    a = jax.random.normal(rngs.params(), (*stack, fan_in, config.rank), dtype) * fan_in**-0.5
    b = jnp.zeros((*stack, config.rank, fan_out), dtype)
    layer.lora_a, layer.lora_b = (
        nnx.LoRAParam(value, **meaning) for value, meaning in zip((a, b), _meanings(kernel, stacked + 2), strict=True)
    )
    layer.lora_scale = config.scale
    object.__setattr__(layer, "__class__", _adapted(type(layer)))


def _meanings(kernel: Any, ndim: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metadata of both factors: of their logical axes what the kernel says, so that they lie where it lies."""
    axes = kernel.get_metadata().get("logical_axes")
    if axes is None or len(axes) != ndim:  # several input axes are one in A, and have no one name
        return {}, {}
    return {"logical_axes": (*axes[:-1], None)}, {"logical_axes": (*axes[:-2], None, axes[-1])}


def _axes(layer: Any, ndim: int) -> tuple[int, int]:
    """How many of a kernel's axes stack matrices, and how many of those that follow are inputs."""
    if isinstance(layer, nnx.LinearGeneral):
        inputs = len(layer.in_features)
        return ndim - inputs - len(layer.out_features), inputs
    return ndim - 2, 1


def _sizes(shape: tuple[int, ...], inputs: int) -> tuple[int, int]:
    return prod(shape[:inputs]), prod(shape[inputs:])


def _linear_layers(model: nnx.Module) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every linear layer, once, with its path."""
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Linear | nnx.LinearGeneral):
            yield tuple(map(str, path)), node
