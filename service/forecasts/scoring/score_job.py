"""The score job: every forecast whose session has closed gets one outcome; corrections add a revision."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, and_, func, insert, literal_column, or_, select

from service.db.change_counters import raise_changes
from service.db.tables import (
    bars,
    corporate_actions,
    editions,
    forecasts,
    instruments,
    runs,
    scores,
    served_forecasts,
    sessions,
)
from service.db.tables.forecasts import QUANTILE_NAMES
from service.forecasts.calibration.learn import learn_from_scores
from service.forecasts.publication import BACKFILL
from service.forecasts.scoring.outcomes import VOID_AFTER, CalendarView, Closes, PendingForecast, decide_outcomes
from service.forecasts.scoring.track_records import update_accuracy
from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.runs import Outcome, Run, finish, guard, outcome_counts, record_outcomes
from service.runtime.context import ServiceContext
from service.runtime.progress import ScoreSummary

REVISIT = timedelta(days=45)
"""How far back scored and void forecasts are looked at again for corrected or late bars."""


def score(context: ServiceContext, run: Run) -> None:
    """Score a calendar's forecasts as far as their sessions are final by now."""
    with context.database.reading() as connection:
        newest = context.calendars.newest_final(run.scope, context.market.now(connection))
        newest = run.session if newest is None else newest
        pending = _pending(connection, run, newest)
        closes = _closes(connection, pending)
        rows = decide_outcomes(pending, closes, _view(context, connection, run.scope, pending, newest))
    by_id = {forecast.id: forecast for forecast in pending}
    with context.database.transaction() as connection:
        guard(connection, run)
        now, machine_now = context.market.now(connection), context.machine.now(connection)
        outcomes = _write(connection, rows, by_id, (now, machine_now))
        if rows:
            told = [by_id[row["forecast_id"]] for row in rows]
            symbols = sorted({forecast.symbol for forecast in told})
            update_accuracy(connection, symbols, context.mode)
            if _is_back_filled(connection, run.scope, min(forecast.as_of for forecast in told)):
                update_accuracy(connection, symbols, BACKFILL)
        learn_from_scores(connection, run.scope, newest, context.mode)
        record_outcomes(connection, run, outcomes)
        counts = {**outcome_counts(outcomes), "forecasts": len(rows)}
        finish(connection, run, context.machine.now(connection), counts=counts)
    if rows:
        context.reporter.scores(_summary(run.scope, newest, rows, by_id))


def score_edition(context: ServiceContext, connection: Connection, calendar: str, number: int) -> None:
    """Score what is final already of an edition that the same transaction has just published.

    The score job looks at recent sessions alone: a back-fill of older ones has its outcomes with the publish.

    Args:
        context: The service's parts.
        connection: An open write transaction.
        calendar: The edition's calendar.
        number: The edition.
    """
    now, machine_now = context.market.now(connection), context.machine.now(connection)
    newest = context.calendars.newest_final(calendar, now)
    if newest is None:
        return
    columns = (forecasts.c.id, forecasts.c.symbol, forecasts.c.as_of, forecasts.c.target_session)
    query = select(*columns, *(forecasts.c[name] for name in QUANTILE_NAMES)).where(forecasts.c.edition == number)
    final = connection.execute(query.where(forecasts.c.target_session <= newest).order_by(forecasts.c.id)).all()
    pending = [
        PendingForecast(row.id, row.symbol, row.as_of, row.target_session, tuple(row[4:]), 0, None, None, served=False)
        for row in final
    ]
    if not pending:
        return
    last = max(forecast.target_session for forecast in pending)
    # As far as it matters whether a bar may still come: a back-fill of years would read years for each session.
    until = min(newest, context.calendars.targets(calendar, last, VOID_AFTER)[-1])
    rows = decide_outcomes(
        pending, _closes(connection, pending, last), _view(context, connection, calendar, pending, until)
    )
    _write(connection, rows, {forecast.id: forecast for forecast in pending}, (now, machine_now))


def _is_back_filled(connection: Connection, calendar: str, since: date) -> bool:
    """Whether any session from a date on (inclusive) has a back-fill."""
    mine = (editions.c.calendar == calendar, editions.c.as_of >= since, editions.c.mode == BACKFILL)
    return connection.execute(select(editions.c.number).where(*mine).limit(1)).first() is not None


def _pending(connection: Connection, run: Run, newest: date) -> list[PendingForecast]:
    # Asked of each forecast alone: a grouping of all scores would be read whole, and grows with the ledger.
    told = scores.alias("told")
    newest_score = select(func.max(told.c.revision)).where(told.c.forecast_id == forecasts.c.id).scalar_subquery()
    served = and_(
        served_forecasts.c.edition == forecasts.c.edition,
        served_forecasts.c.symbol == forecasts.c.symbol,
        served_forecasts.c.strategy == forecasts.c.strategy,
        served_forecasts.c.model_version_id == forecasts.c.model_version_id,
    )
    latest = and_(scores.c.forecast_id == forecasts.c.id, scores.c.revision == newest_score)
    query = (
        select(
            forecasts.c.id,
            forecasts.c.symbol,
            forecasts.c.as_of,
            forecasts.c.target_session,
            *(forecasts.c[name] for name in QUANTILE_NAMES),
            func.coalesce(scores.c.revision, 0),
            scores.c.state,
            scores.c.actual,
            served_forecasts.c.edition.is_not(None),
        )
        .join(instruments, and_(instruments.c.symbol == forecasts.c.symbol, instruments.c.calendar == run.scope))
        .outerjoin(scores, latest)
        .outerjoin(served_forecasts, served)
        .where(forecasts.c.target_session <= newest)
    )
    since = _revisit_from(connection, run)
    if since is not None:
        healed = and_(scores.c.state == "void", forecasts.c.id.in_(_void_with_bars()))
        query = query.where(or_(forecasts.c.target_session >= since, healed))
    rows = connection.execute(query.order_by(forecasts.c.id)).all()
    width = 4 + len(QUANTILE_NAMES)
    return [PendingForecast(*row[:4], tuple(row[4:width]), *row[width:]) for row in rows]


