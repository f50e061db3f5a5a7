"""The rows of a backtest as arrays: one row per symbol, as_of, step and entry; and what is left out of a comparison."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from models.metrics.scoring_rules import BoolArray
from models.preprocessing.frame import DateArray, FloatArray
from models.preprocessing.windows import IntArray

UNKNOWN = -1
"""Stands in integer columns where a file says nothing: the fold of a row, the seed of what would be served."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """Who is compared: one forecaster under one strategy with one lookback.

    Attributes:
        forecaster: For example `lstm` or `random_walk`.
        strategy: `one_step`, `multi_step` or `recursive`.
        lookback: Sessions in a window; 0 where the forecaster has none.
    """

    forecaster: str
    strategy: str
    lookback: int

    @property
    def label(self) -> str:
        """The entry as people read it: `lstm multi_step 5`."""
        return f"{self.forecaster} {self.strategy}" + (f" {self.lookback}" if self.lookback else "")


@dataclass(frozen=True, slots=True)
class ForecastTable:
    """The `n` forecasts of a backtest, in any order.

    Attributes:
        entries: Who forecasts.
        symbols: Yahoo-style names.
        entry: `(n,)` index into `entries`.
        symbol: `(n,)` index into `symbols`.
        as_of: `(n,)` datetime64[D].
        step: `(n,)` 1, 2 or 3.
        target_session: `(n,)` datetime64[D].
        sigma: `(n,)` daily volatility known at as_of, log-return units.
        actual: `(n,)` cumulative log return from as_of to the step; NaN where it is not known.
        quantiles: `(n, 7)` what would be served, in the order of `specs.QUANTILES`, units of `actual`.
        raw: `(n, 7)` the same before calibration; NaN where the file has none.
        fold: `(n,)` number of the fit behind the row, `UNKNOWN` where the file does not say.
        seed: `(n,)` the one seed behind the row, `UNKNOWN` for what would be served.
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
        """The same table with some rows only, by mask or by position."""
        arrays: dict[str, Any] = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if field.name not in ("entries", "symbols")
        }
        return replace(self, **arrays)

    def keys(self) -> IntArray:
        """`(n,)` one number per (symbol, as_of, step): equal numbers are the same thing forecast."""
        day = self.as_of.astype("datetime64[D]").astype(np.int64)
        return (self.symbol * 1_000_000 + day) * 10 + self.step


def tidy(table: ForecastTable) -> tuple[ForecastTable, tuple[str, ...]]:
    """Leave out what cannot be judged, and say what was left out.

    Left out are rows whose quantiles are missing or cross, rows without an outcome, symbols whose price never moved,
    and rows that stand there twice. Nothing else is touched.

    Returns:
        What is left, and a sentence per kind of row that is not.
    """
    notes: list[str] = []
    finite = np.isfinite(table.quantiles).all(axis=1) & np.isfinite(table.sigma)
    _tell(notes, table, ~finite, "have no quantiles or no sigma and count as missing")
    crossed = finite & (np.diff(table.quantiles, axis=1) < 0).any(axis=1)
    _tell(notes, table, crossed, "have quantiles that cross and count as missing; mend the forecaster")
    known = np.isfinite(table.actual)
    if not known.all():
        notes.append(f"{int((~known).sum())} rows have no outcome yet and are left out")
    sound = finite & ~crossed & known
    kept = table if sound.all() else table.take(sound)
    return _without_twins(*_without_constants(kept, notes))


def _tell(notes: list[str], table: ForecastTable, rows: BoolArray, what: str) -> None:
    counts = np.bincount(table.entry[rows], minlength=len(table.entries))
    notes += [f"{count} rows of {table.entries[index].label} {what}" for index, count in enumerate(counts) if count]


def _without_constants(table: ForecastTable, notes: list[str]) -> tuple[ForecastTable, list[str]]:
    """Symbols that never moved: a return of zero, on every day, tells nothing of any forecaster."""
    moved = np.bincount(table.symbol, weights=table.actual != 0, minlength=len(table.symbols)) > 0
    seen = np.bincount(table.symbol, minlength=len(table.symbols)) > 0
    constant = seen & ~moved
    if not constant.any():
        return table, notes
    names = ", ".join(name for name, flag in zip(table.symbols, constant, strict=True) if flag)
    notes.append(
        f"the price of {names} never moved; its rows are left out, no forecaster can be told from another there"
    )
    return table.take(~constant[table.symbol]), notes


def _without_twins(table: ForecastTable, notes: list[str]) -> tuple[ForecastTable, tuple[str, ...]]:
    """Keep the first of rows that say who, what and which seed twice (several files may hold the same baseline)."""
    seeds = table.seed - UNKNOWN
    who = table.entry * (int(seeds.max(initial=0)) + 1) + seeds
    keys = table.keys()
    order = np.lexsort((keys, who))
    same = (keys[order[1:]] == keys[order[:-1]]) & (who[order[1:]] == who[order[:-1]])
    twins = order[1:][same]
    if not len(twins):
        return table, tuple(notes)
    gap = np.abs(table.quantiles[twins] - table.quantiles[order[:-1][same]]).max(axis=1)
    differ = int((gap > 1e-12).sum())
    notes.append(
        f"{len(twins)} rows stand there twice, {differ} of them with other quantiles; the first of each is kept"
    )
    keep = np.ones(len(table), dtype=np.bool_)
    keep[twins] = False
    return table.take(keep), tuple(notes)


def served(table: ForecastTable) -> ForecastTable:
    """The rows that would be served: those without a seed, else the mean of the seeds, quantile by quantile.

    An entry that has both keeps its rows without a seed. Where it has seeds alone, a row counts when every seed
    of that entry has it; the mean is over seeds, of served and raw quantiles alike.
    """
    if (table.seed == UNKNOWN).all():
        return table
    parts = [table.take(table.seed == UNKNOWN)]
    present = set(np.unique(parts[0].entry).tolist())
    for index in set(np.unique(table.entry).tolist()) - present:
        parts.append(_mean_of_seeds(table.take(table.entry == index)))
    return join(parts)


def join(parts: list[ForecastTable]) -> ForecastTable:
    """Tables with the same entries and symbols, one below the other."""
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
