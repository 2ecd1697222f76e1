"""Neural-network blocks that two or more families share, each fast on the CPU as well as on an accelerator."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.nn.activations import ACTIVATIONS as ACTIVATIONS, activation as activation
    from artifex.core.nn.conv import Conv as Conv, ConvTranspose as ConvTranspose, UpsampleConv as UpsampleConv
    from artifex.core.nn.convolution import (
        conv_transpose as conv_transpose,
        plain_conv_transpose as plain_conv_transpose,
    )
    from artifex.core.nn.dot_product import attention as attention
    from artifex.core.nn.mlp import MLP as MLP
    from artifex.core.nn.normalization import GroupNorm as GroupNorm, group_norm as group_norm
    from artifex.core.nn.precision import ParamDType as ParamDType, check_precision as check_precision
    from artifex.core.nn.upsampling import plain_upsample_conv as plain_upsample_conv, upsample_conv as upsample_conv

# The function `conv` is left to its own module, `artifex.core.nn.convolution`: here that name is the module of the layers.
__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ACTIVATIONS": "artifex.core.nn.activations",
        "Conv": "artifex.core.nn.conv",
        "ConvTranspose": "artifex.core.nn.conv",
        "GroupNorm": "artifex.core.nn.normalization",
        "MLP": "artifex.core.nn.mlp",
        "ParamDType": "artifex.core.nn.precision",
        "UpsampleConv": "artifex.core.nn.conv",
        "activation": "artifex.core.nn.activations",
        "attention": "artifex.core.nn.dot_product",
        "check_precision": "artifex.core.nn.precision",
        "conv_transpose": "artifex.core.nn.convolution",
        "group_norm": "artifex.core.nn.normalization",
        "plain_conv_transpose": "artifex.core.nn.convolution",
        "plain_upsample_conv": "artifex.core.nn.upsampling",
        "upsample_conv": "artifex.core.nn.upsampling",
    },
)
