"""Configs of the table modality: what a column is, and the form that a row takes on its way to a model."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from artifex.core.config import Config, config

__all__ = ["ColumnKind", "Level", "TableColumnConfig", "TabularModalityConfig"]

ColumnKind: TypeAlias = Literal["numerical", "categorical", "ordinal", "binary", "date"]
Level: TypeAlias = StrictBool | StrictInt | StrictFloat | StrictStr
Number: TypeAlias = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]


@config
class TableColumnConfig(Config):
    """One column of a table: its kind and dtype, and what is learnt of it from the training rows.

    Numbers are kept as *positions*, ``(value - low) / (high - low)``, worked out in float64 on the host: float32 then has seven
    digits of the column's range, however far from zero it lies. Levels are kept as their number in ``levels``.

        >>> TableColumnConfig(column="age", variant="numerical", dtype="int64", low=18, high=90, step=1).n_levels
        0
    """

    column: Annotated[str, Field(min_length=1)]
    """The column's name in the table."""
    variant: ColumnKind
    """``numerical``; ``categorical`` (levels without order), ``ordinal`` (with one), ``binary`` (two levels); ``date``."""
    dtype: str
    """The column's dtype in pandas, as text: ``int64``, ``str``, ``category``, ``datetime64[us, UTC]``. It is given back."""
    missing: bool = False
    """Whether values are missing among the training rows: then that is a level of its own."""
    levels: tuple[Level, ...] = ()
    """Its levels, in order."""
    levels_dtype: str = ""
    """Of a pandas categorical, the dtype of its categories."""
    categories: tuple[Level, ...] = ()
    """Of a pandas categorical, all its categories in their own order, those without a row included."""
    ordered: bool = False
    """Whether a pandas categorical is ordered."""
    low: Number = 0
    """Smallest value among the training rows; of a date, its time since 1970 in the dtype's own unit."""
    high: Number = 0
    """Greatest value among the training rows."""
    step: Annotated[int, Field(ge=0)] = 0
    """What values are whole multiples of: 1 for whole numbers; of dates a second, a day, in the dtype's unit; 0 for neither."""
    decimals: Annotated[int, Field(ge=0)] | None = None
    """Decimal places that the training rows have, at most; None where there are more than six."""
    mean: float = 0.5
    """Mean position of the training rows."""
    std: Annotated[float, Field(gt=0)] = 1.0
    """Standard deviation of their positions; 1 for a constant column."""
    knots: tuple[float, ...] = ()
    """Quantiles of their positions at even levels, the least and the greatest among them."""
    mode_weights: tuple[float, ...] = ()
    """Weights of the Gaussians that their positions were fitted with."""
    mode_means: tuple[float, ...] = ()
    """Means of these Gaussians."""
    mode_stds: tuple[float, ...] = ()
    """Standard deviations of these Gaussians."""

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError(f"column {self.column!r} goes from low={self.low} to high={self.high}; the greater one is 'high'")
        if self.is_number == bool(self.levels):
            what = "no levels" if self.is_number else "at least one level"
            raise ValueError(f"column {self.column!r} is {self.variant}, which has {what}; got levels={self.levels!r}")

    @property
    def is_number(self) -> bool:
        """Whether its values are positions: of a numerical column and of a date."""
        return self.variant in ("numerical", "date")

    @property
    def n_levels(self) -> int:
        """Number of levels, without the one for what is missing."""
        return len(self.levels)

    def form(self) -> TableColumnConfig:
        """The column as the data set knows it, without what a modality has learnt."""
        fresh = TableColumnConfig(column=self.column, variant="numerical", dtype=self.dtype)
        learnt = ("mean", "std", "knots", "mode_weights", "mode_means", "mode_stds")
        return self.replace(**{name: getattr(fresh, name) for name in learnt})


@config
class TabularModalityConfig(Config):
    """What a model is given as ``x``: a float32 vector for each row.

    Its elements are, in this order: one number for each numerical column, date and (as ``number``) ordinal; -1 or 1 for each of
    these that may be missing (1: it is); one element for a binary column and K for K levels, -1 but for a 1 at the row's own.
    A level that stands for "missing" comes last.

        >>> TabularModalityConfig(numerical="quantile").columns
        ()
    """

    numerical: Literal["standard", "quantile", "modes"] = "standard"
    """Numbers and dates. ``standard``: zero mean, unit deviation. ``quantile``: to a normal distribution by their rank among
    the training rows. ``modes``: the place in one of several Gaussians, and which one, after Xu et al. 2019
    (arXiv:1907.00503)."""
    n_quantiles: Annotated[int, Field(ge=2)] = 1000
    """Quantiles kept of each column, for ``quantile``."""
    n_modes: Annotated[int, Field(ge=1)] = 10
    """Gaussians fitted to each column at most, for ``modes``; those with a weight of half a per cent or less are dropped."""
    modes_seed: Annotated[int, Field(ge=0)] = 0
    """Of the fit of these Gaussians."""
    ordinal: Literal["number", "levels"] = "number"
    """Ordered levels: as one number from -1 to 1, or as levels without order."""
    dequantize: bool = False
    """Whether noise fills the gaps between what is discrete, as a density needs: levels gain uniform noise of the width 2,
    whole numbers of one step. Drawn anew at every step, in evaluation too; what is restored is unchanged."""
    clip: bool = True
    """Whether what lies outside the range of the training rows is moved to its ends as samples become a table."""
    columns: tuple[TableColumnConfig, ...] = ()
    """The columns, learnt from the training rows; a run fills them in."""

    def __post_init__(self) -> None:
        names = [column.column for column in self.columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns are named once each; given twice: {', '.join(twice)}")
