"""Data sets of tables: files of one's own, frames in memory, two of scikit-learn's and a made one."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.tabular.datasets.shipped import (
        MixedTable as MixedTable,
        MixedTableConfig as MixedTableConfig,
        ShippedTable as ShippedTable,
        ShippedTableConfig as ShippedTableConfig,
    )
    from artifex.modalities.tabular.datasets.table_file import TableFile as TableFile, TableFileConfig as TableFileConfig
    from artifex.modalities.tabular.datasets.tables import FrameTable as FrameTable, TableDataset as TableDataset

_HERE = "artifex.modalities.tabular.datasets"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "FrameTable": f"{_HERE}.tables",
        "MixedTable": f"{_HERE}.shipped",
        "MixedTableConfig": f"{_HERE}.shipped",
        "ShippedTable": f"{_HERE}.shipped",
        "ShippedTableConfig": f"{_HERE}.shipped",
        "TableDataset": f"{_HERE}.tables",
        "TableFile": f"{_HERE}.table_file",
        "TableFileConfig": f"{_HERE}.table_file",
    },
)
