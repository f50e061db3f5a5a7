"""Stored answers of requests with an idempotency key, so that a repeated request gets the same bytes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, null, select, update

from service.db.tables import run_requests
from service.run_requests.store import OPEN_STATES, NewRequest

KEPT = timedelta(hours=24)
"""How long an answer is kept, from the request on."""

REQUESTS_KEPT = timedelta(days=90)
"""How long an ended request is kept; the audit keeps its entries."""

_LOCK = 0x7470_6C75_74
"""Number of PostgreSQL's advisory lock of writers of requests."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer to a request.

    Attributes:
        location: Path of the request's document.
        body: Text of the body.
    """

    location: str
    body: str


def lock_requests(connection: Connection) -> None:
    """Let one transaction at a time count and write requests, so that limits and keys hold exactly."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """An earlier request with the same idempotency key.

    Attributes:
        body_hash: Hash of its kind and body.
        answer: Its answer.
    """

    body_hash: str
    answer: StoredAnswer


def find_answer(connection: Connection, new: NewRequest, now: datetime) -> EarlierRequest | None:
    """Return the earlier request of a key whose answer is kept at a machine-time instant; None without one."""
    if new.idempotency_key is None or new.key_id is None:
        return None
    query = select(run_requests.c.body_hash, run_requests.c.answer, run_requests.c.expires_at).where(
        run_requests.c.key_id == new.key_id, run_requests.c.idempotency_key == new.idempotency_key
    )
    row = connection.execute(query).one_or_none()
    if row is None or row.answer is None or row.expires_at <= now:
        return None
    return EarlierRequest(row.body_hash, StoredAnswer(row.answer["location"], row.answer["body"]))


def forget_answer(connection: Connection, new: NewRequest) -> None:
    """Free an idempotency key whose answer has expired."""
    own = (run_requests.c.key_id == new.key_id, run_requests.c.idempotency_key == new.idempotency_key)
    values = {"idempotency_key": None, "answer": null(), "expires_at": None}
    connection.execute(update(run_requests).where(*own).values(values))


def store_answer(connection: Connection, request_id: int, answer: StoredAnswer, now: datetime) -> None:
    """Keep the answer of a request for 24 hours from a machine-time instant."""
    values = {"answer": {"location": answer.location, "body": answer.body}, "expires_at": now + KEPT}
    connection.execute(update(run_requests).where(run_requests.c.id == request_id).values(values))


def remove_expired(connection: Connection, now: datetime) -> int:
    """Remove expired answers and requests that ended long ago; returns the number of removed requests.

    Args:
        connection: An open write transaction.
        now: Aware UTC machine time.
    """
    values = {"idempotency_key": None, "answer": null(), "expires_at": None}
    connection.execute(update(run_requests).where(run_requests.c.expires_at <= now).values(values))
    old = run_requests.c.finished_at <= now - REQUESTS_KEPT
    statement = delete(run_requests).where(old, run_requests.c.state.not_in(OPEN_STATES))
    return connection.execute(statement).rowcount
