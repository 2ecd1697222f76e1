"""Tables that need no download: two of scikit-learn's, and one that is made.

Wine: 178 wines of three growers, 13 measurements (M. Forina et al., UCI Machine Learning Repository, doi:10.24432/C5PC7J).
Breast cancer: 569 tumours, 30 measurements (W. Wolberg et al., UCI, doi:10.24432/C5DW2B). Each has the class as a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from artifex.core.config import Config, config
from artifex.modalities.tabular.datasets.tables import TableDataset, shuffled_splits

__all__ = ["MixedTable", "MixedTableConfig", "ShippedTable", "ShippedTableConfig"]

Count = Annotated[int, Field(ge=10)]


@config
class ShippedTableConfig(Config):
    """Which of scikit-learn's tables."""

    table: Literal["wine", "breast_cancer"]
    """Which."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Of the order in which rows are split."""


class ShippedTable(TableDataset):
    """A table of scikit-learn's with its class as the column ``class``; 70 % to train on, 20 % to test, 10 % to validate.

    >>> wine = ShippedTable(ShippedTableConfig(table="wine"))
    >>> {split: wine.table(split).shape for split in wine.splits}
    {'train': (124, 14), 'test': (36, 14), 'validation': (18, 14)}
    """

    kinds, orders, unseen = {}, {}, "refuse"

    def __init__(self, config: ShippedTableConfig) -> None:
        self.config = config

    @property
    def name(self) -> str:
        """The table's name."""
        return self.config.table

    @cached_property
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """The table of each split."""
        from sklearn import datasets  # imported here: it takes a second

        loaded: Any = getattr(datasets, f"load_{self.config.table}")()
        frame = pd.DataFrame(loaded["data"], columns=[str(name).replace(" ", "_") for name in loaded["feature_names"]])
        frame["class"] = [str(loaded["target_names"][target]) for target in loaded["target"]]
        return shuffled_splits(frame, 0.2, 0.1, self.config.split_seed, self.name)


@config
class MixedTableConfig(Config):
    """How many rows are made."""

    n_train: Annotated[int, Field(ge=100)] = 4000
    """Rows to train on."""
    n_validation: Count = 500
    """Rows to evaluate on."""
    n_test: Count = 2000
    """Rows to test on."""
    data_seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws."""


REGIONS = ("north", "east", "south", "west")
LEVELS = ("basic", "vocational", "bachelor", "master")


class MixedTable(TableDataset):
    """A made table of customers with a column of each kind, gaps, and ties between columns that a model has to find.

    ``age`` (whole years) and ``education`` (ordered) raise ``income`` (two decimals, missing for some of the young);
    ``spending`` and ``savings`` are parts of it that sum to ``turnover``; ``region`` sets the level of ``spending``; ``member``
    is likelier with age and spending; ``joined`` is a day, the later the younger.

    >>> made = MixedTable(MixedTableConfig(n_train=100))
    >>> [(column.column, column.variant) for column in made.columns][:4]
    [('age', 'numerical'), ('education', 'ordinal'), ('region', 'categorical'), ('income', 'numerical')]
    """

    kinds, orders, unseen = {}, {}, "refuse"

    def __init__(self, config: MixedTableConfig) -> None:
        self.config = config

    @property
    def name(self) -> str:
        """``mixed_table``."""
        return "mixed_table"

    @cached_property
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """The table of each split: draws that do not depend on the size of the others."""
        sizes = {"train": self.config.n_train, "test": self.config.n_test, "validation": self.config.n_validation}
        return {
            name: _customers(np.random.default_rng([self.config.data_seed, i]), n) for i, (name, n) in enumerate(sizes.items())
        }


def _customers(rng: np.random.Generator, n: int) -> pd.DataFrame:
    age = np.clip(np.rint(18 + 52 * rng.beta(1.6, 2.4, n)), 18, 70).astype(np.int64)
    education = np.clip(np.floor(rng.normal(1.4 + 0.012 * (age - 40), 0.9, n)), 0, 3).astype(np.int64)
    region = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    income = np.exp(rng.normal(7.2 + 0.25 * education + 0.012 * (age - 18), 0.25, n)).round(2)
    share = 1 / (1 + np.exp(-(np.array([-1.0, -0.4, 0.3, 1.0])[region] + rng.normal(0, 0.4, n))))
    spending, savings = (income * share).round(2), np.where(rng.random(n) < 0.35, 0.0, income * (1 - share) / 2).round(2)
    member = rng.random(n) < 1 / (1 + np.exp(-((age - 40) / 12 + 2.0 * (share - 0.4))))
    days = np.rint(rng.normal(9000 - 90 * (age - 18), 500, n)).astype(np.int64)
    unknown = (age < 30) & (rng.random(n) < 0.3)
    return pd.DataFrame(
        {
            "age": age,
            "education": pd.Categorical.from_codes(education, list(LEVELS), ordered=True),
            "region": np.array(REGIONS, dtype=object)[region],
            "income": np.where(unknown, np.nan, income),
            "spending": spending,
            "savings": savings,
            "turnover": (spending + savings).round(2),
            "member": member,
            "joined": np.datetime64("2000-01-01", "s") + (days * 86400).astype("timedelta64[s]"),
        }
    )
