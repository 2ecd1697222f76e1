"""Data sets of texts. All are read and tokenised once, into rows of tokens in memory."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.text.datasets.corpus import TextDataset as TextDataset, TextDatasetConfig as TextDatasetConfig
    from artifex.modalities.text.datasets.huggingface import (
        HuggingFaceText as HuggingFaceText,
        HuggingFaceTextConfig as HuggingFaceTextConfig,
    )
    from artifex.modalities.text.datasets.json_lines import JsonLines as JsonLines, JsonLinesConfig as JsonLinesConfig
    from artifex.modalities.text.datasets.python_reference import (
        PythonReference as PythonReference,
        PythonReferenceConfig as PythonReferenceConfig,
    )
    from artifex.modalities.text.datasets.text_files import TextFiles as TextFiles, TextFilesConfig as TextFilesConfig

_HERE = "artifex.modalities.text.datasets"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "HuggingFaceText": f"{_HERE}.huggingface",
        "HuggingFaceTextConfig": f"{_HERE}.huggingface",
        "JsonLines": f"{_HERE}.json_lines",
        "JsonLinesConfig": f"{_HERE}.json_lines",
        "PythonReference": f"{_HERE}.python_reference",
        "PythonReferenceConfig": f"{_HERE}.python_reference",
        "TextDataset": f"{_HERE}.corpus",
        "TextDatasetConfig": f"{_HERE}.corpus",
        "TextFiles": f"{_HERE}.text_files",
        "TextFilesConfig": f"{_HERE}.text_files",
    },
)
