"""Comparison sets: entries on the rows that all of them have, so that all are scored on the same days."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.backtest.forecast_table import Entry, ForecastTable
from models.baselines import NETWORK as RANDOM_WALK
from models.config import MEDIAN
from models.metrics.scoring_rules import COVERAGES, BoolArray, inside, pinball, terciles
from models.preprocessing.price_history import DateArray, FloatArray
from models.preprocessing.windows import IntArray
from models.training.holdout import BASIS_POINT

_ROUNDING = 1e-9
_STRATEGIES = ("multi_step", "one_step", "recursive")
"""Strategies in the order of preference for the reference."""


@dataclass(frozen=True, slots=True)
class ComparisonSet:
    """The `e` entries that forecast a set of steps, on the `n` rows common to all of them.

    Attributes:
        entries: The compared entries, in the order of the first axis below.
        steps: The steps compared, ascending.
        reference: Index of the random walk among the entries, None if the file has none.
        symbols: Yahoo-style names.
        symbol: `(n,)` index into `symbols`.
        as_of: `(n,)` datetime64[D].
        day: `(n,)` index of the as_of among the days of the set, ascending.
        step: `(n,)`.
        target_session: `(n,)` datetime64[D].
        sigma: `(n,)` daily volatility known at as_of, of the reference (otherwise of the first entry).
        tercile: `(n,)` third of the rows by `sigma`: 0 low, 1 middle, 2 high.
        actual: `(n,)` log returns, of the same entry as sigma.
        quantiles: `(e, n, 7)` as served, log returns.
        raw: `(e, n, 7)` before calibration; NaN if the file has none.
        fold: `(e, n)` number of the fit of the row.
        loss: `(e, n)` pinball of `quantiles` in basis points.
        rows: Rows that any entry has.
        missing: Per entry, the number of `rows` that it lacks.
        conflicts: Number of rows on which entries have different outcomes.
    """

    entries: tuple[Entry, ...]
    steps: tuple[int, ...]
    reference: int | None
    symbols: tuple[str, ...]
    symbol: IntArray
    as_of: DateArray
    day: IntArray
    step: IntArray
    target_session: DateArray
    sigma: FloatArray
    tercile: IntArray
    actual: FloatArray
    quantiles: FloatArray
    raw: FloatArray
    fold: IntArray
    loss: FloatArray
    rows: int
    missing: Mapping[Entry, int]
    conflicts: int

    def __len__(self) -> int:
        return len(self.as_of)

    @property
    def horizon(self) -> int:
        """The longest step, which is the overlap of forecasts of neighbouring days."""
        return self.steps[-1]

    @property
    def days(self) -> int:
        """Number of distinct as_of sessions."""
        return int(self.day.max()) + 1 if len(self) else 0

    def at_step(self, step: int) -> BoolArray:
        """Return the mask of the rows of one step, `(n,)`."""
        rows: BoolArray = self.step == step
        return rows

    def by_day(self, values: FloatArray | BoolArray, rows: BoolArray | None = None) -> FloatArray:
        """Return the sum of values per day, without days that have no row.

        Args:
            values: `(n,)`.
            rows: `(n,)` mask of the rows to sum, None = all.
        """
        day, kept = (self.day, values) if rows is None else (self.day[rows], values[rows])
        sums = np.bincount(day, weights=kept, minlength=self.days)
        return sums[np.bincount(day, minlength=self.days) > 0].astype(np.float64)

    def errors(self, index: int) -> FloatArray:
        """Return the outcome minus the median of one entry, `(n,)` log returns."""
        return self.actual - self.quantiles[index, :, MEDIAN]

    def median(self, index: int) -> FloatArray:
        """Return the median of one entry, `(n,)` log returns."""
        return self.quantiles[index, :, MEDIAN]

    def hits(self, index: int, raw: bool = False) -> dict[float, BoolArray]:
        """Return, per interval of `scoring_rules.COVERAGES`, whether the outcome is inside, `(n,)`."""
        quantiles = self.raw[index] if raw else self.quantiles[index]
        return {nominal: inside(self.actual, quantiles, nominal) for nominal in COVERAGES}


def comparison_sets(table: ForecastTable) -> tuple[ComparisonSet, ...]:
    """Return a comparison set per set of steps that some entry has, the longest first.

    An entry is in each comparison set whose steps it has: a multi-step entry is also compared with the one-step entries
    on T.

    Args:
        table: Rows as `forecast_table.clean_table` and `served_rows` return them.

    Returns:
        Comparison sets; a set has no row if its entries have none in common. Empty for a table without rows.
    """
    steps_of = {index: tuple(np.unique(table.step[table.entry == index]).tolist()) for index in _present(table)}
    found = sorted(set(steps_of.values()), key=lambda steps: (-len(steps), steps))
    return tuple(
        _comparison(table, steps, [index for index, entry_steps in steps_of.items() if set(steps) <= set(entry_steps)])
        for steps in found
    )


def _present(table: ForecastTable) -> list[int]:
    indices = np.unique(table.entry).tolist()
    return sorted(indices, key=lambda index: table.entries[index])


def _comparison(table: ForecastTable, steps: tuple[int, ...], members: list[int]) -> ComparisonSet:
    all_keys, has_step = table.keys(), np.isin(table.step, steps)
    rows_of = [np.flatnonzero(has_step & (table.entry == index)) for index in members]
    keys = [all_keys[rows] for rows in rows_of]
    common, union = np.sort(keys[0]), np.sort(keys[0])
    for entry_keys in map(np.sort, keys[1:]):
        if not (np.array_equal(entry_keys, common) and np.array_equal(entry_keys, union)):
            common, union = np.intersect1d(common, entry_keys), np.union1d(union, entry_keys)
    aligned = []
    for rows, key in zip(rows_of, keys, strict=True):
        order = np.argsort(key, kind="stable")
        aligned.append(table.take(rows[order[np.searchsorted(key[order], common)]]))
    entries = tuple(table.entries[index] for index in members)
    reference = _reference(entries)
    base = aligned[reference or 0]
    quantiles = np.stack([part.quantiles for part in aligned])
    disagree = np.stack([np.abs(part.actual - base.actual) > _ROUNDING for part in aligned]).any(axis=0)
    return ComparisonSet(
        entries=entries,
        steps=steps,
        reference=reference,
        symbols=table.symbols,
        symbol=base.symbol,
        as_of=base.as_of,
        day=np.unique(base.as_of, return_inverse=True)[1].astype(np.int64),
        step=base.step,
        target_session=base.target_session,
        sigma=base.sigma,
        tercile=terciles(base.sigma),
        actual=base.actual,
        quantiles=quantiles,
        raw=np.stack([part.raw for part in aligned]),
        fold=np.stack([part.fold for part in aligned]),
        loss=np.stack([BASIS_POINT * pinball(base.actual, own) for own in quantiles]),
        rows=len(union),
        missing={entry: len(union) - len(key) for entry, key in zip(entries, keys, strict=True)},
        conflicts=int(disagree.sum()),
    )


def _reference(entries: tuple[Entry, ...]) -> int | None:
    """Return the index of the random walk, the baseline of the set; the multi-step one if there is one."""
    order = {strategy: rank for rank, strategy in enumerate(_STRATEGIES)}
    walks = [index for index, entry in enumerate(entries) if entry.forecaster == RANDOM_WALK]
    return min(walks, key=lambda index: (order.get(entries[index].strategy, 9), entries[index].lookback), default=None)
