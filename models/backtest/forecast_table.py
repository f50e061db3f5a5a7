"""The forecasts of a backtest as arrays, one row per symbol, as_of, step and entry, and how they are cleaned."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from models.metrics.scoring_rules import BoolArray
from models.preprocessing.price_history import DateArray, FloatArray
from models.preprocessing.windows import IntArray

UNKNOWN = -1
"""Missing value of integer columns: no fold in the file, or no seed, as in the rows that would be served."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A compared forecaster: its name, strategy and lookback.

    Attributes:
        forecaster: For example `lstm` or `random_walk`.
        strategy: `one_step`, `multi_step` or `recursive`.
        lookback: Sessions in a window; 0 if the forecaster has none.
    """

    forecaster: str
    strategy: str
    lookback: int

    @property
    def label(self) -> str:
        """Label of the entry, such as `lstm multi_step 5`."""
        return f"{self.forecaster} {self.strategy}" + (f" {self.lookback}" if self.lookback else "")


@dataclass(frozen=True, slots=True)
class ForecastTable:
    """The `n` forecasts of a backtest, in any order.

    Attributes:
        entries: The forecasters.
        symbols: Yahoo-style names.
        entry: `(n,)` index into `entries`.
        symbol: `(n,)` index into `symbols`.
        as_of: `(n,)` datetime64[D].
        step: `(n,)` 1, 2 or 3.
        target_session: `(n,)` datetime64[D].
        sigma: `(n,)` daily volatility known at as_of, log-return units.
        actual: `(n,)` cumulative log return from as_of to the step; NaN if not known.
        quantiles: `(n, 7)` as would be served, in the order of `config.QUANTILES`, units of `actual`.
        raw: `(n, 7)` the same before calibration; NaN if the file has none.
        fold: `(n,)` number of the fit of the row, `UNKNOWN` if the file has none.
        seed: `(n,)` the single seed of the row, `UNKNOWN` for the rows that would be served.
    """

    entries: tuple[Entry, ...]
    symbols: tuple[str, ...]
    entry: IntArray
    symbol: IntArray
    as_of: DateArray
    step: IntArray
    target_session: DateArray
    sigma: FloatArray
    actual: FloatArray
    quantiles: FloatArray
    raw: FloatArray
    fold: IntArray
    seed: IntArray

    def __len__(self) -> int:
        return len(self.entry)

    def take(self, rows: BoolArray | IntArray) -> "ForecastTable":
        """Return the table with some rows only, chosen by mask or by position."""
        arrays: dict[str, Any] = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if field.name not in ("entries", "symbols")
        }
        return replace(self, **arrays)

    def keys(self) -> IntArray:
        """Return one number per (symbol, as_of, step), `(n,)`: equal numbers are forecasts of the same return."""
        day = self.as_of.astype("datetime64[D]").astype(np.int64)
        return (self.symbol * 1_000_000 + day) * 10 + self.step


def clean_table(table: ForecastTable) -> tuple[ForecastTable, tuple[str, ...]]:
    """Drop the rows that cannot be evaluated, and report them.

    These are rows whose quantiles are missing or cross, rows without an outcome, rows of symbols whose price never
    changed, and duplicates. Nothing else is changed.

    Returns:
        The remaining rows, and a sentence per kind of row that is left out.
    """
    notes: list[str] = []
    finite = np.isfinite(table.quantiles).all(axis=1) & np.isfinite(table.sigma)
    _count_rows(notes, table, ~finite, "have no quantiles or no sigma and count as missing")
    crossed = finite & (np.diff(table.quantiles, axis=1) < 0).any(axis=1)
    _count_rows(notes, table, crossed, "have crossing quantiles and count as missing; fix the forecaster")
    known = np.isfinite(table.actual)
    if not known.all():
        notes.append(f"{int((~known).sum())} rows have no outcome yet and are left out")
    valid = finite & ~crossed & known
    remaining = table if valid.all() else table.take(valid)
    return _without_duplicates(*_without_constants(remaining, notes))


def _count_rows(notes: list[str], table: ForecastTable, rows: BoolArray, what: str) -> None:
    counts = np.bincount(table.entry[rows], minlength=len(table.entries))
    notes += [f"{count} rows of {table.entries[index].label} {what}" for index, count in enumerate(counts) if count]


def _without_constants(table: ForecastTable, notes: list[str]) -> tuple[ForecastTable, list[str]]:
    """Leave out symbols whose price never changed: returns of zero on every day distinguish no forecasters."""
    moved = np.bincount(table.symbol, weights=table.actual != 0, minlength=len(table.symbols)) > 0
    seen = np.bincount(table.symbol, minlength=len(table.symbols)) > 0
    constant = seen & ~moved
    if not constant.any():
        return table, notes
    names = ", ".join(name for name, flag in zip(table.symbols, constant, strict=True) if flag)
    notes.append(f"the price of {names} never changed; its rows are left out, since they distinguish no forecasters")
    return table.take(~constant[table.symbol]), notes


def _without_duplicates(table: ForecastTable, notes: list[str]) -> tuple[ForecastTable, tuple[str, ...]]:
    """Keep the first of rows with equal entry, key and seed (several files may hold the same baseline)."""
    seeds = table.seed - UNKNOWN
    sources = table.entry * (int(seeds.max(initial=0)) + 1) + seeds
    keys = table.keys()
    order = np.lexsort((keys, sources))
    same = (keys[order[1:]] == keys[order[:-1]]) & (sources[order[1:]] == sources[order[:-1]])
    duplicates = order[1:][same]
    if not len(duplicates):
        return table, tuple(notes)
    gap = np.abs(table.quantiles[duplicates] - table.quantiles[order[:-1][same]]).max(axis=1)
    differ = int((gap > 1e-12).sum())
    notes.append(
        f"{len(duplicates)} rows are duplicates, {differ} of them with different quantiles; the first of each is kept"
    )
    keep = np.ones(len(table), dtype=np.bool_)
    keep[duplicates] = False
    return table.take(keep), tuple(notes)


def served_rows(table: ForecastTable) -> ForecastTable:
    """Return the rows that would be served: those without a seed, otherwise the mean of the seeds.

    An entry that has both keeps its rows without a seed. If it has only seeds, a row counts if every seed of that
    entry has it; the mean is taken quantile by quantile, of served and raw quantiles alike.
    """
    if (table.seed == UNKNOWN).all():
        return table
    parts = [table.take(table.seed == UNKNOWN)]
    present = set(np.unique(parts[0].entry).tolist())
    for index in set(np.unique(table.entry).tolist()) - present:
        parts.append(_mean_of_seeds(table.take(table.entry == index)))
    return join(parts)


def join(parts: list[ForecastTable]) -> ForecastTable:
    """Concatenate tables with the same entries and symbols."""
    arrays: dict[str, Any] = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(ForecastTable)
        if field.name not in ("entries", "symbols")
    }
    return replace(parts[0], **arrays)


def _mean_of_seeds(table: ForecastTable) -> ForecastTable:
    seeds = len(np.unique(table.seed))
    keys, first, position, counts = np.unique(table.keys(), return_index=True, return_inverse=True, return_counts=True)
    mean = table.take(first)
    sums = [np.zeros((len(keys), table.quantiles.shape[1])) for _ in range(2)]
    np.add.at(sums[0], position, table.quantiles)
    np.add.at(sums[1], position, table.raw)
    averaged = replace(
        mean,
        quantiles=sums[0] / counts[:, None],
        raw=sums[1] / counts[:, None],
        seed=np.full(len(keys), UNKNOWN, dtype=np.int64),
    )
    return averaged.take(counts == seeds)
