"""Checks the rows of an answer before anything is written; pure functions over arrays.

Each row has one of five outcomes: stored, stored without its open, high and low (`repaired`), refused, suspect, or
skipped (not final yet, or without a close).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.market.session_calendar import SessionTable
from service.prices.sources.base import Action, ActionKind, FetchedPrices, Malformed

if TYPE_CHECKING:
    import pandas as pd

DateArray = NDArray[np.datetime64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FIELDS = ("open", "high", "low", "close", "volume")
ENVELOPE_SLACK = 1e-6
"""Distance, relative to the close, by which open or close may exceed low..high: rounding, not a fault."""

FAR = 50.0
"""Factor from the close beyond which open, high or low is a wrong figure: a real print is nearer on almost any day."""

ALONE = 3
"""Most rows before a gap of `LONG_GAP` that are refused for their dates, where `MANY` rows follow the gap."""
LONG_GAP = np.timedelta64(730, "D")
MANY = 20

LARGEST_SPLIT = 10_000.0
"""New shares for an old one, or old ones for a new one, beyond which a split is a wrong figure."""

OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)


@dataclass(frozen=True, slots=True)
class Rows:
    """Bars as arrays, oldest first.

    Attributes:
        sessions: `(n,)` datetime64[D], strictly ascending.
        values: `(n, 5)` float64: open, high, low, close, volume, split-adjusted as the source served them.
    """

    sessions: DateArray
    values: FloatArray

    def __len__(self) -> int:
        return len(self.sessions)

    @property
    def close(self) -> FloatArray:
        """`(n,)` closes."""
        return self.values[:, CLOSE]

    def take(self, chosen: BoolArray) -> "Rows":
        """Return the rows where a `(n,)` mask is true."""
        return Rows(self.sessions[chosen], self.values[chosen])

    def document(self, row: int) -> dict[str, float | str | None]:
        """Return one row as a JSON document; NaN is null, infinity a string."""
        values = zip(FIELDS, self.values[row].tolist(), strict=True)
        return {name: _json_value(value) for name, value in values}


@dataclass(frozen=True, slots=True)
class Finding:
    """A refused or repaired row.

    Attributes:
        session: Its session, datetime64[D].
        row: The row as the source served it.
        reason: One sentence.
        state: `refused` (not stored) or `repaired` (stored without its open, high and low, or volume).
    """

    session: np.datetime64
    row: dict[str, float | str | None]
    reason: str
    state: str


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer after the row checks; jumps are checked later, against the stored bars.

    Attributes:
        rows: Final bars with a good close.
        findings: Refused and repaired rows.
        holes: Final rows without a close.
        partial: Rows of sessions that were not final yet.
        duplicates: Second rows of a session.
        repeated: Rows on no session that repeat the close without volume: the vendor fills holidays; dropped.
        absent: Sessions between the first and the last row that the answer lacks.
        incomplete: Good rows that lack an open, high or low which other rows have.
    """

    rows: Rows
    findings: tuple[Finding, ...]
    holes: int
    partial: int
    duplicates: int
    repeated: int = 0
    absent: int = 0
    incomplete: int = 0


def _json_value(value: float) -> float | str | None:
    if np.isnan(value):
        return None
    return value if np.isfinite(value) else str(value)


