r"""Weights of a DCGAN in PyTorch's usual form, into a :class:`~artifex.gan.DCGAN`.

That form is PyTorch's own example (``examples/dcgan``): two ``nn.Sequential`` of convolutions without biases, each with its
batch norm, the generator's first from a latent of 1 × 1, the discriminator's last down to 1 × 1. Kernels of 4, stride 2 and
padding 1 are what ``"SAME"`` means here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.gan.dcgan import DCGAN

__all__ = ["load_torch_dcgan"]

Arrays = Mapping[str, Any]


def load_torch_dcgan(model: DCGAN, *, generator: Arrays | None = None, discriminator: Arrays | None = None) -> None:
    """Put a PyTorch DCGAN's weights and running averages into ``model``, in place.

    Args:
        model: with equal sizes.
        generator: its ``state_dict()``; None leaves the generator as it is.
        discriminator: likewise.

    Raises:
        InvalidTypeError: ``model`` is no :class:`~artifex.gan.DCGAN`.
        InvalidInputError: the state dict is of another network; the message names what differs.
    """
    if not isinstance(model, DCGAN):
        raise InvalidTypeError(f"load_torch_dcgan fills a DCGAN, got {type(model).__name__}")
    if generator is not None:
        blocks = _blocks(generator, "generator", len(model.generator.layers) + 1)
        stem, *rest = blocks
        _set(model.generator.stem.kernel, stem[0].reshape(len(stem[0]), -1), "generator's first layer")
        _set_norm(model.generator.stem_norm, stem, "generator's first layer")
        for i, (layer, block) in enumerate(zip(model.generator.layers, rest, strict=True)):
            # PyTorch's kernel (in, out, h, w) runs the other way
            _set_block(layer, block, block[0].transpose(2, 3, 0, 1)[::-1, ::-1], f"generator.layers.{i}")
    if discriminator is not None:
        *rest, head = _blocks(discriminator, "discriminator", len(model.discriminator.layers) + 1)
        for i, (layer, block) in enumerate(zip(model.discriminator.layers, rest, strict=True)):
            _set_block(layer, block, block[0].transpose(2, 3, 1, 0), f"discriminator.layers.{i}")
        _set(model.discriminator.head.kernel, head[0].reshape(1, -1).T, "discriminator's last layer")
        if model.discriminator.head.bias is not None:
            _set(model.discriminator.head.bias, head[1].get("bias", np.zeros(1)), "discriminator's last layer")


Block = tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]
"""A convolution's weight, its other arrays, its batch norm's."""


def _blocks(state: Arrays, what: str, n: int) -> list[Block]:
    """The state dict's convolutions in order, each with the batch norm behind it."""
    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, value in state.items():
        module, _, name = key.rpartition(".")
        modules.setdefault(module, {})[name] = np.asarray(value)
    blocks: list[Block] = []
    for arrays in modules.values():
        if arrays["weight"].ndim == 4:
            blocks.append((arrays["weight"], arrays, {}))
        elif blocks:
            blocks[-1][2].update(arrays)
    if len(blocks) != n:
        raise InvalidInputError(
            f"the {what}'s state dict has {len(blocks)} convolutions, the model's {n} layers; hidden_dims has one entry fewer"
        )
    return blocks


def _set_block(layer: Any, block: Block, kernel: np.ndarray, what: str) -> None:
    _set(layer.layer.kernel, kernel, what)
    if layer.layer.bias is not None:
        _set(layer.layer.bias, block[1].get("bias", np.zeros(kernel.shape[-1])), what)
    _set_norm(layer.norm, block, what)


def _set_norm(norm: Any, block: Block, what: str) -> None:
    _, convolution, arrays = block
    if (norm is None) != (not arrays) or (norm is not None and "bias" in convolution):
        own = "no" if norm is None else "a"
        given = f"{'a' if arrays else 'no'} batch norm and {'a' if 'bias' in convolution else 'no'} bias"
        raise InvalidInputError(f"{what} of the state dict has {given}; the model's has {own} batch norm")
    if norm is None:
        return
    names = {"scale": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}
    for ours, theirs in names.items():
        _set(getattr(norm, ours), arrays[theirs], f"{what}'s batch norm")


def _set(variable: Any, value: np.ndarray, what: str) -> None:
    if variable.shape != value.shape:
        raise InvalidInputError(f"{what}: the state dict has shape {value.shape}, the model {variable.shape}")
    variable[...] = np.asarray(value, variable.dtype)
