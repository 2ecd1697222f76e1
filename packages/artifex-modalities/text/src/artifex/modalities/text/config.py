"""Config of the text modality: which tokens, and how many of them a model is given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from artifex.core.config import Config, Registered, config

__all__ = ["TextModalityConfig"]


@config
class TextModalityConfig(Config):
    """What a model is given as ``x``: int32 tokens ``(length,)``, and a ``mask``.

    >>> TextModalityConfig(length=64, tokenizer={"kind": "characters", "alphabet": "abc"}).tokenizer.alphabet
    'abc'
    """

    tokenizer: Annotated[Config, Registered("tokenizer")] | None = None
    """What the tokens are. Left out, a run takes that of its data set; where there is none, tokens are bytes."""
    length: Annotated[int, Field(ge=1)] = 128
    """Tokens of an example. Shorter ones are padded, of longer ones a part is taken."""
    crop: Literal["start", "random"] = "start"
    """Which part of an example that is longer: its beginning; or, in training, a part that is drawn anew at each step."""