def check_rows(history: FetchedPrices, table: SessionTable, settle: timedelta, at: np.datetime64) -> Checked:
    """Sort the rows of an answer into good, repaired, refused and skipped ones.

    Args:
        history: Answer of the source.
        table: Sessions of the calendar; it must cover the whole answer.
        settle: How long after its close a bar is final.
        at: datetime64[s] UTC market time; a bar is final when close + settle <= at.

    Raises:
        Malformed: the rows are not in ascending order, or a column is missing.
    """
    raw, duplicates = _in_order(history.symbol, history.bars)
    places = np.minimum(np.searchsorted(table.sessions, raw.sessions), max(len(table) - 1, 0))
    expected: BoolArray = np.zeros(len(raw), bool)
    final: BoolArray = np.ones(len(raw), bool)
    if len(table):
        expected = table.sessions[places] == raw.sessions
        final_at = table.close_at.astype("datetime64[s]") + np.timedelta64(int(settle.total_seconds()), "s")
        final = np.where(expected, final_at[places] <= at, raw.sessions.astype("datetime64[s]") <= at)
    null = np.isnan(raw.close)
    invalid = ~null & ~((raw.close > 0) & np.isfinite(raw.close))
    repeated = final & ~null & ~expected & repeats_close(raw.close, raw.values[:, VOLUME])
    findings = _refused(
        raw,
        final & ~null & ~expected & ~repeated,
        f"not a session of its calendar: {history.symbol} does not trade on that date",
    )
    findings += _refused(raw, final & expected & invalid, "the close must be positive and finite")
    alone = _alone(raw.sessions)
    findings += _refused(
        raw, final & expected & ~null & ~invalid & alone, "alone, years before the next row: a wrong date"
    )
    good = raw.take(final & expected & ~null & ~invalid & ~alone)
    rows, repaired = _repair(good)
    holes = int((final & expected & null).sum())
    absent = _absent(raw.sessions[final & expected & ~alone], table)
    missing = np.isnan(good.values[:, OPEN : LOW + 1])
    return Checked(
        rows,
        (*findings, *repaired),
        holes,
        partial=int((~final).sum()),
        duplicates=duplicates,
        repeated=int(repeated.sum()),
        absent=absent,
        incomplete=int((missing & ~missing.all(axis=0)).any(axis=1).sum()),
    )


def repeats_close(close: FloatArray, volume: FloatArray) -> BoolArray:
    """Return a `(n,)` mask of the rows without volume whose close is that of the last row before them that has one.

    Args:
        close: `(n,)` closes, oldest first; NaN where there is none.
        volume: `(n,)` volumes; NaN and 0 are none.
    """
    has_close = ~np.isnan(close)
    newest = np.maximum.accumulate(np.where(has_close, np.arange(len(close)), -1))
    before = np.concatenate([[-1], newest[:-1]]) if len(close) else newest
    same: BoolArray = (before >= 0) & has_close & (close == close[before]) & (np.isnan(volume) | (volume == 0))
    return same


def _absent(answered: DateArray, table: SessionTable) -> int:
    """Return how many sessions between the first and the last answered one were not answered."""
    if len(answered) == 0:
        return 0
    first, last = np.searchsorted(table.sessions, answered[[0, -1]])
    return int(last - first + 1 - len(answered))


def _alone(sessions: DateArray) -> BoolArray:
    """Return a `(n,)` mask of the first rows if a long gap separates those few from many others: 1970 is no listing."""
    alone = np.zeros(len(sessions), bool)
    gaps = np.flatnonzero(np.diff(sessions[: ALONE + 1]) > LONG_GAP)
    if len(gaps) and len(sessions) - int(gaps[-1]) - 1 >= MANY:
        alone[: int(gaps[-1]) + 1] = True
    return alone


def _in_order(symbol: str, bars: "pd.DataFrame") -> tuple[Rows, int]:
    try:
        values = np.column_stack([bars[name].to_numpy(np.float64) for name in FIELDS])
    except KeyError as error:
        raise Malformed(f"{symbol}: the answer has no column {error}; all of {', '.join(FIELDS)} are needed") from error
    if len(bars) == 0:
        return Rows(np.empty(0, "datetime64[D]"), np.empty((0, len(FIELDS)))), 0
    days = bars.index.to_numpy().astype("datetime64[D]")
    steps = np.diff(days).astype(np.int64)
    if (steps < 0).any():
        place = int(np.argmax(steps < 0)) + 1
        raise Malformed(f"{symbol}: {days[place]} comes after {days[place - 1]}; the answer must be oldest first")
    keep = np.concatenate([[True], steps > 0])
    duplicates = int((~keep).sum())
    if duplicates and not keep[-1]:
        # The vendor appends the current day again as it changes: at the end the newest row counts, elsewhere the first.
        keep[days == days[-1]] = False
        keep[-1] = True
    return Rows(days[keep], values[keep]), duplicates


