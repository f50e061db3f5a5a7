"""The score job: scores every forecast whose target session has closed; a corrected bar adds a revision.

A forecast over a bar that is held back is recorded as pending, with the reason, until the bar is settled.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping, Select, and_, func, literal_column, select

from models.phases import Phase
from service.db.change_counters import lock_changes, raise_changes
from service.db.tables import (
    bars,
    corporate_actions,
    editions,
    forecasts,
    instruments,
    quarantine,
    runs,
    scores,
    served_forecasts,
    sessions,
)
from service.db.tables.forecasts import QUANTILE_NAMES
from service.forecasts.calibration.learn import learn_from_scores
from service.forecasts.scoring.changed_actions import forecasts_across, forecasts_of_changed_actions
from service.forecasts.scoring.outcomes import VOID_AFTER, CalendarView, Closes, PendingForecast, decide_outcomes
from service.forecasts.scoring.score_batches import ScoreBatch, publish_scores
from service.forecasts.scoring.track_records import update_track_records
from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.prices.repository import read_held
from service.runs import Outcome, Run, finish, guard, outcome_counts, record_outcomes
from service.runtime.context import ServiceContext
from service.runtime.progress import ScoreSummary
from service.vocabulary import Job, Mode, QuarantineState, RunState, ScoreState, SessionState

REVISIT = timedelta(days=45)
"""How far back scored and void forecasts are checked again for corrected or late bars."""

READ, DECIDE, WRITE = "read forecasts", "score", "write scores"
TRACK_RECORDS, CALIBRATION = "track records", "calibration"
"""Phases of a score run."""

_AT_ONCE = 1_000
"""Forecasts by number in one query: a database limits its parameters."""


_FORECAST = ("id", "symbol", "as_of", "target_session", "edition", "step", "model_version_id")
"""Columns of a forecast that a score needs."""


def score(context: ServiceContext, run: Run) -> None:
    """Score a calendar's forecasts whose target sessions are final."""
    with Phase(READ) as reading, context.database.reading() as connection:
        newest = context.calendars.newest_final(run.scope, context.market.now(connection))
        newest = run.session if newest is None else newest
        pending = _pending(connection, run, newest)
        closes = _closes(connection, pending)
        view = _view(context, connection, run.scope, pending, newest)
        reading.rows = len(pending)
    with Phase(DECIDE, rows=len(pending)):
        rows = decide_outcomes(pending, closes, view)
    by_id = {forecast.id: forecast for forecast in pending}
    with context.database.transaction() as connection:
        guard(connection, run)
        lock_changes(connection)
        batch = ScoreBatch(run.scope, context.market.now(connection), context.machine.now(connection), run.id)
        with Phase(WRITE, rows=len(rows)):
            outcomes = _write(connection, batch, rows, by_id)
        if rows:
            scored = [by_id[row["forecast_id"]] for row in rows]
            symbols = sorted({forecast.symbol for forecast in scored})
            with Phase(TRACK_RECORDS, rows=len(symbols)):
                update_track_records(connection, symbols, context.mode)
                if _is_back_filled(connection, run.scope, min(forecast.as_of for forecast in scored)):
                    update_track_records(connection, symbols, Mode.BACKFILL)
        with Phase(CALIBRATION) as calibration:
            calibration.rows = learn_from_scores(connection, run.scope, newest, context.mode)
        record_outcomes(connection, run, outcomes)
        counts = {**outcome_counts(outcomes), "forecasts": len(rows)}
        finish(connection, run, context.machine.now(connection), counts=counts)
    if rows:
        context.reporter.scores(_summary(run.scope, newest, rows, by_id))


def score_edition(context: ServiceContext, connection: Connection, calendar: str, number: int) -> None:
    """Score the final forecasts of an edition that the same transaction has just published.

    The score job covers recent sessions alone: a backfill of older ones is scored as it is published.

    Args:
        context: The service's parts.
        connection: An open write transaction.
        calendar: The edition's calendar.
        number: The edition.
    """
    now = context.market.now(connection)
    newest = context.calendars.newest_final(calendar, now)
    if newest is None:
        return
    query = select(*(forecasts.c[name] for name in (*_FORECAST, *QUANTILE_NAMES))).where(forecasts.c.edition == number)
    final = connection.execute(query.where(forecasts.c.target_session <= newest).order_by(forecasts.c.id)).mappings()
    pending = [_pending_forecast(row) for row in final]
    if not pending:
        return
    last = max(forecast.target_session for forecast in pending)
    # Only as far as a bar may still arrive: a backfill of years would read years for each session.
    until = min(newest, context.calendars.targets(calendar, last, VOID_AFTER)[-1])
    rows = decide_outcomes(
        pending, _closes(connection, pending, last), _view(context, connection, calendar, pending, until)
    )
    batch = ScoreBatch(calendar, now, context.machine.now(connection), None)
    _write(connection, batch, rows, {forecast.id: forecast for forecast in pending})


