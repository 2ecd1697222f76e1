"""Tables: how mixed columns reach a model and come back, data sets, and how good a table of samples is."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.tabular import constraints as constraints, datasets as datasets, metrics as metrics
    from artifex.modalities.tabular.adapter import TabularModel as TabularModel, TabularModelAdapter as TabularModelAdapter
    from artifex.modalities.tabular.config import (
        TableColumnConfig as TableColumnConfig,
        TabularModalityConfig as TabularModalityConfig,
    )
    from artifex.modalities.tabular.frames import decode as decode, encode as encode, infer_columns as infer_columns
    from artifex.modalities.tabular.modality import TabularModality as TabularModality
    from artifex.modalities.tabular.rows import Table as Table, TableRow as TableRow, as_table as as_table

_HERE = "artifex.modalities.tabular"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Table": f"{_HERE}.rows",
        "TableColumnConfig": f"{_HERE}.config",
        "TableRow": f"{_HERE}.rows",
        "TabularModality": f"{_HERE}.modality",
        "TabularModalityConfig": f"{_HERE}.config",
        "TabularModel": f"{_HERE}.adapter",
        "TabularModelAdapter": f"{_HERE}.adapter",
        "as_table": f"{_HERE}.rows",
        "constraints": f"{_HERE}.constraints",
        "datasets": f"{_HERE}.datasets",
        "decode": f"{_HERE}.frames",
        "encode": f"{_HERE}.frames",
        "infer_columns": f"{_HERE}.frames",
        "metrics": f"{_HERE}.metrics",
    },
)
