"""Follows a run request of a command: this process carries it out, or the active scheduler does."""

import sys
import time
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from service.api.common.rows import RunRow, columns_of, read_rows
from service.db.tables import runs
from service.errors import TplusError
from service.run_requests.store import NewRequest, RunRequest, read_request, write_request
from service.runtime.context import ServiceContext
from service.scheduler.leader import leader
from service.scheduler.loop import Scheduler
from service.vocabulary import RequestState, RunState

FOLLOW_LIMIT = timedelta(hours=2)
"""How long a command waits for the active scheduler."""

ENDED = (RunState.DONE, RunState.FAILED, RunState.SUPERSEDED, RunState.WAITING)
"""States of a run in which a command waits no longer."""

_POLL_SECONDS = 0.2


def read_run_rows(context: ServiceContext, ids: Sequence[int]) -> list[RunRow]:
    """Return runs by their ids, oldest first."""
    query = select(*columns_of(runs, RunRow)).where(runs.c.id.in_(list(ids))).order_by(runs.c.id)
    with context.database.reading() as connection:
        return read_rows(connection, RunRow, query)


def send_request(context: ServiceContext, new: NewRequest, active: str | None) -> int:
    """Write a request and return its id; says on standard error which scheduler gets it."""
    with context.database.transaction() as connection:
        request_id = write_request(connection, new, context.machine.now(connection))
    if active is not None:
        sys.stderr.write(f"request sent to the active scheduler ({active})\n")
    return request_id


def ended_runs(context: ServiceContext, request_id: int) -> list[int] | None:
    """Return the ids of a request's runs once all have ended, None before.

    Raises:
        TplusError: the request was rejected, or failed without a run.
    """
    with context.database.reading() as connection:
        request = read_request(connection, request_id)
    if request is None:
        raise TplusError(f"run request {request_id} is not in the database any more; run the command again")
    _raise_rejected(request)
    if request.state == RequestState.PENDING:
        return None
    if all(row.state in ENDED for row in read_run_rows(context, request.run_ids)):
        return request.run_ids
    return None


def follow(context: ServiceContext, new: NewRequest, jobs: Sequence[str]) -> list[int]:
    """Have a request carried out and return the ids of its runs once they have ended.

    This process executes it if no scheduler is active, or if the active one ends meanwhile.

    Args:
        context: The service's parts.
        new: The request.
        jobs: Jobs that this process executes for it.

    Raises:
        TplusError: the request was rejected or has failed, or it takes longer than `FOLLOW_LIMIT`.
    """
    with context.database.reading() as connection:
        active = leader(connection, context.machine.now(connection))
    shared = not context.database.is_sqlite
    request_id = send_request(context, new, None if shared else active)
    deadline = time.monotonic() + FOLLOW_LIMIT.total_seconds()
    while time.monotonic() < deadline:
        with context.database.reading() as connection:
            active = leader(connection, context.machine.now(connection))
        if shared or active is None:
            Scheduler(context, jobs).drain()
        found = ended_runs(context, request_id)
        if found is not None:
            return found
        time.sleep(_POLL_SECONDS)
    raise TplusError(f"run request {request_id} was not done within {FOLLOW_LIMIT}; see `tplus health` and the log")


def _raise_rejected(request: RunRequest) -> None:
    if request.state == RequestState.REJECTED or (request.state == RequestState.FAILED and not request.run_ids):
        raise TplusError(request.error or f"run request {request.id} was {request.state}")