def _void_with_bars() -> Select[tuple[int]]:
    """Forecasts that were void once and whose target has a bar now, however old: a late bar turns void into scored."""
    target = and_(bars.c.symbol == forecasts.c.symbol, bars.c.session == forecasts.c.target_session)
    void = scores.alias("void_scores")
    # A literal, not a parameter: SQLite takes the partial index for no other.
    return (
        select(void.c.forecast_id)
        .join(forecasts, forecasts.c.id == void.c.forecast_id)
        .join(bars, target)
        .where(void.c.state == literal_column("'void'"))
        .correlate(None)
    )


def _revisit_from(connection: Connection, run: Run) -> date | None:
    """Oldest target session worth a look: everything older had its outcome when the last score run ended."""
    query = select(func.max(runs.c.session)).where(
        runs.c.job == "score", runs.c.scope == run.scope, runs.c.state == "done"
    )
    last: date | None = connection.execute(query).scalar_one_or_none()
    return None if last is None else last - REVISIT


def _closes(connection: Connection, pending: list[PendingForecast], last: date = date.max) -> dict[str, Closes]:
    if not pending:
        return {}
    symbols = sorted({forecast.symbol for forecast in pending})
    first = min(forecast.as_of for forecast in pending)
    query = (
        select(bars.c.symbol, bars.c.session, bars.c.close, bars.c.revision)
        .where(bars.c.symbol.in_(symbols), bars.c.session.between(first, last))
        .order_by(bars.c.symbol, bars.c.session)
    )
    rows: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        rows[row.symbol].append(row)
    found: dict[str, list[Action]] = defaultdict(list)
    wanted = select(corporate_actions).where(
        corporate_actions.c.symbol.in_(symbols),
        corporate_actions.c.ex_date > first,
        corporate_actions.c.ex_date <= last,
    )
    for row in connection.execute(wanted.order_by(corporate_actions.c.ex_date)):
        found[row.symbol].append(Action(row.ex_date, ActionKind(row.kind), row.value))
    return {
        symbol: Closes(
            np.array([row.session for row in each], dtype="datetime64[D]"),
            np.array([row.close for row in each], dtype=float),
            np.array([row.revision for row in each], dtype=np.int64),
            tuple(found[symbol]),
        )
        for symbol, each in rows.items()
    }


def _view(
    context: ServiceContext, connection: Connection, calendar: str, pending: list[PendingForecast], newest: date
) -> CalendarView:
    targets = sorted({forecast.target_session for forecast in pending})
    if not targets:
        return CalendarView({}, frozenset())
    grid = context.calendars.get(calendar).sessions(targets[0], newest)
    query = select(sessions.c.session).where(
        sessions.c.calendar == calendar, sessions.c.state == "closed", sessions.c.session >= targets[0]
    )
    closed = frozenset(connection.execute(query).scalars())
    open_grid = np.array([day for day in grid if day not in closed], dtype="datetime64[D]")
    later = len(open_grid) - np.searchsorted(open_grid, np.array(targets, dtype="datetime64[D]"), side="right")
    return CalendarView({day: int(count) for day, count in zip(targets, later, strict=True)}, closed)


def _write(
    connection: Connection,
    rows: list[dict[str, Any]],
    by_id: dict[int, PendingForecast],
    times: tuple[datetime, datetime],
) -> list[Outcome]:
    if not rows:
        return []
    stamped = [{**row, "scored_at": times[0], "recorded_at": times[1]} for row in rows]
    connection.execute(insert(scores), stamped)
    states: dict[str, str] = {}
    reasons: dict[str, str | None] = {}
    for row in rows:
        symbol = by_id[row["forecast_id"]].symbol
        if states.get(symbol) != "scored":
            states[symbol], reasons[symbol] = row["state"], row["reason"]
    raise_changes(connection, sorted(states))
    return [Outcome(symbol, state, reasons[symbol]) for symbol, state in sorted(states.items())]


def _summary(
    calendar: str, newest: date, rows: list[dict[str, Any]], by_id: dict[int, PendingForecast]
) -> ScoreSummary:
    served = [row for row in rows if row["state"] == "scored" and by_id[row["forecast_id"]].served]
    inside = sum(row["inside_80"] for row in served)
    return ScoreSummary(calendar, newest, len(served), inside, sum(row["state"] == "void" for row in rows))
