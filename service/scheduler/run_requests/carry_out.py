"""Carries out pending requests, each in one transaction; one that fails never stops the others.

A request is first checked with no transaction open, because a check may read from the price source. Then one
transaction locks it, writes what it requests and ends it: a scheduler that is killed half way leaves it pending.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from models.errors import ArtifactError
from service.audit import AuditEntry, record
from service.db.change_counters import lock_changes
from service.db.fault_reason import unexpected_reason
from service.db.session import FAULTS
from service.errors import DatabaseError, TplusError
from service.execution.executor import disk_message
from service.prices.sources.base import RateLimited, Transient
from service.run_requests.store import (
    RequestEnd,
    RunRequest,
    accept,
    end_request,
    lock_request,
    pending_requests,
    try_again,
)
from service.runtime.context import ServiceContext
from service.scheduler.run_requests.carried import Action
from service.scheduler.run_requests.jobs import check_run
from service.scheduler.run_requests.models import check_pin, check_promotion, check_rollback, check_unpin
from service.scheduler.run_requests.symbols import check_new_symbol, check_removal
from service.vocabulary import RequestKind, RequestState

MOST_AT_ONCE = 20
"""Most requests between two looks at due runs: the check of a symbol may take seconds."""

Check = Callable[[ServiceContext, RunRequest], Action]

CHECKS: Mapping[RequestKind, Check] = {
    RequestKind.RUN: check_run,
    RequestKind.ADD_SYMBOL: check_new_symbol,
    RequestKind.REMOVE_SYMBOL: check_removal,
    RequestKind.PROMOTE: check_promotion,
    RequestKind.ROLL_BACK: check_rollback,
    RequestKind.PIN: check_pin,
    RequestKind.UNPIN: check_unpin,
}

_log = structlog.get_logger(__name__)


def has_pending(context: ServiceContext, connection: Connection) -> bool:
    """Return whether a request can be carried out now."""
    return bool(pending_requests(connection, context.machine.now(connection), 1))


def carry_out_requests(context: ServiceContext, stopping: Callable[[], bool]) -> None:
    """Carry out the oldest pending requests, at most `MOST_AT_ONCE`.

    Args:
        context: The service's parts.
        stopping: Whether the process stops; the other requests stay pending then.
    """
    with context.database.reading() as connection:
        pending = pending_requests(connection, context.machine.now(connection), MOST_AT_ONCE)
    if any(request.kind == RequestKind.ADD_SYMBOL for request in pending):
        context.source.begin_run()
    for request in pending:
        if stopping():
            return
        carry_out(context, request)


def carry_out(context: ServiceContext, request: RunRequest) -> None:
    """Carry out one request; an error becomes its reason.

    Raises:
        OperationalError, InternalError, DatabaseError: the database cannot be used; the request stays pending.
    """
    try:
        _write(context, request, CHECKS[request.kind](context, request))
    except (*FAULTS, DatabaseError):
        raise
    except (RateLimited, Transient) as error:
        _postpone(context, request, str(error))
    except OSError as error:
        _postpone(context, request, disk_message(error))
    except (TplusError, ArtifactError) as error:
        _end(context, request, RequestEnd(RequestState.REJECTED, str(error)))
    except Exception as error:  # a defect must not stop the other requests; the log has the trace
        _log.exception("request failed unexpectedly", request=request.id, kind=request.kind)
        _end(context, request, RequestEnd(RequestState.FAILED, unexpected_reason(error)))


def _write(context: ServiceContext, request: RunRequest, action: Action) -> None:
    with context.database.transaction() as connection:
        lock_changes(connection)
        if lock_request(connection, request.id, RequestState.PENDING) is None:
            return  # another scheduler has carried it out
        carried = action(connection)
        now = context.machine.now(connection)
        if carried.waits:
            accept(connection, request.id, carried.runs, carried.note)
        else:
            end = RequestEnd(RequestState.DONE, runs=carried.runs, note=carried.note)
            end_request(connection, request.id, end, now)
        if not carried.is_recorded:
            detail = {"run_request": request.id, "runs": list(carried.runs), **carried.detail}
            action_name = "runs.plan" if request.kind == RequestKind.RUN else str(request.kind)
            author = request.author
            record(connection, AuditEntry(action_name, carried.subject, detail, author.name, author.request_id), now)


def _postpone(context: ServiceContext, request: RunRequest, reason: str) -> None:
    """Try a request again later, or fail it after the last attempt: the source does not answer now."""
    settings = context.settings
    if request.attempt + 1 >= settings.max_attempts:
        _end(context, request, RequestEnd(RequestState.FAILED, reason))
        return
    pause = timedelta(seconds=settings.retry_seconds * 2**request.attempt)
    with context.database.transaction() as connection:
        if lock_request(connection, request.id, RequestState.PENDING) is not None:
            try_again(connection, request, reason, context.machine.now(connection) + pause)


def _end(context: ServiceContext, request: RunRequest, end: RequestEnd) -> None:
    """End a request that changes nothing, with its reason in the audit."""
    with context.database.transaction() as connection:
        if lock_request(connection, request.id, RequestState.PENDING) is None:
            return
        now = context.machine.now(connection)
        end_request(connection, request.id, end, now)
        detail = {"kind": request.kind, "state": end.state, "reason": end.reason}
        author = request.author
        entry = AuditEntry("run_requests.end", str(request.id), detail, author.name, author.request_id)
        record(connection, entry, now)
    context.reporter.notice(f"run request {request.id} ({request.kind}) {end.state}: {end.reason}")
