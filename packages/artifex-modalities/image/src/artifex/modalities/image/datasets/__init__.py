"""Data sets of images. Those that fit in memory give arrays, the others read image by image; all have fixed splits."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.image.datasets.coloured_digits import (
        ColouredDigits as ColouredDigits,
        ColouredDigitsConfig as ColouredDigitsConfig,
    )
    from artifex.modalities.image.datasets.digits import Digits as Digits, DigitsConfig as DigitsConfig
    from artifex.modalities.image.datasets.huggingface import HuggingFace as HuggingFace, HuggingFaceConfig as HuggingFaceConfig
    from artifex.modalities.image.datasets.idx import Idx as Idx, IdxConfig as IdxConfig
    from artifex.modalities.image.datasets.image_folder import (
        ImageFolder as ImageFolder,
        ImageFolderConfig as ImageFolderConfig,
    )
    from artifex.modalities.image.datasets.npz import Npz as Npz, NpzConfig as NpzConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ColouredDigits": "artifex.modalities.image.datasets.coloured_digits",
        "ColouredDigitsConfig": "artifex.modalities.image.datasets.coloured_digits",
        "Digits": "artifex.modalities.image.datasets.digits",
        "DigitsConfig": "artifex.modalities.image.datasets.digits",
        "HuggingFace": "artifex.modalities.image.datasets.huggingface",
        "HuggingFaceConfig": "artifex.modalities.image.datasets.huggingface",
        "Idx": "artifex.modalities.image.datasets.idx",
        "IdxConfig": "artifex.modalities.image.datasets.idx",
        "ImageFolder": "artifex.modalities.image.datasets.image_folder",
        "ImageFolderConfig": "artifex.modalities.image.datasets.image_folder",
        "Npz": "artifex.modalities.image.datasets.npz",
        "NpzConfig": "artifex.modalities.image.datasets.npz",
    },
)
