"""Data sets of several kinds of data: one that is built in, two of the user's own files, and others side by side."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.multimodal.datasets.digit_words import (
        DigitWords as DigitWords,
        DigitWordsConfig as DigitWordsConfig,
    )
    from artifex.modalities.multimodal.datasets.json_lines import (
        JsonLinesPairs as JsonLinesPairs,
        JsonLinesPairsConfig as JsonLinesPairsConfig,
    )
    from artifex.modalities.multimodal.datasets.paired_folders import (
        PairedFolders as PairedFolders,
        PairedFoldersConfig as PairedFoldersConfig,
    )
    from artifex.modalities.multimodal.datasets.side_by_side import (
        SideBySide as SideBySide,
        SideBySideConfig as SideBySideConfig,
    )

_HOMES = {
    "DigitWords": "digit_words",
    "JsonLinesPairs": "json_lines",
    "PairedFolders": "paired_folders",
    "SideBySide": "side_by_side",
}

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        name + suffix: f"artifex.modalities.multimodal.datasets.{module}"
        for name, module in _HOMES.items()
        for suffix in ("", "Config")
    },
)
