"""Reads run requests, and what limits new ones."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, or_, select

from service.api.common.rows import columns_of, read_row
from service.db.tables import instruments, run_requests
from service.errors import NotFound
from service.run_requests.store import OPEN_STATES
from service.vocabulary import Job, RequestKind


class RunRequestRow(NamedTuple):
    """A row of `run_requests`."""

    id: int
    kind: str
    body: dict[str, Any]
    state: str
    error: str | None
    result: dict[str, Any] | None
    actor: str
    created_at: datetime
    finished_at: datetime | None


def read_run_request(connection: Connection, request_id: int) -> RunRequestRow:
    """Return one request.

    Raises:
        NotFound: the id does not exist.
    """
    query = select(*columns_of(run_requests, RunRequestRow)).where(run_requests.c.id == request_id)
    row = read_row(connection, RunRequestRow, query)
    if row is None:
        raise NotFound(f"there is no run request {request_id}; see /v1/run-requests")
    return row


def count_open(connection: Connection) -> int:
    """Return the number of requests that are not done."""
    query = select(func.count()).where(run_requests.c.state.in_(OPEN_STATES), run_requests.c.key_id.is_not(None))
    return int(connection.execute(query).scalar_one())


def read_pull_times(connection: Connection, since: datetime) -> list[datetime]:
    """Return when pulls were requested over HTTP after an instant, oldest first; a new symbol is one."""
    job = run_requests.c.body["job"].as_string()
    query = select(run_requests.c.created_at).where(
        run_requests.c.created_at > since,
        run_requests.c.key_id.is_not(None),
        or_(
            run_requests.c.kind == RequestKind.ADD_SYMBOL, (run_requests.c.kind == RequestKind.RUN) & (job == Job.PULL)
        ),
    )
    return list(connection.execute(query.order_by(run_requests.c.created_at)).scalars())


def read_scopes(connection: Connection, job: str) -> list[str]:
    """Return the scopes that a job may be requested for, sorted: calendars in use, or groups for `train`."""
    column = instruments.c.group if job == Job.TRAIN else instruments.c.calendar
    query = select(column).where(instruments.c.active).distinct()
    if job == Job.PULL:
        query = select(column).where(instruments.c.active | instruments.c.reference).distinct()
    return sorted(connection.execute(query).scalars())


def count_watched(connection: Connection, symbol: str) -> tuple[int, bool]:
    """Return the symbols that are watched or will be, without one symbol; and whether that one is watched."""
    watched = set(connection.execute(select(instruments.c.symbol).where(instruments.c.active)).scalars())
    query = select(run_requests.c.body).where(
        run_requests.c.state.in_(OPEN_STATES), run_requests.c.kind == RequestKind.ADD_SYMBOL
    )
    coming = {str(body["symbol"]) for body in connection.execute(query).scalars()}
    return len((watched | coming) - {symbol}), symbol in watched
