"""Ends accepted requests once their runs have ended, or once a new symbol was pulled."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, select

from service.db.tables import instruments, run_outcomes, runs
from service.run_requests.store import RequestEnd, RunRequest, accept, accepted_requests, end_request
from service.runs import Outcome
from service.vocabulary import Job, RequestKind, RequestState, RunState, SymbolState

ENDED = (RunState.DONE, RunState.FAILED, RunState.SUPERSEDED)
"""States in which a run does not change again."""

_NOT_PULLED = (SymbolState.UNKNOWN, SymbolState.FAILING, SymbolState.SUSPECT)


def follow_requests(connection: Connection, now: datetime) -> None:
    """End the accepted requests that are done or have failed.

    Args:
        connection: An open write transaction.
        now: Aware UTC machine time.
    """
    for request in accepted_requests(connection):
        is_symbol = request.kind == RequestKind.ADD_SYMBOL
        end = _of_symbol(connection, request) if is_symbol else _of_runs(connection, request.run_ids)
        if end is not None:
            note = request.result.get("note")
            end_request(connection, request.id, RequestEnd(end.state, end.reason, end.runs, note), now)


def _of_runs(connection: Connection, ids: Sequence[int]) -> RequestEnd | None:
    """Return the end of a request by its runs, None while one has not ended."""
    rows = connection.execute(select(runs).where(runs.c.id.in_(ids)).order_by(runs.c.id)).all()
    if any(row.state not in ENDED for row in rows):
        return None
    failed = [
        f"{row.job} {row.scope} {row.session} failed: {row.error}" for row in rows if row.state == RunState.FAILED
    ]
    return RequestEnd(RequestState.FAILED if failed else RequestState.DONE, "; ".join(failed) or None, ids)


def _of_symbol(connection: Connection, request: RunRequest) -> RequestEnd | None:
    """Return the end of the addition of a symbol: with its first pull and the forecast run after it."""
    symbol = str(request.body["symbol"])
    row = connection.execute(select(instruments).where(instruments.c.symbol == symbol)).one_or_none()
    if row is None or not row.active:
        return RequestEnd(RequestState.FAILED, f"{symbol} was removed from the watchlist before its first pull")
    if row.state == SymbolState.NEW:
        return None
    pulled = _newest_pull(connection, symbol)
    own = () if pulled is None else _runs_of_instant(connection, pulled)
    ids = [each.id for each in own]
    if row.state in _NOT_PULLED:
        return RequestEnd(RequestState.FAILED, Outcome(symbol, row.state, row.state_reason).message, ids)
    if any(each.state in (RunState.DUE, RunState.RUNNING) for each in own):
        if ids != request.run_ids:
            accept(connection, request.id, ids, request.result.get("note"))
        return None
    return RequestEnd(RequestState.DONE, None, ids)


def _newest_pull(connection: Connection, symbol: str) -> Any:
    """Return the newest pull run with an outcome of a symbol, None without one."""
    query = (
        select(runs.c.scope, runs.c.scheduled_for, runs.c.sequence)
        .join(run_outcomes, and_(run_outcomes.c.run_id == runs.c.id, run_outcomes.c.symbol == symbol))
        .where(runs.c.job == Job.PULL)
        .order_by(runs.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def _runs_of_instant(connection: Connection, pulled: Any) -> Sequence[Any]:
    query = select(runs.c.id, runs.c.state).where(
        runs.c.job.in_((Job.PULL, Job.FORECAST)),
        runs.c.scope == pulled.scope,
        runs.c.scheduled_for == pulled.scheduled_for,
        runs.c.sequence == pulled.sequence,
    )
    return connection.execute(query.order_by(runs.c.id)).all()
