"""Byte-pair encodings: one that is learnt here, and those that people have as GPT-2's two files."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import DataError, InvalidInputError
from artifex.modalities.text.tokenizers.base import Tokenizer
from artifex.modalities.text.tokenizers.merging import BYTE_OF, Pair, join, learn_merges, pieces, printed

__all__ = ["BytePairTokenizer", "BytePairTokenizerConfig", "GPT2FilesConfig", "GPT2FilesTokenizer", "save_gpt2_files"]

END = "<|endoftext|>"
"""What GPT-2 calls the end of a text."""


@config
class BytePairTokenizerConfig(Config):
    """How many tokens, and the pairs that were joined to them.

    >>> learnt = BytePairTokenizerConfig(vocab_size=260).learnt(["low lower lowest"])
    >>> learnt.merges
    ('l o', 'lo w', 'Ġ low')
    """

    vocab_size: Annotated[int, Field(ge=257)] = 512
    """At most so many tokens: 256 bytes, the pairs, and the end of a text."""
    merges: tuple[str, ...] | None = None
    """The pairs in the order in which they are joined, as GPT-2's ``merges.txt`` writes them. Left out, a data set learns them
    from its training split."""

    def __post_init__(self) -> None:
        made = len({line.replace(" ", "") for line in self.merges or ()})
        if made > self.vocab_size - 257:
            raise ValueError(f"{made} pieces make {made + 257} tokens with bytes and end, but vocab_size is {self.vocab_size}")

    def learnt(self, texts: Iterable[str]) -> Self:
        """This config with merges learnt from ``texts``, unless it has some. The same texts give the same merges."""
        if self.merges is not None:
            return self
        learnt = learn_merges(texts, self.vocab_size - 257)
        return self.replace(merges=tuple(" ".join(map(printed, pair)) for pair in learnt))


class _Merging(Tokenizer):
    """Tokens that are joined bytes."""

    def __init__(self, merges: Sequence[Pair], vocabulary: Mapping[bytes, int], vocab_size: int, end: int | None) -> None:
        self.vocab_size, self.end = vocab_size, end
        self.merges, self.vocabulary = tuple(merges), dict(vocabulary)
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._bytes = {token: piece for piece, token in self.vocabulary.items()}
        self._known: dict[bytes, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        return [token for piece in pieces(text) for token in self._of_piece(piece)]

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        try:
            return b"".join(self._bytes[token] for token in tokens if token != self.end)
        except KeyError as error:
            raise self._refuse(error.args[0]) from None

    def _of_piece(self, piece: bytes) -> list[int]:
        if piece not in self._known:
            parts = [bytes([byte]) for byte in piece]
            while len(parts) > 1:
                pair = min(itertools.pairwise(parts), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
                if pair not in self._ranks:
                    break
                parts = join(parts, pair)
            self._known[piece] = [self.vocabulary[part] for part in parts]
        return self._known[piece]


class BytePairTokenizer(_Merging):
    """Tokens 0 to 255 are bytes, then comes a token for each piece that merges make, and last the end of a text.

    Raises:
        InvalidInputError: the config has no merges yet, or one that joins what is not there.

    >>> config = BytePairTokenizerConfig(vocab_size=260).learnt(["low lower lowest"])
    >>> BytePairTokenizer(config).encode("lower low")
    [257, 101, 114, 258]
    """

    def __init__(self, config: BytePairTokenizerConfig) -> None:
        if config.merges is None:
            raise InvalidInputError("no merges are learnt yet; take config.learnt(texts)")
        self.config = config
        vocabulary = {bytes([byte]): byte for byte in range(256)}
        merges = [_pair(line, f"merge {i}") for i, line in enumerate(config.merges)]
        for i, pair in enumerate(merges):
            if missing := [part for part in pair if part not in vocabulary]:
                raise InvalidInputError(f"merge {i} joins {printed(missing[0])!r}, which none before it makes")
            vocabulary.setdefault(pair[0] + pair[1], len(vocabulary))
        super().__init__(merges, vocabulary, len(vocabulary) + 1, len(vocabulary))


@config
class GPT2FilesConfig(Config):
    """Where the files are."""

    folder: Path
    """The folder that holds ``vocab.json`` and ``merges.txt`` (or ``encoder.json`` and ``vocab.bpe``, as they were first
    called)."""


class GPT2FilesTokenizer(_Merging):
    """A vocabulary and its merges as GPT-2 and its kin publish them; ``<|endoftext|>``, if it is there, is the end of a text.

    Raises:
        DataError: a file is missing or is none of these.
    """

    def __init__(self, config: GPT2FilesConfig) -> None:
        self.config = config
        folder = config.folder.expanduser()
        vocabulary_file = _first(folder, "vocab.json", "encoder.json")
        merges_file = _first(folder, "merges.txt", "vocab.bpe")
        names = _vocabulary(vocabulary_file)
        end = names.pop(END, None)
        lines = merges_file.read_text(encoding="utf-8").split("\n")
        start = 1 if lines[0].startswith("#version") else 0
        merges = [_pair(line, f"{merges_file}, line {i + 1}") for i, line in enumerate(lines) if i >= start and line]
        vocabulary = {
            bytes(map(BYTE_OF.__getitem__, name)): token for name, token in names.items() if set(name) <= BYTE_OF.keys()
        }
        made = {bytes([byte]) for byte in range(256)} | {left + right for left, right in merges}
        if missing := sorted(made - vocabulary.keys()):
            raise DataError(
                f"{vocabulary_file} has no token {printed(missing[0])!r}, which {merges_file.name} makes; the two files are "
                "not of one vocabulary, or it is not one of bytes"
            )
        super().__init__(merges, vocabulary, 1 + max([*names.values(), -1 if end is None else end]), end)


def save_gpt2_files(tokenizer: BytePairTokenizer | GPT2FilesTokenizer, folder: str | Path) -> Path:
    """Write ``vocab.json`` and ``merges.txt``, which other libraries read too. Returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = {printed(piece): token for piece, token in tokenizer.vocabulary.items()}
    names |= {} if tokenizer.end is None else {END: tokenizer.end}
    (folder / "vocab.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(map(printed, pair)) for pair in tokenizer.merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _first(folder: Path, *names: str) -> Path:
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise DataError(f"there is no {' or '.join(names)} in {folder}; set 'folder' to where the files of the vocabulary are")
    return found


def _vocabulary(file: Path) -> dict[str, int]:
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is no JSON ({error}); get the file anew") from error
    if not isinstance(names, dict) or not all(type(token) is int and token >= 0 for token in names.values()):
        raise DataError(f"{file} should map pieces to tokens, whole numbers from 0; it is no vocabulary of GPT-2's form")
    return names


def _pair(line: str, where: str) -> Pair:
    """Two pieces as ``merges.txt`` writes them."""
    parts = line.split(" ")
    if len(parts) != 2 or not all(parts) or not set(line) <= {" ", *BYTE_OF}:
        raise DataError(f"{where} is {line!r}; a merge is two pieces in GPT-2's characters with a space between, such as 'Ġ t'")
    left, right = (bytes(map(BYTE_OF.__getitem__, part)) for part in parts)
    return left, right
