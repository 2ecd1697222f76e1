"""Data sets of sounds."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.audio.datasets.audio_folder import (
        AudioFolder as AudioFolder,
        AudioFolderConfig as AudioFolderConfig,
    )
    from artifex.modalities.audio.datasets.synthetic import (
        SyntheticAudio as SyntheticAudio,
        SyntheticAudioConfig as SyntheticAudioConfig,
    )
    from artifex.modalities.audio.datasets.tones import Tones as Tones, TonesConfig as TonesConfig

_HERE = "artifex.modalities.audio.datasets"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        **dict.fromkeys(("AudioFolder", "AudioFolderConfig"), f"{_HERE}.audio_folder"),
        **dict.fromkeys(("SyntheticAudio", "SyntheticAudioConfig"), f"{_HERE}.synthetic"),
        **dict.fromkeys(("Tones", "TonesConfig"), f"{_HERE}.tones"),
    },
)
