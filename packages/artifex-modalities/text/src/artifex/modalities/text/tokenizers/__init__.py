"""Tokenisers, the components of the slot ``tokenizer``."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.text.tokenizers.base import (
        LearnsFromText as LearnsFromText,
        Tokenizer as Tokenizer,
        make_tokenizer as make_tokenizer,
    )
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
        alphabet_of as alphabet_of,
    )
    from artifex.modalities.text.tokenizers.foreign import (
        SentencePieceConfig as SentencePieceConfig,
        SentencePieceTokenizer as SentencePieceTokenizer,
        TokenizerJsonConfig as TokenizerJsonConfig,
        TokenizerJsonTokenizer as TokenizerJsonTokenizer,
    )
    from artifex.modalities.text.tokenizers.merging import learn_merges as learn_merges
    from artifex.modalities.text.tokenizers.single_bytes import (
        BytesTokenizer as BytesTokenizer,
        BytesTokenizerConfig as BytesTokenizerConfig,
    )

_HERE = "artifex.modalities.text.tokenizers"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "BytePairTokenizer": f"{_HERE}.byte_pair",
        "BytePairTokenizerConfig": f"{_HERE}.byte_pair",
        "BytesTokenizer": f"{_HERE}.single_bytes",
        "BytesTokenizerConfig": f"{_HERE}.single_bytes",
        "CharactersTokenizer": f"{_HERE}.characters",
        "CharactersTokenizerConfig": f"{_HERE}.characters",
        "GPT2FilesConfig": f"{_HERE}.byte_pair",
        "GPT2FilesTokenizer": f"{_HERE}.byte_pair",
        "LearnsFromText": f"{_HERE}.base",
        "SentencePieceConfig": f"{_HERE}.foreign",
        "SentencePieceTokenizer": f"{_HERE}.foreign",
        "Tokenizer": f"{_HERE}.base",
        "TokenizerJsonConfig": f"{_HERE}.foreign",
        "TokenizerJsonTokenizer": f"{_HERE}.foreign",
        "alphabet_of": f"{_HERE}.characters",
        "learn_merges": f"{_HERE}.merging",
        "make_tokenizer": f"{_HERE}.base",
        "save_gpt2_files": f"{_HERE}.byte_pair",
    },
)
