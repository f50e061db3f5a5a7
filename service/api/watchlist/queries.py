"""Queries of the short watchlist, and its cache key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from service.api.common.queries import change_counter
from service.db.change_counters import ALL
from service.db.tables import (
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

STRATEGY = "multi_step"
SERVED = "served"
_LOOKED = ("done", "waiting")
"""States of a forecast run that has processed its symbols at least once."""


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Values that differ whenever the watchlist may have changed.

    Attributes:
        counter: The change counter.
        states: Per state of the instruments, on and off the watchlist: their number, and the newest change.
        looked_at: Machine time at which the last forecast run ended; None before the first.
        made_at: Machine time at which the database was set up: it may be replaced.
    """

    counter: int
    states: tuple[tuple[Any, ...], ...]
    looked_at: datetime | None
    made_at: datetime | None


def cache_key(connection: Connection) -> CacheKey:
    """Return the current key: four short queries, for any number of symbols."""
    table = instruments.c
    # A symbol's state may change without the counter: a first pull that fails does not raise it.
    query = select(table.state, table.active, func.count(), func.max(table.state_since))
    states = connection.execute(query.group_by(table.state, table.active).order_by(table.state, table.active))
    ended = select(func.max(runs.c.finished_at)).where(runs.c.job == "forecast")
    return CacheKey(
        change_counter(connection),
        tuple(tuple(row) for row in states),
        connection.execute(ended).scalar_one_or_none(),
        connection.execute(select(stamp.c.created_at)).scalar_one_or_none(),
    )


def active_instruments(connection: Connection) -> list[Row[Any]]:
    """Return the instruments of the watchlist, sorted by code point."""
    rows: list[Row[Any]] = list(connection.execute(select(instruments).where(instruments.c.active)).all())
    return sorted(rows, key=lambda row: str(row.symbol))


def symbol_counters(connection: Connection) -> dict[str, int]:
    """The change counter of each symbol that has one."""
    query = select(change_counters.c.scope, change_counters.c.counter).where(change_counters.c.scope != ALL)
    return {scope: counter for scope, counter in connection.execute(query).all()}


def served_steps(connection: Connection, chosen: Mapping[str, Row[Any]]) -> list[Row[Any]]:
    """The served multi-step forecasts of the chosen editions, by symbol and step.

    Args:
        connection: Open for reading.
        chosen: Symbol -> the edition that answers for it.
    """
    item, row = served_forecasts.c, forecasts.c
    same = and_(
        row.symbol == item.symbol,
        row.edition == item.edition,
        row.strategy == item.strategy,
        row.model_version_id == item.model_version_id,
    )
    columns = (row.symbol, row.edition, row.strategy, row.model_version_id, row.step, row.target_session, row.basis)
    query = (
        select(*columns, row.last_close, row.q10, row.q50, row.q90, model_versions.c.forecaster)
        .select_from(served_forecasts.join(forecasts, same))
        .join(model_versions, model_versions.c.id == item.model_version_id)
        .where(
            item.symbol.in_(list(chosen)),
            item.edition.in_({edition.number for edition in chosen.values()}),
            item.strategy == STRATEGY,
            row.as_of.in_({edition.as_of for edition in chosen.values()}),
        )
        .order_by(row.symbol, row.step)
    )
    rows: list[Row[Any]] = list(connection.execute(query))
    return [found for found in rows if chosen[found.symbol].number == found.edition]


def served_records(connection: Connection, symbols: Sequence[str]) -> list[Row[Any]]:
    """Track records of what was served under the multi-step strategy, of every origin."""
    table = track_records.c
    query = select(track_records).where(
        table.scope_kind == "symbol", table.scope.in_(symbols), table.strategy == STRATEGY, table.forecaster == SERVED
    )
    return list(connection.execute(query).all())


def missed(connection: Connection, calendars: Iterable[str]) -> dict[str, tuple[date, str]]:
    """Symbols whose forecast was missed in the newest session that a forecast run looked at: the session, and why."""
    newest = (
        select(runs.c.scope, func.max(runs.c.session).label("session"))
        .where(runs.c.job == "forecast", runs.c.scope.in_(sorted(set(calendars))), runs.c.state.in_(_LOOKED))
        .group_by(runs.c.scope)
        .subquery()
    )
    query = (
        select(run_outcomes.c.symbol, runs.c.session, run_outcomes.c.reason)
        .join(runs, runs.c.id == run_outcomes.c.run_id)
        .join(newest, and_(newest.c.scope == runs.c.scope, newest.c.session == runs.c.session))
        .where(runs.c.job == "forecast", run_outcomes.c.state == "missed")
        .order_by(runs.c.id)
    )
    return {symbol: (session, reason or "its time had passed") for symbol, session, reason in connection.execute(query)}