def _is_back_filled(connection: Connection, calendar: str, since: date) -> bool:
    """Whether any session from a date on (inclusive) has a backfill."""
    mine = (editions.c.calendar == calendar, editions.c.as_of >= since, editions.c.mode == Mode.BACKFILL)
    return connection.execute(select(editions.c.number).where(*mine).limit(1)).first() is not None


def _pending(connection: Connection, run: Run, newest: date) -> list[PendingForecast]:
    # One subquery per forecast: a grouping of all scores would read the whole table, which grows with the ledger.
    revised = scores.alias("revised")
    newest_score = select(func.max(revised.c.revision)).where(revised.c.forecast_id == forecasts.c.id).scalar_subquery()
    served = and_(
        served_forecasts.c.edition == forecasts.c.edition,
        served_forecasts.c.symbol == forecasts.c.symbol,
        served_forecasts.c.strategy == forecasts.c.strategy,
        served_forecasts.c.model_version_id == forecasts.c.model_version_id,
    )
    latest = and_(scores.c.forecast_id == forecasts.c.id, scores.c.revision == newest_score)
    query = (
        select(
            *(forecasts.c[name] for name in (*_FORECAST, *QUANTILE_NAMES)),
            func.coalesce(scores.c.revision, 0).label("score_revision"),
            scores.c.state.label("score_state"),
            scores.c.actual,
            served_forecasts.c.edition.is_not(None).label("served"),
        )
        .join(instruments, and_(instruments.c.symbol == forecasts.c.symbol, instruments.c.calendar == run.scope))
        .outerjoin(scores, latest)
        .outerjoin(served_forecasts, served)
        .where(forecasts.c.target_session <= newest)
    )
    since = _revisit_from(connection, run)
    if since is None:
        parts = [query]
    else:
        # A query each: an OR of them would read every forecast of the ledger.
        old = query.where(forecasts.c.target_session < since)
        changed = forecasts_of_changed_actions(connection, run.scope, since)
        changed |= forecasts_across(connection, _settled_breaks(connection, run.scope, since), since)
        numbers = sorted(changed)
        parts = [
            query.where(forecasts.c.target_session >= since),
            old.where(scores.c.state == ScoreState.VOID, forecasts.c.id.in_(_void_with_bars())),
            *(old.where(forecasts.c.id.in_(numbers[at : at + _AT_ONCE])) for at in range(0, len(numbers), _AT_ONCE)),
        ]
    found = {row["id"]: _pending_forecast(row) for part in parts for row in connection.execute(part).mappings()}
    return [found[number] for number in sorted(found)]


def _pending_forecast(row: RowMapping) -> PendingForecast:
    """A forecast with its newest score; without one where the query has none."""
    return PendingForecast(
        **{name: row[name] for name in _FORECAST},
        quantiles=tuple(row[name] for name in QUANTILE_NAMES),
        score_revision=row.get("score_revision", 0),
        score_state=row.get("score_state"),
        actual=row.get("actual"),
        served=row.get("served", False),
    )


def _void_with_bars() -> Select[tuple[int]]:
    """Forecasts that were void and whose target has a bar now, however old: a late bar turns void into scored."""
    target = and_(bars.c.symbol == forecasts.c.symbol, bars.c.session == forecasts.c.target_session)
    void = scores.alias("void_scores")
    # A literal, not a parameter: SQLite uses the partial index for literals alone.
    return (
        select(void.c.forecast_id)
        .join(forecasts, forecasts.c.id == void.c.forecast_id)
        .join(bars, target)
        .where(void.c.state == literal_column("'void'"))
        .correlate(None)
    )


def _settled_breaks(connection: Connection, calendar: str, since: date) -> list[tuple[str, date]]:
    """Return symbols and sessions of held-back bars, however old, that were settled since a date."""
    settled = (QuarantineState.CONFIRMED, QuarantineState.CLEARED, QuarantineState.REJECTED)
    lately = quarantine.c.last_seen_at >= datetime.combine(since, time(), UTC)
    query = (
        select(quarantine.c.symbol, quarantine.c.session)
        .join(instruments, instruments.c.symbol == quarantine.c.symbol)
        .where(instruments.c.calendar == calendar, quarantine.c.state.in_(settled), lately)
        .where(quarantine.c.session < since)
    )
    return [(symbol, session) for symbol, session in connection.execute(query.distinct())]


