"""Texts: tokenisers, how they reach a model, data sets of them, and how good they are. Names are imported on first use."""

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

_HERE = "artifex.modalities.text"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "BytePairTokenizer": f"{_HERE}.tokenizers.byte_pair",
        "BytePairTokenizerConfig": f"{_HERE}.tokenizers.byte_pair",
        "BytesTokenizer": f"{_HERE}.tokenizers.single_bytes",
        "BytesTokenizerConfig": f"{_HERE}.tokenizers.single_bytes",
        "CharactersTokenizer": f"{_HERE}.tokenizers.characters",
        "CharactersTokenizerConfig": f"{_HERE}.tokenizers.characters",
        "GPT2FilesConfig": f"{_HERE}.tokenizers.byte_pair",
        "GPT2FilesTokenizer": f"{_HERE}.tokenizers.byte_pair",
        "TextModality": f"{_HERE}.modality",
        "TextModalityConfig": f"{_HERE}.config",
        "TextModel": f"{_HERE}.adapter",
        "TextModelAdapter": f"{_HERE}.adapter",
        "constraints": f"{_HERE}.constraints",
        "datasets": f"{_HERE}.datasets",
        "metrics": f"{_HERE}.metrics",
        "save_gpt2_files": f"{_HERE}.tokenizers.byte_pair",
        "tokenizers": f"{_HERE}.tokenizers",
    },
)
