"""scikit-learn's small tables as a data set: rows of numbers, without their targets, standardised.

In a run file::

    data:
      dataset: {kind: sklearn_table, table: breast_cancer}
"""

from __future__ import annotations

import importlib
from functools import cached_property
from typing import Any, Literal

import numpy as np

from artifex.core.config import Config, config
from artifex.core.errors import DataError
from artifex.core.splits import SPLITS, require_split

__all__ = ["SklearnTable", "SklearnTableConfig"]

SHARES = (0.7, 0.85)
"""Where testing ends and validation begins, as shares of the permuted rows: 70 % train, 15 % test, 15 % validation."""


@config
class SklearnTableConfig(Config):
    """Which table, and how it is scaled.

    Example:
        >>> SklearnTableConfig(table="wine").standardize
        True
    """

    table: Literal["breast_cancer", "diabetes", "iris", "wine"]
    """569 rows of 30 columns, 442 of 10, 150 of 4, 178 of 13."""
    standardize: bool = True
    """Subtract the mean of each column, and divide by its standard deviation, both of the training rows."""


class SklearnTable:
    """``x``: float32 rows ``(N, D)``, split once and for all; ``label``: int32 classes, where there are any.

    Raises:
        DataError: scikit-learn is not installed.

    Example:
        >>> table = SklearnTable(SklearnTableConfig(table="breast_cancer"))
        >>> {split: table.arrays(split)["x"].shape for split in table.splits}
        {'train': (398, 30), 'test': (86, 30), 'validation': (85, 30)}
    """

    def __init__(self, config: SklearnTableConfig) -> None:
        self.config = config

    @property
    def splits(self) -> tuple[str, ...]:
        """``train``, ``test``, ``validation``."""
        return SPLITS

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """``x``, and ``label``, of one split.

        Raises:
            InvalidInputError: there is no such split.
        """
        require_split(split, SPLITS, self.config.table)
        rows = self._stored["data"]
        # part of the data set, as the rows are: NumPy keeps this generator's stream frozen (NEP 19)
        order = np.random.RandomState(0).permutation(len(rows))
        ends = [round(share * len(rows)) for share in SHARES]
        parts: dict[str, np.ndarray] = dict(zip(SPLITS, np.split(order, ends), strict=True))
        x = rows[parts[split]]
        if self.config.standardize:
            train = rows[parts["train"]]
            deviation = train.std(axis=0)
            x = (x - train.mean(axis=0)) / np.where(np.ptp(train, axis=0) > 0, deviation, 1)  # constants stay
        made = {"x": x.astype(np.float32)}
        if "target_names" in self._stored:  # classes; a number to be predicted is no label
            made["label"] = self._stored["target"][parts[split]].astype(np.int32)
        return made

    @cached_property
    def _stored(self) -> Any:
        try:
            datasets = importlib.import_module("sklearn.datasets")
        except ModuleNotFoundError as error:
            raise DataError(
                f"table {self.config.table!r} comes with scikit-learn; it is missing: pip install 'artifex-flow[tables]'"
            ) from error
        return getattr(datasets, f"load_{self.config.table}")()
