"""The reference of the Python language as it ships with Python itself: no download.

It is what ``help("for")`` and its like show (``pydoc_data.topics``): about half a megabyte of English prose with tables and
examples. It differs a little from one version of Python to the next.
"""

from __future__ import annotations

from artifex.core.config import config
from artifex.modalities.text.datasets.corpus import TextDataset, TextDatasetConfig

__all__ = ["PythonReference", "PythonReferenceConfig"]


@config
class PythonReferenceConfig(TextDatasetConfig):
    """How its text becomes rows of tokens."""


class PythonReference(TextDataset[PythonReferenceConfig]):
    """All topics by name, one after the other, as one text; nine tenths of it are to train on.

    >>> made = PythonReference(PythonReferenceConfig(length=32))
    >>> made.splits, made.arrays("test")["x"].shape[1]
    (('train', 'test', 'validation'), 32)
    """

    def _read(self) -> dict[str, list[str]]:
        from pydoc_data.topics import topics

        return {"": ["\n\n".join(topics[name].strip() for name in sorted(topics))]}
