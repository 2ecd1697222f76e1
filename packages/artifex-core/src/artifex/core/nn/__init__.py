"""Neural-network blocks that two or more families share, each fast on the CPU as well as on an accelerator."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.nn.activations import ACTIVATIONS as ACTIVATIONS, activation as activation
    from artifex.core.nn.conv import Conv as Conv, ConvTranspose as ConvTranspose
    from artifex.core.nn.convolution import (
        conv_transpose as conv_transpose,
        plain_conv_transpose as plain_conv_transpose,
    )
    from artifex.core.nn.mlp import MLP as MLP

# The function `conv` is left to its own module, `artifex.core.nn.convolution`: here that name is the module of the layers.
__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ACTIVATIONS": "artifex.core.nn.activations",
        "Conv": "artifex.core.nn.conv",
        "ConvTranspose": "artifex.core.nn.conv",
        "MLP": "artifex.core.nn.mlp",
        "activation": "artifex.core.nn.activations",
        "conv_transpose": "artifex.core.nn.convolution",
        "plain_conv_transpose": "artifex.core.nn.convolution",
    },
)
