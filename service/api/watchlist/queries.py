"""Queries of the short watchlist, and its cache key."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from service.api.common.queries import read_change_counter
from service.api.common.rows import EditionRow, InstrumentRow, TrackRecordRow, columns_of, read_rows
from service.api.common.schemas import Strategy
from service.db.change_counters import ALL
from service.db.tables import (
    bars,
    change_counters,
    forecasts,
    instruments,
    model_versions,
    run_outcomes,
    runs,
    served_forecasts,
    stamp,
    track_records,
)
from service.vocabulary import SERVED, Job, RunState

STRATEGY: Strategy = "multi_step"
CLOSES = 30
"""Most closes of a line: about six weeks."""

CLOSES_SPAN = timedelta(days=50)
"""Days that hold so many sessions of every calendar."""

_PROCESSED = (RunState.DONE, RunState.WAITING)
"""States of a forecast run that has processed its symbols at least once."""


class StateGroup(NamedTuple):
    """The instruments of one state, on or off the watchlist: their number, and the newest change."""

    state: str
    active: bool
    symbols: int
    newest_since: datetime


class ServedStepRow(NamedTuple):
    """A row of `forecasts` that was served, with its forecaster; quantiles as log returns."""

    symbol: str
    edition: int
    step: int
    target_session: date
    basis: int
    last_close: float
    q10: float
    q50: float
    q90: float
    forecaster: str


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Values that differ whenever the watchlist may have changed.

    Attributes:
        counter: The change counter.
        states: The instruments by state, on and off the watchlist.
        forecast_run_at: Machine time at which the last forecast run ended; None before the first.
        created_at: Machine time at which the database was set up: it may be replaced.
    """

    counter: int
    states: tuple[StateGroup, ...]
    forecast_run_at: datetime | None
    created_at: datetime | None


def read_cache_key(connection: Connection) -> CacheKey:
    """Return the current key: four short queries, for any number of symbols."""
    table = instruments.c
    # A symbol's state may change without the counter: a first pull that fails does not raise it.
    query = select(table.state, table.active, func.count(), func.max(table.state_since))
    query = query.group_by(table.state, table.active).order_by(table.state, table.active)
    ended = select(func.max(runs.c.finished_at)).where(runs.c.job == Job.FORECAST)
    return CacheKey(
        read_change_counter(connection),
        tuple(read_rows(connection, StateGroup, query)),
        connection.execute(ended).scalar_one_or_none(),
        connection.execute(select(stamp.c.created_at)).scalar_one_or_none(),
    )


def read_active_instruments(connection: Connection) -> list[InstrumentRow]:
    """Return the instruments of the watchlist, sorted by code point."""
    query = select(*columns_of(instruments, InstrumentRow)).where(instruments.c.active)
    return sorted(read_rows(connection, InstrumentRow, query), key=lambda row: row.symbol)


def read_symbol_counters(connection: Connection) -> dict[str, int]:
    """Return the change counter of each symbol that has one."""
    query = select(change_counters.c.scope, change_counters.c.counter).where(change_counters.c.scope != ALL)
    return {scope: counter for scope, counter in connection.execute(query).all()}


def read_served_steps(connection: Connection, edition_of: Mapping[str, EditionRow]) -> list[ServedStepRow]:
    """Return the served multi-step forecasts of editions, by symbol and step.

    Args:
        connection: Open for reading.
        edition_of: Symbol -> its edition.
    """
    item, row = served_forecasts.c, forecasts.c
    same = and_(
        row.symbol == item.symbol,
        row.edition == item.edition,
        row.strategy == item.strategy,
        row.model_version_id == item.model_version_id,
    )
    columns = (row.symbol, row.edition, row.step, row.target_session, row.basis, row.last_close, row.q10, row.q50)
    query = (
        select(*columns, row.q90, model_versions.c.forecaster)
        .select_from(served_forecasts.join(forecasts, same))
        .join(model_versions, model_versions.c.id == item.model_version_id)
        .where(
            item.symbol.in_(list(edition_of)),
            item.edition.in_({edition.number for edition in edition_of.values()}),
            item.strategy == STRATEGY,
            row.as_of.in_({edition.as_of for edition in edition_of.values()}),
        )
        .order_by(row.symbol, row.step)
    )
    rows = read_rows(connection, ServedStepRow, query)
    return [step for step in rows if edition_of[step.symbol].number == step.edition]


def read_served_records(connection: Connection, symbols: Sequence[str]) -> list[TrackRecordRow]:
    """Return the track records of the published multi-step forecasts, of every mode."""
    table = track_records.c
    query = select(*columns_of(track_records, TrackRecordRow)).where(
        table.scope_kind == "symbol", table.scope.in_(symbols), table.strategy == STRATEGY, table.forecaster == SERVED
    )
    return read_rows(connection, TrackRecordRow, query)


def read_last_closes(connection: Connection, symbols: Iterable[InstrumentRow]) -> dict[str, list[float]]:
    """Return the last closes of symbols, oldest first; symbols without bars are left out."""
    by_newest: defaultdict[date, list[str]] = defaultdict(list)
    for row in symbols:
        if row.last_session is not None:
            by_newest[row.last_session].append(row.symbol)
    if not by_newest:
        return {}
    # Few symbols end on another session than most, so there are few alternatives.
    recent = or_(
        *(
            and_(bars.c.symbol.in_(names), bars.c.session > newest - CLOSES_SPAN, bars.c.session <= newest)
            for newest, names in by_newest.items()
        )
    )
    query = select(bars.c.symbol, bars.c.close).where(recent).order_by(bars.c.symbol, bars.c.session)
    closes: defaultdict[str, list[float]] = defaultdict(list)
    for symbol, close in connection.execute(query):
        closes[symbol].append(close)
    return {symbol: values[-CLOSES:] for symbol, values in closes.items()}


def read_missed_forecasts(connection: Connection, calendars: Iterable[str]) -> dict[str, tuple[date, str]]:
    """Return symbols without a forecast of the newest session that a forecast run processed: the session, and why."""
    newest = (
        select(runs.c.scope, func.max(runs.c.session).label("session"))
        .where(runs.c.job == Job.FORECAST, runs.c.scope.in_(sorted(set(calendars))), runs.c.state.in_(_PROCESSED))
        .group_by(runs.c.scope)
        .subquery()
    )
    query = (
        select(run_outcomes.c.symbol, runs.c.session, run_outcomes.c.reason)
        .join(runs, runs.c.id == run_outcomes.c.run_id)
        .join(newest, and_(newest.c.scope == runs.c.scope, newest.c.session == runs.c.session))
        .where(runs.c.job == Job.FORECAST, run_outcomes.c.state == "missed")
        .order_by(runs.c.id)
    )
    return {symbol: (session, reason or "its time had passed") for symbol, session, reason in connection.execute(query)}
