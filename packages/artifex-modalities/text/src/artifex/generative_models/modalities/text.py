"""The documented long path of :mod:`artifex.modalities.text`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.text import (
        constraints as constraints,
        datasets as datasets,
        metrics as metrics,
        tokenizers as tokenizers,
    )
    from artifex.modalities.text.adapter import TextModel as TextModel, TextModelAdapter as TextModelAdapter
    from artifex.modalities.text.config import TextModalityConfig as TextModalityConfig
    from artifex.modalities.text.modality import TextModality as TextModality
    from artifex.modalities.text.tokenizers.byte_pair import (
        BytePairTokenizer as BytePairTokenizer,
        BytePairTokenizerConfig as BytePairTokenizerConfig,
        GPT2FilesConfig as GPT2FilesConfig,
        GPT2FilesTokenizer as GPT2FilesTokenizer,
        save_gpt2_files as save_gpt2_files,
    )
    from artifex.modalities.text.tokenizers.characters import (
        CharactersTokenizer as CharactersTokenizer,
        CharactersTokenizerConfig as CharactersTokenizerConfig,
    )
    from artifex.modalities.text.tokenizers.single_bytes import (
        BytesTokenizer as BytesTokenizer,
        BytesTokenizerConfig as BytesTokenizerConfig,
    )

_NAMES = (
    "BytePairTokenizer",
    "BytePairTokenizerConfig",
    "BytesTokenizer",
    "BytesTokenizerConfig",
    "CharactersTokenizer",
    "CharactersTokenizerConfig",
    "GPT2FilesConfig",
    "GPT2FilesTokenizer",
    "TextModality",
    "TextModalityConfig",
    "TextModel",
    "TextModelAdapter",
    "constraints",
    "datasets",
    "metrics",
    "save_gpt2_files",
    "tokenizers",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.text"))