def _revisit_from(connection: Connection, run: Run) -> date | None:
    """Oldest target session to check: everything older had its outcome when the last score run ended."""
    query = select(func.max(runs.c.session)).where(
        runs.c.job == Job.SCORE, runs.c.scope == run.scope, runs.c.state == RunState.DONE
    )
    last: date | None = connection.execute(query).scalar_one_or_none()
    return None if last is None else last - REVISIT


def _closes(connection: Connection, pending: list[PendingForecast], last: date = date.max) -> dict[str, Closes]:
    """Return the closes of the forecasts' symbols, each from the as_of of its oldest forecast on."""
    firsts: dict[str, date] = {}
    for forecast in pending:
        firsts[forecast.symbol] = min(forecast.as_of, firsts.get(forecast.symbol, forecast.as_of))
    symbols_from: dict[date, list[str]] = defaultdict(list)
    for symbol, first in sorted(firsts.items()):
        symbols_from[first].append(symbol)
    # One old forecast of one symbol must not read years of bars of all the others.
    return {
        symbol: closes
        for first, symbols in symbols_from.items()
        for symbol, closes in _closes_from(connection, symbols, first, last).items()
    }


def _closes_from(connection: Connection, symbols: list[str], first: date, last: date) -> dict[str, Closes]:
    query = (
        select(bars.c.symbol, bars.c.session, bars.c.close, bars.c.revision)
        .where(bars.c.symbol.in_(symbols), bars.c.session.between(first, last))
        .order_by(bars.c.symbol, bars.c.session)
    )
    rows: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        rows[row.symbol].append(row)
    found: dict[str, list[Action]] = defaultdict(list)
    revisions: dict[str, list[int]] = defaultdict(list)
    actions = select(corporate_actions).where(
        corporate_actions.c.symbol.in_(symbols),
        corporate_actions.c.ex_date > first,
        corporate_actions.c.ex_date <= last,
    )
    for row in connection.execute(actions.order_by(corporate_actions.c.ex_date)):
        found[row.symbol].append(Action(row.ex_date, ActionKind(row.kind), row.value))
        revisions[row.symbol].append(row.revision)
    held = read_held(connection, symbols, QuarantineState.OPEN)
    rejected = read_held(connection, symbols, QuarantineState.REJECTED)
    return {
        symbol: Closes(
            np.array([row.session for row in each], dtype="datetime64[D]"),
            np.array([row.close for row in each], dtype=float),
            np.array([row.revision for row in each], dtype=np.int64),
            tuple(found[symbol]),
            tuple(revisions[symbol]),
            held.get(symbol, ()),
            rejected.get(symbol, ()),
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
        sessions.c.calendar == calendar, sessions.c.state == SessionState.CLOSED, sessions.c.session >= targets[0]
    )
    closed = frozenset(connection.execute(query).scalars())
    open_grid = np.array([day for day in grid if day not in closed], dtype="datetime64[D]")
    later = len(open_grid) - np.searchsorted(open_grid, np.array(targets, dtype="datetime64[D]"), side="right")
    return CalendarView({day: int(count) for day, count in zip(targets, later, strict=True)}, closed)


def _write(
    connection: Connection, batch: ScoreBatch, rows: list[dict[str, Any]], by_id: dict[int, PendingForecast]
) -> list[Outcome]:
    if not rows:
        return []
    publish_scores(connection, batch, rows, by_id)
    states: dict[str, str] = {}
    reasons: dict[str, str | None] = {}
    for row in rows:
        symbol = by_id[row["forecast_id"]].symbol
        if states.get(symbol) != ScoreState.SCORED:  # scored before void or pending
            states[symbol], reasons[symbol] = row["state"], row["reason"]
    raise_changes(connection, sorted(states))
    return [Outcome(symbol, state, reasons[symbol]) for symbol, state in sorted(states.items())]


def _summary(
    calendar: str, newest: date, rows: list[dict[str, Any]], by_id: dict[int, PendingForecast]
) -> ScoreSummary:
    served = [row for row in rows if row["state"] == ScoreState.SCORED and by_id[row["forecast_id"]].served]
    inside = sum(row["inside_80"] for row in served)
    return ScoreSummary(calendar, newest, len(served), inside, sum(row["state"] == ScoreState.VOID for row in rows))
