"""The documented long path of :mod:`artifex.modalities.protein.extensions`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.protein.extensions import (
        BondAngleExtension as BondAngleExtension,
        BondAngleExtensionConfig as BondAngleExtensionConfig,
        BondLengthExtension as BondLengthExtension,
        BondLengthExtensionConfig as BondLengthExtensionConfig,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "BondAngleExtension": "artifex.modalities.protein.extensions",
        "BondAngleExtensionConfig": "artifex.modalities.protein.extensions",
        "BondLengthExtension": "artifex.modalities.protein.extensions",
        "BondLengthExtensionConfig": "artifex.modalities.protein.extensions",
    },
)
