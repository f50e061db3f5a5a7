"""Reads one short line per symbol of the watchlist; a page returns some of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Row

from service.api.common.dependencies import Snapshot
from service.api.common.queries import Timing
from service.api.forecasts import queries as forecasts
from service.api.forecasts.forecast_rows import ForecastRows
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.schemas import LABELS
from service.api.forecasts.track_record import coverage_over, skill_over
from service.api.watchlist import queries as watchlist
from service.api.watchlist.schemas import WatchlistCoverage, WatchlistItem, WatchlistSkill, WatchlistStep

CHUNK = 500
"""Symbols read at a time: databases limit the number of parameters of a statement."""

_LEVEL = 80
_UNKNOWN = Timing(None, None)


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step of a line; the names are those of the answer."""

    step: int
    target_session: date
    point: float
    lower_80: float
    upper_80: float
    change: float


@dataclass(frozen=True, slots=True)
class Line:
    """A cached symbol of the watchlist; the names are those of the answer.

    Attributes:
        row: Its instrument.
        search_text: Symbol and name in lower case.
    """

    row: Row[Any]
    search_text: str
    as_of: date | None = None
    last_close: float | None = None
    served_by: str | None = None
    steps: tuple[StepLine, ...] = ()
    skill: float | None = None
    skill_n: int = 0
    coverage: float | None = None
    coverage_n: int = 0

    @property
    def symbol(self) -> str:
        """Its symbol."""
        return str(self.row.symbol)

    @property
    def change(self) -> float | None:
        """Expected simple return at T; None without a forecast."""
        return self.steps[0].change if self.steps else None

    @property
    def width(self) -> float | None:
        """Width of T's 80 % interval over the last close; None without a forecast."""
        if not self.steps or not self.last_close:
            return None
        return (self.steps[0].upper_80 - self.steps[0].lower_80) / self.last_close

    def item(self, stale_after: datetime | None, now: datetime, missed: tuple[date, str] | None) -> WatchlistItem:
        """Return the answer.

        Args:
            stale_after: Aware UTC instant after which (exclusive) its forecast is stale; None = never.
            now: Aware UTC market time.
            missed: A session without its forecast, and why.
        """
        late = missed is not None and (self.as_of is None or self.as_of < missed[0])
        plain = ("symbol", "name", "group", "calendar", "currency", "state", "state_reason", "last_session")
        return WatchlistItem(
            **{name: getattr(self.row, name) for name in plain},
            as_of=self.as_of,
            last_close=self.last_close,
            stale=stale_after is not None and now > stale_after,
            served_by=self.served_by,
            steps=[_answer(step) for step in self.steps],
            skill=WatchlistSkill(value=self.skill, n=self.skill_n),
            coverage_80=WatchlistCoverage(measured=self.coverage, n=self.coverage_n),
            missed=f"no forecast as of {missed[0]}: {missed[1]}" if missed is not None and late else None,
        )


def read_lines(snapshot: Snapshot, rows: Sequence[Row[Any]]) -> dict[str, Line]:
    """Return the lines of instruments, by symbol."""
    lines: dict[str, Line] = {}
    left = iter(rows)
    while part := list(islice(left, CHUNK)):
        lines |= _read_chunk(snapshot, {row.symbol: row for row in part})
    return lines


def plain_line(row: Row[Any]) -> Line:
    """Return the line of an instrument without a forecast."""
    return Line(row, f"{row.symbol}\n{row.name or ''}".casefold())


def _read_chunk(snapshot: Snapshot, known: Mapping[str, Row[Any]]) -> dict[str, Line]:
    connection, lines = snapshot.connection, {symbol: plain_line(row) for symbol, row in known.items()}
    chosen = forecasts.editions_for(connection, list(known), ForecastQuery(snapshot.now))
    if not chosen:
        return lines
    steps, records, actions = (defaultdict[str, list[Row[Any]]](list) for _ in range(3))
    for row in watchlist.served_steps(connection, chosen):
        steps[row.symbol].append(row)
    for row in watchlist.served_records(connection, list(chosen)):
        records[row.scope].append(row)
    oldest = min(edition.as_of for edition in chosen.values())
    for row in forecasts.later_actions(connection, list(chosen), oldest):
        actions[row.symbol].append(row)
    for symbol, edition in chosen.items():
        lines[symbol] = replace(lines[symbol], as_of=edition.as_of)
        if steps[symbol]:
            later = [action for action in actions[symbol] if action.ex_date > edition.as_of]
            stored = ForecastRows(
                known[symbol], edition, steps[symbol], {}, {}, later, records[symbol], {}, _UNKNOWN,
                snapshot.now, snapshot.now,
            )  # fmt: skip
            lines[symbol] = _forecast_line(lines[symbol], stored)
    return lines


def _forecast_line(plain: Line, stored: ForecastRows) -> Line:
    rows = stored.forecasts
    records = stored.record_of(watchlist.STRATEGY, watchlist.SERVED)
    skill = skill_over(records, stored.edition.mode, len(rows))
    coverage = coverage_over(records, len(rows))
    return replace(
        plain,
        last_close=rows[0].last_close,
        served_by=rows[0].forecaster,
        steps=tuple(_step(stored, row) for row in rows),
        skill=skill.value,
        skill_n=skill.n,
        coverage=next((each.measured for each in coverage.levels if each.level == _LEVEL), None),
        coverage_n=coverage.n,
    )


def _step(stored: ForecastRows, row: Row[Any]) -> StepLine:
    point = stored.price(row, row.q50)
    lower, upper = stored.price(row, row.q10), stored.price(row, row.q90)
    return StepLine(row.step, row.target_session, point, lower, upper, point / row.last_close - 1)


def _answer(step: StepLine) -> WatchlistStep:
    return WatchlistStep(
        step=step.step,
        label=LABELS[step.step - 1],
        target_session=step.target_session,
        point=step.point,
        lower_80=step.lower_80,
        upper_80=step.upper_80,
        change=step.change,
    )
