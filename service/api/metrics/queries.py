"""Queries of the metrics: a fixed number per scrape, and none per symbol."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Float, case, cast, exists, func, select

from service.api.common.queries import read_timing
from service.api.status.queries import read_calendar_editions
from service.db.tables import alert_deliveries, editions, instruments, runs, scores, sessions, track_records
from service.settings import Settings
from service.vocabulary import (
    SERVED,
    DeliveryState,
    ForecastOutcome,
    Job,
    RunState,
    ScoreState,
    SessionState,
    SymbolState,
)

DURATION_BUCKETS = (1, 5, 15, 60, 300, 900, 1800, 3600)
"""Upper bounds of run durations in seconds, each inclusive."""

ENDED_STATES = (RunState.DONE, RunState.FAILED)
COUNTED_OUTCOMES = (ForecastOutcome.FORECAST, ForecastOutcome.MISSED, ForecastOutcome.REFUSED)


@dataclass(frozen=True, slots=True)
class RunGroup:
    """The runs of one job in one state.

    Attributes:
        job: Their job.
        state: Their state.
        runs: Their number.
        takeovers: Takeovers of them, over all time.
        fenced: Discarded results.
        faults: Retries after machine faults.
        newest_end: Newest machine time at which one ended, None if none has.
        seconds: Sum of the durations of those that ended.
        within: Number of those that ended within each of `DURATION_BUCKETS`.
    """

    job: str
    state: str
    runs: int
    takeovers: int
    fenced: int
    faults: int
    newest_end: datetime | None
    seconds: float
    ended: int
    within: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DataFreshness:
    """How new the bars of a calendar are.

    Attributes:
        calendar: The calendar.
        age: Market time since its newest bar was final; None without bars, or if their session is not stored.
        sessions_behind: Final sessions after that bar; they should have one.
    """

    calendar: str
    age: timedelta | None
    sessions_behind: int


@dataclass(frozen=True, slots=True)
class ForecastFreshness:
    """How new the forecasts of a calendar are: market time since they were issued, and whether they are stale."""

    calendar: str
    age: timedelta
    is_stale: bool


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """The track record of a group's published forecasts."""

    group: str
    strategy: str
    step: int
    mode: str
    n: int
    skill: float | None
    coverage_50: float
    coverage_80: float
    coverage_95: float


def read_run_groups(connection: Connection) -> list[RunGroup]:
    """Return all runs by job and state, in one pass over the table."""
    seconds = _seconds_between(connection, runs.c.started_at, runs.c.finished_at)
    plain = (runs.c.job, runs.c.state, runs.c.takeovers, runs.c.fenced, runs.c.faults, runs.c.finished_at)
    # Materialized, because SQLite would else compute the seconds again for each bucket: three times as slow.
    measured = (
        select(*plain, case((runs.c.state.in_(ENDED_STATES), seconds)).label("seconds"))
        .cte("measured")
        .prefix_with("MATERIALIZED")
    ).c
    query = select(
        measured.job,
        measured.state,
        func.count().label("runs"),
        func.sum(measured.takeovers).label("takeovers"),
        func.sum(measured.fenced).label("fenced"),
        func.sum(measured.faults).label("faults"),
        func.max(measured.finished_at).label("newest_end"),
        func.coalesce(func.sum(measured.seconds), 0.0).label("seconds"),
        func.count(measured.seconds).label("ended"),  # null while it runs, and if it never started
        *(func.sum(case((measured.seconds <= bound, 1), else_=0)) for bound in DURATION_BUCKETS),
    ).group_by(measured.job, measured.state)
    return [
        RunGroup(row[0], row[1], row[2], int(row[3]), int(row[4]), int(row[5]), row[6], float(row[7]), int(row[8]),
                 tuple(int(count) for count in row[9:]))
        for row in connection.execute(query.order_by(measured.job, measured.state))
    ]  # fmt: skip


def _seconds_between(
    connection: Connection, first: ColumnElement[datetime], last: ColumnElement[datetime]
) -> ColumnElement[float]:
    if connection.dialect.name == "sqlite":
        return (func.julianday(last) - func.julianday(first)) * 86400.0
    return cast(func.extract("epoch", last - first), Float)


