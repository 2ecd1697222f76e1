"""The splits that the data sets of sounds have."""

from __future__ import annotations

__all__ = ["SPLITS"]

SPLITS = ("train", "test", "validation")
