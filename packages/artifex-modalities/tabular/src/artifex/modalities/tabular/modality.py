"""Tables on their way to a model and back: ``prepare`` inside the compiled step, ``restore``, ``to_frame`` after it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.checks import check_any_samples
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError, RunWarning
from artifex.modalities.tabular import vectors
from artifex.modalities.tabular.config import ColumnKind, Level, TableColumnConfig, TabularModalityConfig
from artifex.modalities.tabular.frames import decode, encode, infer_columns
from artifex.modalities.tabular.rows import TableRow, rows_of

__all__ = ["TabularModality"]

FIT = "TabularModality.fit(frame) learns from a table, and a run learns from its training split by itself"


@dataclass(frozen=True, slots=True)
class TabularModality:
    """Tables of numbers, levels, truth values and dates, with gaps, as vectors.

    Follows :class:`artifex.core.protocols.ModalityProtocol`, :class:`~artifex.core.protocols.FitsData`,
    :class:`~artifex.core.protocols.Restores`, :class:`~artifex.core.protocols.HasHostForm` and
    :class:`~artifex.core.protocols.ChecksData`. Stored rows are what :func:`~artifex.modalities.tabular.frames.encode` makes.

    Equal configs make equal, equally hashed modalities, so that one can be a static argument of a jitted function.

    Args:
        config: the form of the vectors; by default standardised numbers. Its columns are learnt by :meth:`fitted` or
            :meth:`fit`.
        rngs: random streams, of which the modality keeps a fork: it serves whenever :meth:`prepare` is given none, outside
            compiled functions.

    Example:
        >>> table = pd.DataFrame({"age": [20, 30, 40], "town": ["Bern", "Chur", "Bern"]})
        >>> modality = TabularModality.fit(table)
        >>> x = modality.prepare({"x": modality.encode(table)}, train=False)["x"]
        >>> x.shape, modality.to_frame(x).equals(table)
        ((3, 2), True)
    """

    config: TabularModalityConfig = field(default_factory=TabularModalityConfig)
    rngs: nnx.Rngs | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.config is None:
            object.__setattr__(self, "config", TabularModalityConfig())
        if not isinstance(self.config, TabularModalityConfig):
            raise InvalidTypeError(
                f"TabularModality takes a TabularModalityConfig, got {type(self.config).__name__}: {self.config!r}"
            )
        if self.rngs is None:
            return
        if not isinstance(self.rngs, nnx.Rngs):
            raise InvalidTypeError(f"TabularModality takes rngs=nnx.Rngs(seed), got {type(self.rngs).__name__}: {self.rngs!r}")
        object.__setattr__(self, "rngs", self.rngs.fork())

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        config: TabularModalityConfig | None = None,
        *,
        kinds: Mapping[str, ColumnKind] | None = None,
        orders: Mapping[str, Sequence[Level]] | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> TabularModality:
        """A modality that has learnt from the rows of ``frame``, which are the training rows alone.

        Args:
            frame: the training rows.
            config: the form of the vectors.
            kinds: kinds by column, where the guess of :func:`~artifex.modalities.tabular.frames.infer_columns` is wrong.
            orders: levels of ordinal columns, lowest first.
            rngs: as for the class.
        """
        columns = infer_columns(frame, kinds, orders)
        return cls(_with_learnt(config or TabularModalityConfig(), columns, encode(frame, columns)), rngs=rngs)

    def fitted(self, dataset: Any, split: str) -> TabularModality:
        """A modality that has learnt from one split of a data set of tables, which has ``columns`` and ``arrays(split)``.

        Raises:
            DataError: it is no data set of tables; or the modality has learnt from one with other columns.
        """
        columns = getattr(dataset, "columns", None)
        if not isinstance(columns, tuple) or not all(isinstance(column, TableColumnConfig) for column in columns):
            raise DataError(
                f"the modality 'tabular' needs a data set of tables (table_file, shipped_table, mixed_table), "
                f"got {type(dataset).__name__}"
            )
        if self.config.columns:
            _check_same(self.config.columns, columns)
            return self
        return TabularModality(_with_learnt(self.config, columns, dataset.arrays(split)["x"]), rngs=self.rngs)

    @property
    def columns(self) -> tuple[TableColumnConfig, ...]:
        """What the columns are. Raises :class:`InvalidInputError` before they are learnt."""
        if not self.config.columns:
            raise InvalidInputError(f"this modality has not learnt a table yet; {FIT}")
        return self.config.columns

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row in model space: ``(D,)``."""
        return (vectors.width(self.config),) if self.columns else ()

    def encode(self, frame: pd.DataFrame) -> Float[np.ndarray, "N C"]:
        """Rows of a table in stored form; see :func:`~artifex.modalities.tabular.frames.encode`."""
        return encode(frame, self.columns)

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored rows to model input; jitted with the step.

        Args:
            batch: ``x`` of shape ``(B, C)``: positions, numbers of levels, NaN for what is missing. Other keys are handed on.
            rngs: streams; noise, and while training the choice among Gaussians, come from ``sample`` (or ``default``).
            train: whether the Gaussian of a value is drawn from its posterior; else it is the likeliest.

        Returns:
            The batch with ``x`` as float32 ``(B, D)``.

        Raises:
            InvalidInputError: ``x`` is missing or of another width, or there is no stream for what is drawn.
        """
        self._check_form(batch)
        rngs, config = self.rngs if rngs is None else rngs, self.config
        draws = config.dequantize or (train and config.numerical == "modes")
        return {**batch, "x": vectors.to_vectors(jnp.asarray(batch["x"], jnp.float32), config, _key(rngs) if draws else None)}

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these are stored rows of the table that was learnt; on the host, before the first step.

        Raises:
            InvalidInputError: ``x`` is missing or of another width; or it holds a level or a gap that no training row has.
        """
        self._check_form(arrays)
        x = np.asarray(arrays["x"], np.float64)
        for i, column in enumerate(self.columns):
            values = x[:, i]
            bad = np.isinf(values) | (np.isnan(values) & (not column.missing))
            if column.levels:
                bad |= ~np.isnan(values) & ~np.isin(values, np.arange(column.n_levels))
            if bad.any():
                row = int(np.argmax(bad))
                known = f"levels 0 to {column.n_levels - 1}" if column.levels else "finite positions"
                raise InvalidInputError(
                    f"x[{first_row + row}] holds {values[row]:g} in column {column.column!r}, which has {known}"
                    f"{' and gaps' if column.missing else ' and no gaps'}; write modality.encode(frame)"
                )

    def restore(self, x: Float[Array, "B D"]) -> Float[Array, "B C"]:
        """Model space back to stored form: positions, numbers of levels, NaN for what is missing."""
        if x.ndim != 2 or x.shape[1:] != self.shape:
            raise InvalidInputError(f"rows of shape (N, {self.shape[0]}) are needed, got {x.shape}")
        return vectors.from_vectors(jnp.asarray(x, jnp.float32), self.config)

    def to_frame(self, x: Any) -> pd.DataFrame:
        """Rows in model space, ``(N, D)``, as a table of the learnt columns, in their order and of their dtypes.

        What is not finite makes no row: it is left out, with a warning.
        """
        values, finite = self._restored(x)
        if not finite.all():
            message = f"{int(np.sum(~finite))} of {len(finite)} samples hold what is no finite number; they make no row"
            warnings.warn(message, RunWarning, stacklevel=2)
        return decode(values[finite], self.columns, clip=self.config.clip)

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> list[TableRow | None]:
        """Rows in model space as :class:`~artifex.modalities.tabular.TableRow`; None for what is not finite.

        Args:
            x: ``(N, D)``.
            mask: rows are not padded, so there is none.
        """
        if mask is not None:
            raise InvalidInputError(f"rows of a table are not padded and have no mask; got one of shape {np.shape(mask)}")
        values, finite = self._restored(x)
        rows = rows_of(values, self.columns, clip=self.config.clip)
        return [row if whole else None for row, whole in zip(rows, finite, strict=True)]

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write samples ``(N, D)`` from model space as ``stem.csv``; returns its path."""
        check_any_samples(samples, stem)
        stem = Path(stem)
        stem.parent.mkdir(parents=True, exist_ok=True)
        path = stem.with_name(f"{stem.name}.csv")
        self.to_frame(samples).to_csv(path, index=False)
        return path

    def _restored(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        x = np.asarray(x, np.float32)
        return np.asarray(self.restore(jnp.asarray(x))), np.isfinite(x).all(axis=1)

    def _check_form(self, batch: Mapping[str, Any]) -> None:
        if "x" not in batch:
            raise InvalidInputError(f"a batch of rows has the key 'x'; got the keys {sorted(batch)}")
        try:
            shape = np.shape(batch["x"])
        except ValueError:  # of rows of unequal length
            shape = (len(batch["x"]), "unequal")
        if len(shape) != 2 or shape[1] != len(self.columns):
            raise InvalidInputError(
                f"stored rows of this table have the shape (batch, {len(self.columns)}), got {shape}; write "
                "modality.encode(frame)"
            )


def _with_learnt(config: TabularModalityConfig, columns: tuple[TableColumnConfig, ...], x: np.ndarray) -> TabularModalityConfig:
    return config.replace(columns=vectors.learnt(x, columns, config))


def _check_same(learnt: Sequence[TableColumnConfig], given: Sequence[TableColumnConfig]) -> None:
    """Raise unless both are one table's."""
    names, others = ([column.column for column in columns] for columns in (learnt, given))
    if names != others:
        raise DataError(f"the modality has learnt the columns {', '.join(names)}, but the data set has {', '.join(others)}")
    for one, other in zip(learnt, given, strict=True):
        if one.form() != other.form():
            was, now = one.form().to_dict(), other.form().to_dict()
            field = next(key for key in {**was, **now} if was.get(key) != now.get(key))
            raise DataError(
                f"column {one.column!r} has {field} {now.get(field)!r} among the training rows, where the modality has learnt "
                f"{was.get(field)!r}: the table has changed since; train anew, or put the table back"
            )


def _key(rngs: nnx.Rngs | None) -> Array:
    if rngs is None or not ("sample" in rngs or "default" in rngs):
        raise InvalidInputError(
            "this table config draws random numbers: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)"
        )
    return rngs.sample()
