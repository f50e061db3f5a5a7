"""Entries side by side on the rows that all of them have: nobody is judged on easier days than another."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.backtest.forecast_table import Entry, ForecastTable
from models.baselines import NETWORK as RANDOM_WALK
from models.config import MEDIAN
from models.metrics.scoring_rules import COVERAGES, BoolArray, inside, pinball, terciles
from models.preprocessing.frame import DateArray, FloatArray
from models.preprocessing.windows import IntArray
from models.training.holdout import BASIS_POINT

_ROUNDING = 1e-9
_STRATEGIES = ("multi_step", "one_step", "recursive")
"""In the order in which a reference is looked for."""


@dataclass(frozen=True, slots=True)
class ComparisonSet:
    """The `e` entries that forecast a set of steps, on the `n` rows common to all of them.

    Attributes:
        entries: Who is compared, in the order of the first axis below.
        steps: The steps compared, ascending.
        reference: Index of the random walk among the entries, None where the file has none.
        symbols: Yahoo-style names.
        symbol: `(n,)` index into `symbols`.
        as_of: `(n,)` datetime64[D].
        day: `(n,)` index of the as_of among the board's days, ascending.
        step: `(n,)`.
        target_session: `(n,)` datetime64[D].
        sigma: `(n,)` daily volatility known at as_of, as the reference has it (else the first entry).
        tercile: `(n,)` third of the board's rows by `sigma`: 0 low, 1 middle, 2 high.
        actual: `(n,)` log returns, from where sigma is from.
        quantiles: `(e, n, 7)` as served, log returns.
        raw: `(e, n, 7)` before calibration; NaN where the file has none.
        fold: `(e, n)` number of the fit behind the row.
        loss: `(e, n)` pinball of `quantiles` in basis points.
        rows: Rows that any entry has.
        missing: Per entry, how many of `rows` it lacks.
        conflicts: Rows on which entries disagree about the outcome.
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
        """The longest step: how far forecasts of neighbouring days overlap."""
        return self.steps[-1]

    @property
    def days(self) -> int:
        """Distinct as_of sessions."""
        return int(self.day.max()) + 1 if len(self) else 0

    def at_step(self, step: int) -> BoolArray:
        """`(n,)` rows of one step."""
        rows: BoolArray = self.step == step
        return rows

    def by_day(self, values: FloatArray | BoolArray, rows: BoolArray | None = None) -> FloatArray:
        """Sum of values per day, days without a row left out.

        Args:
            values: `(n,)`.
            rows: `(n,)` rows to sum, None = all.
        """
        day, kept = (self.day, values) if rows is None else (self.day[rows], values[rows])
        sums = np.bincount(day, weights=kept, minlength=self.days)
        return sums[np.bincount(day, minlength=self.days) > 0].astype(np.float64)

    def errors(self, index: int) -> FloatArray:
        """`(n,)` outcome less the median of one entry, log returns."""
        return self.actual - self.quantiles[index, :, MEDIAN]

    def median(self, index: int) -> FloatArray:
        """`(n,)` the median of one entry, log returns."""
        return self.quantiles[index, :, MEDIAN]

    def hits(self, index: int, raw: bool = False) -> dict[float, BoolArray]:
        """Per interval of `metrics.COVERAGES`, `(n,)` whether the outcome lay in it."""
        ladder = self.raw[index] if raw else self.quantiles[index]
        return {nominal: inside(self.actual, ladder, nominal) for nominal in COVERAGES}


def comparison_sets(table: ForecastTable) -> tuple[ComparisonSet, ...]:
    """One board per set of steps that some entry has, the longest set first.

    An entry stands on every board whose steps it has: a multi-step entry also meets the one-step entries on T.

    Args:
        table: Rows as `table.tidy` and `table.served` leave them.

    Returns:
        Boards, some of which may have no row: entries without a common one. None for a table without rows.
    """
    steps_of = {index: tuple(np.unique(table.step[table.entry == index]).tolist()) for index in _present(table)}
    found = sorted(set(steps_of.values()), key=lambda steps: (-len(steps), steps))
    return tuple(
        _comparison(table, steps, [index for index, mine in steps_of.items() if set(steps) <= set(mine)])
        for steps in found
    )


def _present(table: ForecastTable) -> list[int]:
    indices = np.unique(table.entry).tolist()
    return sorted(indices, key=lambda index: table.entries[index])


def _comparison(table: ForecastTable, steps: tuple[int, ...], members: list[int]) -> ComparisonSet:
    everything, wanted = table.keys(), np.isin(table.step, steps)
    places = [np.flatnonzero(wanted & (table.entry == index)) for index in members]
    keys = [everything[rows] for rows in places]
    common, union = np.sort(keys[0]), np.sort(keys[0])
    for each in map(np.sort, keys[1:]):
        if not (np.array_equal(each, common) and np.array_equal(each, union)):
            common, union = np.intersect1d(common, each), np.union1d(union, each)
    aligned = []
    for rows, key in zip(places, keys, strict=True):
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
        loss=np.stack([BASIS_POINT * pinball(base.actual, each) for each in quantiles]),
        rows=len(union),
        missing={entry: len(union) - len(key) for entry, key in zip(entries, keys, strict=True)},
        conflicts=int(disagree.sum()),
    )


def _reference(entries: tuple[Entry, ...]) -> int | None:
    """The random walk that all are measured by: one yardstick for the board, multi-step where there is one."""
    order = {strategy: rank for rank, strategy in enumerate(_STRATEGIES)}
    walks = [index for index, entry in enumerate(entries) if entry.forecaster == RANDOM_WALK]
    return min(walks, key=lambda index: (order.get(entries[index].strategy, 9), entries[index].lookback), default=None)
