"""Writes, reads and ends run requests; the API and the commands write them, the scheduler carries them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.audit import COMMAND_LINE, Author
from service.db.hash_chain import json_hash
from service.db.tables import run_requests
from service.vocabulary import RequestKind, RequestState

OPEN_STATES: tuple[str, ...] = (RequestState.PENDING, RequestState.ACCEPTED)
"""States of a request that may still change."""


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request to write.

    Attributes:
        kind: What it changes.
        body: Its parameters, plain JSON.
        author: Who makes it.
        key_id: The author's key; None for the command line.
        idempotency_key: The client's key for this request; None without one.
    """

    kind: RequestKind
    body: Mapping[str, Any]
    author: Author = field(default_factory=Author)
    key_id: int | None = None
    idempotency_key: str | None = None

    @property
    def body_hash(self) -> str:
        """SHA-256 of the canonical JSON of kind and body."""
        return json_hash({"kind": self.kind, "body": dict(self.body)})


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A stored request.

    Attributes:
        id: Its id.
        kind: What it changes.
        body: Its parameters.
        state: Its state.
        created_at: Machine time.
        result: `runs`, the ids of its runs, and `note`, a sentence; empty before it is carried out.
        error: Why it was rejected, failed, or is tried again; None without a reason.
        attempt: Failed tries to carry it out.
        author: Who made it.
    """

    id: int
    kind: RequestKind
    body: Mapping[str, Any]
    state: RequestState
    created_at: datetime
    result: Mapping[str, Any]
    error: str | None
    attempt: int
    author: Author

    @property
    def run_ids(self) -> list[int]:
        """Ids of its runs."""
        return list(self.result.get("runs", ()))


def write_request(connection: Connection, new: NewRequest, now: datetime) -> int:
    """Write a request and return its id.

    Args:
        connection: An open write transaction.
        new: The request.
        now: Aware UTC machine time.
    """
    values = {
        "kind": new.kind,
        "body": dict(new.body),
        "body_hash": new.body_hash,
        "key_id": new.key_id,
        "idempotency_key": new.idempotency_key,
        "state": RequestState.PENDING,
        "created_at": now,
        "actor": new.author.name,
        "request_id": new.author.request_id,
        "attempt": 0,
    }
    key = connection.execute(insert(run_requests).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def read_request(connection: Connection, request_id: int) -> RunRequest | None:
    """Return a request, None if there is none of that id."""
    row = connection.execute(select(run_requests).where(run_requests.c.id == request_id)).one_or_none()
    return None if row is None else _request(row)


def lock_request(connection: Connection, request_id: int, state: RequestState) -> RunRequest | None:
    """Lock a request of a state until the transaction ends.

    Args:
        connection: An open write transaction.
        request_id: The request.
        state: The state it must have.

    Returns:
        None if another scheduler has it, or if its state has changed.
    """
    query = select(run_requests).where(run_requests.c.id == request_id, run_requests.c.state == state)
    row = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
    return None if row is None else _request(row)


def pending_requests(connection: Connection, now: datetime, limit: int) -> list[RunRequest]:
    """Return requests to carry out at a machine-time instant, oldest first."""
    not_before = run_requests.c.not_before
    query = select(run_requests).where(
        run_requests.c.state == RequestState.PENDING, not_before.is_(None) | (not_before <= now)
    )
    return [_request(row) for row in connection.execute(query.order_by(run_requests.c.id).limit(limit))]


def accepted_requests(connection: Connection) -> list[RunRequest]:
    """Return the requests that wait for their runs, oldest first."""
    query = select(run_requests).where(run_requests.c.state == RequestState.ACCEPTED)
    return [_request(row) for row in connection.execute(query.order_by(run_requests.c.id))]


def accept(connection: Connection, request_id: int, runs: Sequence[int], note: str | None = None) -> None:
    """Record that a request was carried out and waits for its runs."""
    values = {"state": RequestState.ACCEPTED, "result": _result(runs, note), "error": None}
    connection.execute(update(run_requests).where(run_requests.c.id == request_id).values(values))


@dataclass(frozen=True, slots=True)
class RequestEnd:
    """End of a request.

    Attributes:
        state: `done`, `failed` or `rejected`.
        reason: Why it was rejected or failed; None for a done one.
        runs: Ids of its runs.
        note: A sentence about a done one, or None.
    """

    state: RequestState
    reason: str | None = None
    runs: Sequence[int] = ()
    note: str | None = None


def end_request(connection: Connection, request_id: int, end: RequestEnd, now: datetime) -> None:
    """End a request at a machine-time instant."""
    values = {
        "state": end.state,
        "error": end.reason,
        "result": _result(end.runs, end.note),
        "finished_at": now,
        "not_before": None,
    }
    connection.execute(update(run_requests).where(run_requests.c.id == request_id).values(values))


def try_again(connection: Connection, request: RunRequest, reason: str, not_before: datetime) -> None:
    """Let a request be carried out again, not before a machine-time instant."""
    values = {"error": reason, "attempt": request.attempt + 1, "not_before": not_before}
    connection.execute(update(run_requests).where(run_requests.c.id == request.id).values(values))


def _result(runs: Sequence[int], note: str | None) -> dict[str, Any]:
    return {"runs": list(runs), **({} if note is None else {"note": note})}


def _request(row: Any) -> RunRequest:
    return RunRequest(
        row.id,
        RequestKind(row.kind),
        row.body,
        RequestState(row.state),
        row.created_at,
        row.result or {},
        row.error,
        row.attempt,
        Author(row.actor or COMMAND_LINE, row.request_id),
    )
