"""Characters of an alphabet as tokens, and behind them the end of a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Self

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.modalities.text.tokenizers.base import Tokenizer, as_utf8

__all__ = ["CharactersTokenizer", "CharactersTokenizerConfig", "alphabet_of"]

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def alphabet_of(texts: Iterable[str]) -> str:
    """All characters of ``texts``, once each, by code point.

    >>> alphabet_of(["banana", "ça"])
    'abnç'
    """
    seen: set[str] = set()
    for text in texts:
        seen.update(text)
    return "".join(sorted(seen))


@config
class CharactersTokenizerConfig(Config):
    """Which characters there are.

    >>> CharactersTokenizerConfig().learnt(["banana"]).alphabet
    'abn'
    """

    alphabet: str | None = None
    """The characters, each once; token i is the i-th. Left out, a data set takes those of its training split."""
    unknown: Literal["refuse", "replace"] = "refuse"
    """What becomes of other characters: an error, or U+FFFD, the replacement character, which then has a token of its own."""

    def __post_init__(self) -> None:
        if self.alphabet is None:
            return
        if not self.alphabet or len(set(self.alphabet)) < len(self.alphabet):
            twice = next((c for i, c in enumerate(self.alphabet) if c in self.alphabet[:i]), None)
            raise ValueError("alphabet is empty" if twice is None else f"alphabet holds {twice!r} more than once")
        as_utf8(self.alphabet)

    def learnt(self, texts: Iterable[str]) -> Self:
        """This config with the alphabet of ``texts``, unless it has one."""
        return self if self.alphabet is not None else self.replace(alphabet=alphabet_of(texts))


class CharactersTokenizer(Tokenizer):
    """A token for each character of an alphabet; the last one is the end of a text.

    Raises:
        InvalidInputError: the config has no alphabet yet.

    >>> characters = CharactersTokenizer(CharactersTokenizerConfig(alphabet="abn"))
    >>> characters.encode("banana"), characters.vocab_size
    ([1, 0, 2, 0, 2, 0], 4)
    """

    def __init__(self, config: CharactersTokenizerConfig) -> None:
        if config.alphabet is None:
            raise InvalidInputError("there is no alphabet yet; give one, or take config.learnt(texts)")
        self.config = config
        spare = config.unknown == "replace" and REPLACEMENT not in config.alphabet
        self._characters = config.alphabet + (REPLACEMENT if spare else "")
        self._tokens = {character: token for token, character in enumerate(self._characters)}
        self.end = len(self._characters)
        self.vocab_size = self.end + 1

    def encode(self, text: str) -> list[int]:
        if self.config.unknown == "replace":
            unknown = self._tokens[REPLACEMENT]
            return [self._tokens.get(character, unknown) for character in text]
        try:
            return [self._tokens[character] for character in text]
        except KeyError:
            place = next(i for i, character in enumerate(text) if character not in self._tokens)
            raise InvalidInputError(
                f"character {place} of the text is {text[place]!r}, which is not in the alphabet of {self.end}; add it, or set "
                "unknown to 'replace'"
            ) from None

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        for token in tokens:
            if not 0 <= token < self.vocab_size:
                raise self._refuse(token)
        return "".join(self._characters[token] for token in tokens if token != self.end).encode("utf-8")
