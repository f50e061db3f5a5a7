"""Sessions of the page: a cookie for a key, because a browser's event stream sends no headers."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Label, RowMapping, delete, insert, or_, select, update

from service.access.keys import ApiKey, key_of, token_hash
from service.db.tables import api_keys, page_sessions

LIFETIME = timedelta(hours=12)
"""How long a session is accepted without a renewal."""

RENEWED_AFTER = LIFETIME / 2
"""Age from which a session is renewed."""

OVERLAP = timedelta(minutes=1)
"""How long a renewed session is still accepted: requests with the old cookie are under way."""

LONGEST = timedelta(days=7)
"""How long after the sign-in renewals end."""

MOST_SESSIONS = 50
"""Most open sessions of one key; a further sign-in ends the oldest."""

_KEPT = timedelta(days=1)
_SECRET_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageSession:
    """A stored session.

    Attributes:
        id: Its id.
        key: The key it was made for; its scopes are the session's.
        signed_in_at: Machine time of the sign-in, kept by renewals.
        created_at: Machine time.
        expires_at: Machine time from which it is refused.
        ended_at: Machine time from which it is refused because of a sign-out or a renewal; None = it is open.
    """

    id: int
    key: ApiKey
    signed_in_at: datetime
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Return whether it is accepted at a machine-time instant."""
        is_ended = self.ended_at is not None and self.ended_at <= now
        return now < self.expires_at and not is_ended and self.key.is_valid(now)

    def is_renewable(self, now: datetime) -> bool:
        """Return whether it is old enough for a renewal, and would last longer by it."""
        is_old = now >= self.created_at + RENEWED_AFTER
        return is_old and _end(self.key, self.signed_in_at, now) > self.expires_at


def is_session_token(text: str) -> bool:
    """Return whether a text has the form of a session's token; any other needs no look at the database."""
    return _TOKEN.fullmatch(text) is not None


def open_session(connection: Connection, key: ApiKey, now: datetime) -> tuple[PageSession, str]:
    """Store a session for a valid key; returns it with its token, which cannot be read again.

    Args:
        connection: An open write transaction; the caller adds its audit entry.
        key: The key.
        now: Aware UTC machine time.
    """
    connection.execute(delete(page_sessions).where(page_sessions.c.expires_at < now - _KEPT))
    is_open = or_(page_sessions.c.ended_at.is_(None), page_sessions.c.ended_at > now)
    query = select(page_sessions.c.id).where(page_sessions.c.key_id == key.id, is_open)
    others = connection.execute(query.order_by(page_sessions.c.id.desc())).scalars().all()
    surplus = others[MOST_SESSIONS - 1 :]
    connection.execute(update(page_sessions).where(page_sessions.c.id.in_(surplus)).values(ended_at=now))
    return _store(connection, key, now, now)


def find_session(connection: Connection, token: str) -> PageSession | None:
    """Return the session of a token with its key, also an ended one; None if there is none."""
    return _read(connection, page_sessions.c.sha256 == token_hash(token))


def renew_session(connection: Connection, session_id: int, now: datetime) -> tuple[PageSession, str] | None:
    """Replace a session by a new one of the same sign-in; None if it is not due, or no longer valid.

    During its overlap a session is renewed again: a browser that left the page may have lost the first new cookie.

    Args:
        connection: An open write transaction, with `lock_keys` before its time was read: a sign-out under way must not
            miss the new session.
        session_id: The session.
        now: Aware UTC machine time.
    """
    old = _read(connection, page_sessions.c.id == session_id)
    if old is None or not old.is_valid(now) or not old.is_renewable(now):
        return None
    statement = update(page_sessions).where(page_sessions.c.id == session_id, page_sessions.c.ended_at.is_(None))
    connection.execute(statement.values(ended_at=now + OVERLAP))
    return _store(connection, old.key, old.signed_in_at, now)


def end_session(connection: Connection, session_id: int, now: datetime) -> bool:
    """Sign out: refuse a session and those it replaced; returns False if it had ended before.

    Args:
        connection: An open write transaction, with `lock_keys` before its time was read; the caller adds its audit
            entry.
        session_id: The session.
        now: Aware UTC machine time.
    """
    own = select(page_sessions.c.key_id, page_sessions.c.signed_in_at).where(page_sessions.c.id == session_id)
    row = connection.execute(own).one_or_none()
    if row is None:
        return False
    statement = update(page_sessions).where(
        page_sessions.c.key_id == row.key_id,
        page_sessions.c.signed_in_at == row.signed_in_at,
        or_(page_sessions.c.ended_at.is_(None), page_sessions.c.ended_at > now),
    )
    return connection.execute(statement.values(ended_at=now)).rowcount > 0


def _end(key: ApiKey, signed_in_at: datetime, now: datetime) -> datetime:
    ends = [now + LIFETIME, signed_in_at + LONGEST, *([] if key.expires_at is None else [key.expires_at])]
    return min(ends)


def _store(connection: Connection, key: ApiKey, signed_in_at: datetime, now: datetime) -> tuple[PageSession, str]:
    token = secrets.token_urlsafe(_SECRET_BYTES)
    expires_at = _end(key, signed_in_at, now)
    row = {
        "sha256": token_hash(token),
        "key_id": key.id,
        "signed_in_at": signed_in_at,
        "created_at": now,
        "expires_at": expires_at,
    }
    new_id = connection.execute(insert(page_sessions).values(row).returning(page_sessions.c.id)).scalar_one()
    return PageSession(new_id, key, signed_in_at, now, expires_at, None), token


def _read(connection: Connection, condition: ColumnElement[bool]) -> PageSession | None:
    own = [_labelled(name) for name in ("id", "signed_in_at", "created_at", "expires_at", "ended_at")]
    query = select(api_keys, *own).join_from(page_sessions, api_keys).where(condition)
    row: RowMapping | None = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    return PageSession(
        row["session_id"],
        key_of(row),
        row["session_signed_in_at"],
        row["session_created_at"],
        row["session_expires_at"],
        row["session_ended_at"],
    )


def _labelled(name: str) -> Label[Any]:
    return page_sessions.c[name].label(f"session_{name}")
