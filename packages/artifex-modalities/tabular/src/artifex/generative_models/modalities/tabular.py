"""The documented long path of :mod:`artifex.modalities.tabular`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.tabular import (
        Table as Table,
        TableColumnConfig as TableColumnConfig,
        TableRow as TableRow,
        TabularModality as TabularModality,
        TabularModalityConfig as TabularModalityConfig,
        TabularModel as TabularModel,
        TabularModelAdapter as TabularModelAdapter,
        as_table as as_table,
        constraints as constraints,
        datasets as datasets,
        decode as decode,
        encode as encode,
        infer_columns as infer_columns,
        metrics as metrics,
    )

_NAMES = (
    "Table",
    "TableColumnConfig",
    "TableRow",
    "TabularModality",
    "TabularModalityConfig",
    "TabularModel",
    "TabularModelAdapter",
    "as_table",
    "constraints",
    "datasets",
    "decode",
    "encode",
    "infer_columns",
    "metrics",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.tabular"))