def _refused(raw: Rows, chosen: BoolArray, reason: str) -> tuple[Finding, ...]:
    return tuple(Finding(raw.sessions[i], raw.document(i), reason, "refused") for i in np.flatnonzero(chosen).tolist())


def _repair(rows: Rows) -> tuple[Rows, tuple[Finding, ...]]:
    """Remove impossible opens, highs and lows, and negative volumes; the close is kept.

    The rule is the same for every instrument: targets and returns use closes, so a high slightly below the close must
    not cost the bar.
    """
    values = rows.values
    prices = values[:, :VOLUME]
    low, high = prices[:, LOW], prices[:, HIGH]
    slack = ENVELOPE_SLACK * rows.close
    with np.errstate(invalid="ignore", divide="ignore"):
        outside = ((prices[:, OPEN] > high + slack) | (prices[:, OPEN] < low - slack) | (high + slack < low)
                   | (rows.close > high + slack) | (rows.close < low - slack))  # fmt: skip
        impossible = np.asarray(((prices <= 0) | np.isinf(prices)).any(axis=1))
        far = np.asarray((np.abs(np.log(prices / rows.close[:, None])) > np.log(FAR)).any(axis=1)) & ~impossible
        bad_volume: BoolArray = (values[:, VOLUME] < 0) | np.isinf(values[:, VOLUME])
    bad_prices: BoolArray = outside | impossible | far
    if not (bad_prices.any() or bad_volume.any()):
        return rows, ()
    repaired = values.copy()
    repaired[bad_prices, OPEN : LOW + 1] = np.nan
    repaired[bad_volume, VOLUME] = np.nan
    findings = []
    for i in np.flatnonzero(bad_prices | bad_volume).tolist():
        reasons = []
        if bad_prices[i]:
            fault = "not positive and finite" if impossible[i] else "high and low do not enclose open and close"
            fault = f"more than {FAR:g} times away from the close" if far[i] and not outside[i] else fault
            reasons.append(f"{fault}: open, high and low removed, the close kept")
        if bad_volume[i]:
            reasons.append("the volume is negative or infinite: removed")
        findings.append(Finding(rows.sessions[i], rows.document(i), "; ".join(reasons), "repaired"))
    return Rows(rows.sessions, repaired), tuple(findings)


def check_actions(actions: Sequence[Action], rows: Rows) -> tuple[tuple[Action, ...], tuple[Finding, ...]]:
    """Return the valid actions, and a finding for each invalid one.

    A value must be positive and finite, a split at most 10,000 to 1 or 1 to 10,000, and a dividend less than the last
    close before its ex-date.

    Args:
        actions: Actions of the answer.
        rows: Bars around the ex-dates, oldest first; a dividend before the first bar is not compared.
    """
    good, findings = [], []
    for action in actions:
        day = np.datetime64(action.ex_date, "D")
        place = int(np.searchsorted(rows.sessions, day)) - 1
        reason = ""
        if not (np.isfinite(action.value) and action.value > 0):
            reason = f"a {action.kind.value} must be positive and finite"
        elif action.kind is ActionKind.SPLIT and not 1 / LARGEST_SPLIT <= action.value <= LARGEST_SPLIT:
            reason = f"a split of more than {LARGEST_SPLIT:g} to 1 is a wrong figure"
        elif action.kind is ActionKind.DIVIDEND and place >= 0 and action.value >= rows.close[place]:
            reason = f"the dividend is not less than the close of {rows.sessions[place]}"
        if reason:
            findings.append(
                Finding(day, {"kind": action.kind.value, "value": _json_value(action.value)}, reason, "refused")
            )
        else:
            good.append(action)
    return tuple(good), tuple(findings)
