"""Writes and reads the audit: one row for each write by a person or a client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from service.db.tables import audit

COMMAND_LINE = "command line"
"""Actor of a write by `tplus`."""

_NAME_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a write.

    Attributes:
        name: Name of the key, or the command line.
        request_id: Id of the HTTP request, None for the command line.
    """

    name: str = COMMAND_LINE
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A write, as the audit keeps it.

    Attributes:
        action: What was done, such as `keys.create`.
        subject: What it was done to, such as a symbol; cut at 200 characters.
        detail: Further facts; no secrets.
        actor: Name of the key, or the command line.
        request_id: Id of the HTTP request, None for the command line.
    """

    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    actor: str = COMMAND_LINE
    request_id: str | None = None


def record(connection: Connection, entry: AuditEntry, at: datetime) -> None:
    """Write an entry inside the transaction of the write that it describes.

    Args:
        connection: An open write transaction.
        entry: The write.
        at: Aware UTC machine time.
    """
    row = {
        "at": at,
        "actor": entry.actor[:_NAME_LIMIT],
        "action": entry.action,
        "subject": entry.subject[:_NAME_LIMIT],
        "detail": dict(entry.detail),
        "request_id": entry.request_id,
    }
    connection.execute(insert(audit).values(row))


def newest(connection: Connection, limit: int) -> Sequence[RowMapping]:
    """Return the newest entries, newest first."""
    return connection.execute(select(audit).order_by(audit.c.id.desc()).limit(limit)).mappings().all()