def read_forecast_outcomes(connection: Connection) -> dict[str, int]:
    """Return the number of symbols by outcome over all ended forecast runs, from the counts that the runs keep.

    The counts of a run that waits or is tried again can still fall, which a total must not.
    """
    sums = [func.sum(runs.c.counts[outcome.value].as_integer()) for outcome in COUNTED_OUTCOMES]
    ended = (runs.c.job == Job.FORECAST, runs.c.state.in_((*ENDED_STATES, RunState.SUPERSEDED)))
    row = connection.execute(select(*sums).where(*ended)).one()
    return {outcome: int(total or 0) for outcome, total in zip(COUNTED_OUTCOMES, row, strict=True)}


def read_void_count(connection: Connection) -> int:
    """Return the number of forecasts whose newest score is void."""
    later = scores.alias("later")
    replaced = exists().where(later.c.forecast_id == scores.c.forecast_id, later.c.revision > scores.c.revision)
    query = select(func.count()).select_from(scores).where(scores.c.state == ScoreState.VOID, ~replaced)
    return int(connection.execute(query).scalar_one())


def read_symbol_counts(connection: Connection) -> dict[str, int]:
    """Return the number of symbols on the watchlist by state."""
    query = select(instruments.c.state, func.count()).where(instruments.c.active).group_by(instruments.c.state)
    return dict.fromkeys(SymbolState, 0) | {state: count for state, count in connection.execute(query)}


def read_data_freshness(connection: Connection, settings: Settings, now: datetime) -> list[DataFreshness]:
    """Return the freshness of the bars of each calendar in use, by calendar."""
    newest = (
        select(instruments.c.calendar, func.max(instruments.c.last_session).label("last"))
        .where(instruments.c.active | instruments.c.reference)
        .group_by(instruments.c.calendar)
        .order_by(instruments.c.calendar)
    )
    found = []
    for calendar, last in connection.execute(newest).all():
        settle = settings.settle(calendar)
        own = (sessions.c.calendar == calendar, sessions.c.state != SessionState.CLOSED)
        final = select(func.count()).where(*own, sessions.c.close_at <= now - settle)
        close_at = None
        if last is not None:
            final = final.where(sessions.c.session > last)
            close_at = connection.execute(
                select(sessions.c.close_at).where(sessions.c.calendar == calendar, sessions.c.session == last)
            ).scalar_one_or_none()
        age = None if close_at is None else now - close_at - settle
        found.append(DataFreshness(calendar, age, int(connection.execute(final).scalar_one())))
    return found


def read_forecast_freshness(connection: Connection, settings: Settings, now: datetime) -> list[ForecastFreshness]:
    """Return the freshness of the newest on-time edition of each calendar on the watchlist, by calendar."""
    found = []
    for edition in read_calendar_editions(connection):
        stale_after = read_timing(connection, settings, edition.calendar, edition.as_of).stale_after
        is_stale = stale_after is not None and now > stale_after
        found.append(ForecastFreshness(edition.calendar, now - edition.issued_at, is_stale))
    return found


def read_edition_count(connection: Connection) -> int:
    """Return the number of the newest edition, which is their count; 0 without any."""
    return int(connection.execute(select(func.coalesce(func.max(editions.c.number), 0))).scalar_one())


def read_group_records(connection: Connection) -> list[GroupRecord]:
    """Return the track records of the groups' published forecasts."""
    table = track_records.c
    columns = (
        table.scope, table.strategy, table.step, table.mode, table.n, table.skill, table.coverage_50,
        table.coverage_80, table.coverage_95,
    )  # fmt: skip
    query = select(*columns).where(table.scope_kind == "group", table.forecaster == SERVED)
    ordered = query.order_by(table.scope, table.strategy, table.step, table.mode)
    return [GroupRecord(*row) for row in connection.execute(ordered)]


def read_delivery_counts(connection: Connection) -> dict[str, int]:
    """Return the number of alert deliveries by state."""
    query = select(alert_deliveries.c.state, func.count()).group_by(alert_deliveries.c.state)
    return dict.fromkeys(DeliveryState, 0) | {state: count for state, count in connection.execute(query)}
