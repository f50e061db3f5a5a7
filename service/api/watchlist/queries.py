"""Queries of the short watchlist."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, func, select

from service.api.common.rows import EditionRow, InstrumentRow, TrackRecordRow, any_of, columns_of, read_rows
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


def _served_steps() -> Select[Any]:
    item, row = served_forecasts.c, forecasts.c
    same = and_(
        row.symbol == item.symbol,
        row.edition == item.edition,
        row.strategy == item.strategy,
        row.model_version_id == item.model_version_id,
    )
    columns = (row.symbol, row.edition, row.step, row.target_session, row.basis, row.last_close, row.q10, row.q50)
    return (
        select(*columns, row.q90, model_versions.c.forecaster)
        .select_from(served_forecasts.join(forecasts, same))
        .join(model_versions, model_versions.c.id == item.model_version_id)
        .where(
            item.symbol.in_(any_of("symbols")),
            item.edition.in_(any_of("editions")),
            item.strategy == STRATEGY,
            row.as_of.in_(any_of("sessions")),
        )
        .order_by(row.symbol, row.step)
    )


def _missed_forecasts() -> Select[Any]:
    newest = (
        select(runs.c.scope, func.max(runs.c.session).label("session"))
        .where(runs.c.job == Job.FORECAST, runs.c.scope.in_(any_of("calendars")), runs.c.state.in_(_PROCESSED))
        .group_by(runs.c.scope)
        .subquery()
    )
    return (
        select(run_outcomes.c.symbol, runs.c.session, run_outcomes.c.reason)
        .join(runs, runs.c.id == run_outcomes.c.run_id)
        .join(newest, and_(newest.c.scope == runs.c.scope, newest.c.session == runs.c.session))
        .where(runs.c.job == Job.FORECAST, run_outcomes.c.state == "missed")
        .order_by(runs.c.id)
    )


# Built once: building a statement takes longer than sending it.
_ACTIVE = select(*columns_of(instruments, InstrumentRow)).where(instruments.c.active)
_SYMBOL_COUNTERS = select(change_counters.c.scope, change_counters.c.counter).where(change_counters.c.scope != ALL)
_SERVED_STEPS = _served_steps()
_SERVED_RECORDS = select(*columns_of(track_records, TrackRecordRow)).where(
    track_records.c.scope_kind == "symbol",
    track_records.c.scope.in_(any_of("symbols")),
    track_records.c.strategy == STRATEGY,
    track_records.c.forecaster == SERVED,
)
_CLOSES = (
    select(bars.c.symbol, bars.c.close)
    .where(
        bars.c.symbol.in_(any_of("symbols")),
        bars.c.session > bindparam("after"),
        bars.c.session <= bindparam("until"),
    )
    .order_by(bars.c.symbol, bars.c.session)
)
_MISSED = _missed_forecasts()


def read_active_instruments(connection: Connection) -> list[InstrumentRow]:
    """Return the instruments of the watchlist, sorted by code point."""
    return sorted(read_rows(connection, InstrumentRow, _ACTIVE), key=lambda row: row.symbol)


def read_symbol_counters(connection: Connection) -> dict[str, int]:
    """Return the change counter of each symbol that has one."""
    return {scope: counter for scope, counter in connection.execute(_SYMBOL_COUNTERS).all()}


def read_served_steps(connection: Connection, edition_of: Mapping[str, EditionRow]) -> list[ServedStepRow]:
    """Return the served multi-step forecasts of editions, by symbol and step.

    Args:
        connection: Open for reading.
        edition_of: Symbol -> its edition.
    """
    values = {
        "symbols": list(edition_of),
        "editions": list({edition.number for edition in edition_of.values()}),
        "sessions": list({edition.as_of for edition in edition_of.values()}),
    }
    rows = read_rows(connection, ServedStepRow, _SERVED_STEPS, values)
    return [step for step in rows if edition_of[step.symbol].number == step.edition]


def read_served_records(connection: Connection, symbols: Sequence[str]) -> list[TrackRecordRow]:
    """Return the track records of the published multi-step forecasts, of every mode."""
    return read_rows(connection, TrackRecordRow, _SERVED_RECORDS, {"symbols": symbols})


def read_last_closes(connection: Connection, symbols: Iterable[InstrumentRow]) -> dict[str, list[float]]:
    """Return the last closes of symbols, oldest first; symbols without bars are left out."""
    by_newest: defaultdict[date, list[str]] = defaultdict(list)
    for row in symbols:
        if row.last_session is not None:
            by_newest[row.last_session].append(row.symbol)
    if not by_newest:
        return {}
    closes: defaultdict[str, list[float]] = defaultdict(list)
    for newest, names in by_newest.items():  # few symbols end on another session than most
        values = {"symbols": names, "after": newest - CLOSES_SPAN, "until": newest}
        for symbol, close in connection.execute(_CLOSES, values):
            closes[symbol].append(close)
    return {symbol: values[-CLOSES:] for symbol, values in closes.items()}


def read_missed_forecasts(connection: Connection, calendars: Iterable[str]) -> dict[str, tuple[date, str]]:
    """Return symbols without a forecast of the newest session that a forecast run processed: the session, and why."""
    rows = connection.execute(_MISSED, {"calendars": sorted(set(calendars))})
    return {symbol: (session, reason or "its time had passed") for symbol, session, reason in rows}
