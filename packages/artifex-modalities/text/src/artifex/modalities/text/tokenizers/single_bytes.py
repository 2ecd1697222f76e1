"""The simplest tokeniser: the bytes of UTF-8 and, behind them, the end of a text. It can say any text."""

from __future__ import annotations

from collections.abc import Sequence

from artifex.core.config import Config, config
from artifex.modalities.text.tokenizers.base import Tokenizer, as_utf8

__all__ = ["BytesTokenizer", "BytesTokenizerConfig"]


@config
class BytesTokenizerConfig(Config):
    """Bytes have nothing to choose."""


class BytesTokenizer(Tokenizer):
    """Tokens 0 to 255 are bytes, 256 is the end of a text.

    >>> bytes_ = BytesTokenizer(BytesTokenizerConfig())
    >>> bytes_.encode("ça"), bytes_.decode([195, 167, 97, 256])
    ([195, 167, 97], 'ça')
    """

    vocab_size = 257
    end = 256

    def __init__(self, config: BytesTokenizerConfig) -> None:
        self.config = config

    def encode(self, text: str) -> list[int]:
        return list(as_utf8(text))

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        try:
            return bytes(token for token in tokens if token != self.end)
        except ValueError:
            raise self._refuse(next(t for t in tokens if not 0 <= t < self.vocab_size)) from None
