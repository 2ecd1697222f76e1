"""What a tokeniser is: a component of the slot ``tokenizer``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from artifex.core.errors import InvalidInputError, InvalidTypeError

if TYPE_CHECKING:
    from artifex.core.config import Config

__all__ = ["LearnsFromText", "Tokenizer", "as_utf8", "make_tokenizer"]


class Tokenizer(ABC):
    """Texts as whole numbers ``0 <= token < vocab_size``, and back."""

    vocab_size: int
    """Number of tokens, the end of a text included."""
    end: int | None
    """The token that stands behind a text's last one; None where there is none."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without its end.

        Raises:
            InvalidInputError: the text cannot be told by these tokens.
        """

    @abstractmethod
    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        """What tokens stand for, in UTF-8 where they are of a text; the end stands for nothing.

        Raises:
            InvalidInputError: a token is none of the vocabulary.
        """

    def decode(self, tokens: Sequence[int]) -> str:
        """The text; what is no UTF-8 becomes U+FFFD, the replacement character."""
        return self.decode_bytes(tokens).decode("utf-8", errors="replace")

    def _refuse(self, token: int) -> InvalidInputError:
        return InvalidInputError(f"{token} is no token; the vocabulary has {self.vocab_size}, from 0 to {self.vocab_size - 1}")


@runtime_checkable
class LearnsFromText(Protocol):
    """The config of a tokeniser that may have to see texts before it is of any use."""

    def learnt(self, texts: Iterable[str]) -> Self:
        """A config that holds what there is to learn of ``texts``; itself where it was learnt already."""
        ...


def as_utf8(text: str) -> bytes:
    r"""A text's bytes.

    Raises:
        InvalidTypeError: it is no text.
        InvalidInputError: it holds half a surrogate pair, which UTF-8 cannot say.

    >>> as_utf8("ça")
    b'\xc3\xa7a'
    """
    if not isinstance(text, str):
        raise InvalidTypeError(f"a tokeniser takes text, got {type(text).__name__}: {text!r}; decode bytes first")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"character {error.start} of the text is {text[error.start]!r}, half of a surrogate pair, which is no character; "
            'mend it with text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")'
        ) from error


def make_tokenizer(config: Config) -> Tokenizer:
    """The tokeniser that a config of the slot ``tokenizer`` describes.

    >>> from artifex.modalities.text import BytesTokenizerConfig
    >>> make_tokenizer(BytesTokenizerConfig()).encode("Hi")
    [72, 105]
    """
    from artifex.core.plugins import registry, resolve

    return resolve(registry().entry_of_config("tokenizer", type(config)).component)(config)
