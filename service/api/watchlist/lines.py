"""Reads one short line per symbol of the watchlist; a page returns some of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice

from service.api.common.dependencies import Snapshot
from service.api.common.rows import ActionRow, InstrumentRow, TrackRecordRow
from service.api.common.schemas import Mode
from service.api.forecasts import queries as forecasts
from service.api.forecasts.forecast_prices import ForecastPrices
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.schemas import LABELS
from service.api.forecasts.track_record import build_coverage, build_skill
from service.api.watchlist import queries as watchlist
from service.api.watchlist.queries import ServedStepRow
from service.api.watchlist.schemas import WatchlistCoverage, WatchlistItem, WatchlistSkill, WatchlistStep

CHUNK = 500
"""Symbols read at a time: databases limit the number of parameters of a statement."""

_LEVEL = 80


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

    row: InstrumentRow
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
        return self.row.symbol

    @property
    def position(self) -> int | None:
        """Its place in the order in which the symbols were added; None if it was added by an earlier version."""
        return self.row.position

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

    def item(
        self,
        stale_after: datetime | None,
        now: datetime,
        missed: tuple[date, str] | None,
        closes: Sequence[float],
    ) -> WatchlistItem:
        """Return the answer.

        Args:
            stale_after: Aware UTC instant after which (exclusive) its forecast is stale; None = never.
            now: Aware UTC market time.
            missed: A session without its forecast, and why.
            closes: Its last closes, oldest first.
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
            closes=list(closes),
            missed=f"no forecast as of {missed[0]}: {missed[1]}" if missed is not None and late else None,
        )


def read_lines(snapshot: Snapshot, rows: Sequence[InstrumentRow]) -> dict[str, Line]:
    """Return the lines of instruments, by symbol."""
    lines: dict[str, Line] = {}
    left = iter(rows)
    while part := list(islice(left, CHUNK)):
        lines |= _read_chunk(snapshot, {row.symbol: row for row in part})
    return lines


def build_line(row: InstrumentRow) -> Line:
    """Return the line of an instrument without a forecast."""
    return Line(row, f"{row.symbol}\n{row.name or ''}".casefold())


def _read_chunk(snapshot: Snapshot, instruments: Mapping[str, InstrumentRow]) -> dict[str, Line]:
    connection, lines = snapshot.connection, {symbol: build_line(row) for symbol, row in instruments.items()}
    editions = forecasts.read_editions(connection, list(instruments), ForecastQuery(snapshot.now))
    if not editions:
        return lines
    steps: defaultdict[str, list[ServedStepRow]] = defaultdict(list)
    records: defaultdict[str, list[TrackRecordRow]] = defaultdict(list)
    actions: defaultdict[str, list[ActionRow]] = defaultdict(list)
    for row in watchlist.read_served_steps(connection, editions):
        steps[row.symbol].append(row)
    for record in watchlist.read_served_records(connection, list(editions)):
        if record.mode == editions[record.scope].mode:
            records[record.scope].append(record)
    oldest = min(edition.as_of for edition in editions.values())
    for action in forecasts.read_later_actions(connection, list(editions), oldest):
        actions[action.symbol].append(action)
    for symbol, edition in editions.items():
        line = lines[symbol] = replace(lines[symbol], as_of=edition.as_of)
        if steps[symbol]:
            later = [action for action in actions[symbol] if action.ex_date > edition.as_of]
            prices = ForecastPrices(steps[symbol][0].basis, line.row.basis, later, snapshot.now)
            line = _with_record(line, records[symbol], edition.mode, len(steps[symbol]))
            lines[symbol] = _with_forecast(line, steps[symbol], prices)
    return lines


def _with_record(line: Line, records: Sequence[TrackRecordRow], mode: Mode, steps: int) -> Line:
    skill, coverage = build_skill(records, mode, steps), build_coverage(records, steps)
    return replace(
        line,
        skill=skill.value,
        skill_n=skill.n,
        coverage=next((level.measured for level in coverage.levels if level.level == _LEVEL), None),
        coverage_n=coverage.n,
    )


def _with_forecast(line: Line, rows: Sequence[ServedStepRow], prices: ForecastPrices) -> Line:
    return replace(
        line,
        last_close=rows[0].last_close,
        served_by=rows[0].forecaster,
        steps=tuple(_step(prices, row) for row in rows),
    )


def _step(prices: ForecastPrices, row: ServedStepRow) -> StepLine:
    lower, point, upper = (
        prices.price(row.last_close, row.target_session, quantile) for quantile in (row.q10, row.q50, row.q90)
    )
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
