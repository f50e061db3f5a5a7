"""Opens, renews and ends page sessions in the database, each in a transaction of its own, one at a time."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from service import audit
from service.access.keys import key_of, lock_keys
from service.access.page_sessions import PageSession, end_session, open_session, renew_session
from service.api.access.principal import Principal
from service.api.common.dependencies import Reader
from service.api.common.errors import NotAuthenticated
from service.audit import AuditEntry
from service.db.tables import api_keys


@dataclass(frozen=True, slots=True)
class Opened:
    """A new page session.

    Attributes:
        session: As it is stored.
        token: Its token, for the cookie.
        now: Machine time.
    """

    session: PageSession
    token: str
    now: datetime


def open_for_key(reader: Reader, principal: Principal, replaced: int | None, request_id: str) -> Opened:
    """Open a session for a key, and end the one that the browser had.

    Args:
        reader: Opens the database.
        principal: The key.
        replaced: The browser's former session; None without one.
        request_id: For the audit.

    Raises:
        NotAuthenticated: the key was revoked or has expired meanwhile.
    """
    with reader.database.transaction() as connection:
        lock_keys(connection)
        now = reader.machine.now(connection)
        query = select(api_keys).where(api_keys.c.id == principal.key_id)
        row = connection.execute(query).mappings().one_or_none()
        key = None if row is None else key_of(row)
        if key is None or not key.is_valid(now):
            raise NotAuthenticated("the key is unknown, revoked or expired; `tplus keys create NAME` makes a new one")
        if replaced is not None:
            end_session(connection, replaced, now)
        session, token = open_session(connection, key, now)
        detail = {"session": session.id, "expires_at": session.expires_at.isoformat()}
        audit.record(connection, AuditEntry("session.create", key.name, detail, key.name, request_id), now)
    return Opened(session, token, now)


def renew(reader: Reader, session_id: int) -> Opened | None:
    """Renew a session; None if it has ended meanwhile."""
    with reader.database.transaction() as connection:
        lock_keys(connection)
        now = reader.machine.now(connection)
        renewed = renew_session(connection, session_id, now)
    return None if renewed is None else Opened(*renewed, now)


def end(reader: Reader, principal: Principal, request_id: str) -> None:
    """End the session of a principal."""
    assert principal.session_id is not None
    with reader.database.transaction() as connection:
        lock_keys(connection)
        now = reader.machine.now(connection)
        if end_session(connection, principal.session_id, now):
            entry = AuditEntry(
                "session.end", principal.name, {"session": principal.session_id}, principal.name, request_id
            )
            audit.record(connection, entry, now)
