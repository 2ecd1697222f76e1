"""Configs of the multimodal modality: which kinds of data an example has, and which it may lack."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from artifex.core.config import Config, Registered, config

__all__ = ["LettersConfig", "ModalityPartConfig", "MultiModalModalityConfig", "WavesConfig"]

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


@config
class ModalityPartConfig(Config):
    """One kind of data in an example."""

    part: Name
    """What it is called in prepared batches, samples and messages."""
    modality: Annotated[Config, Registered("modality")]
    """How it is prepared and shown: the config of any installed modality, with its `kind`."""
    stored: str = ""
    """Key of its stored arrays; its name unless given. One part of a data set is stored as `x`."""
    categories: Annotated[int, Field(ge=2)] | None = None
    """For parts that are prepared as whole numbers below this one (tokens): they become one-hot."""

    @property
    def key(self) -> str:
        """Key of its stored arrays."""
        return self.stored or self.part


@config
class MultiModalModalityConfig(Config):
    """Several kinds of data in one example.

    >>> from artifex.modalities.multimodal import LettersConfig, WavesConfig
    >>> parts = [{"part": "word", "modality": LettersConfig()}, {"part": "tone", "modality": WavesConfig()}]
    >>> MultiModalModalityConfig.from_dict({"parts": parts, "required": ["word"]}).names
    ('word', 'tone')
    """

    parts: Annotated[tuple[ModalityPartConfig, ...], Field(min_length=1)]
    """In the order in which they stand in a model's `x`."""
    required: tuple[str, ...] = ()
    """Names of the parts that no example may lack."""
    at_least: Annotated[int, Field(ge=0)] = 1
    """How many parts each example has to have."""

    def __post_init__(self) -> None:
        for what, given in (("part", self.names), ("stored", tuple(part.key for part in self.parts))):
            if repeated := sorted({name for name in given if given.count(name) > 1}):
                raise ValueError(f"several parts have {what} {', '.join(repeated)}; give each its own")
        if unknown := [name for name in self.required if name not in self.names]:
            raise ValueError(f"required names {', '.join(unknown)}, and the parts are {', '.join(self.names)}")
        if self.at_least > len(self.parts):
            raise ValueError(f"at_least is {self.at_least}, and there are {len(self.parts)} parts")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts."""
        return tuple(part.part for part in self.parts)


@config
class LettersConfig(Config):
    """Words of at most `length` letters, as one-hot rows."""

    length: Annotated[int, Field(ge=1)] = 5
    """Places; shorter words end with empty ones."""
    alphabet: Annotated[str, Field(min_length=1)] = "abcdefghijklmnopqrstuvwxyz"
    """Letter i is stored as i + 1; an empty place as 0."""

    def __post_init__(self) -> None:
        if len(set(self.alphabet)) < len(self.alphabet):
            raise ValueError(f"the alphabet {self.alphabet!r} has a letter twice")


@config
class WavesConfig(Config):
    """Short waveforms in [-1, 1]."""

    length: Annotated[int, Field(ge=1)] = 64
    """Samples."""
    rate: Annotated[int, Field(ge=1)] = 8000
    """Samples a second."""
