"""API keys: random tokens with scopes, of which the database keeps a hash alone."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from service.db.tables import api_keys
from service.vocabulary import Scope

TOKEN_PREFIX = "tplus_"
"""Start of every key: people and secret scanners recognise it."""

_SECRET_BYTES = 32
_SHOWN_CHARACTERS = len(TOKEN_PREFIX) + 6


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to create.

    Attributes:
        name: What uses it; the actor of its writes in the audit.
        scopes: What it permits.
        expires_at: Aware UTC machine time from which it is refused; None = never.
    """

    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key.

    Attributes:
        id: Its id.
        name: Its name.
        prefix: First characters of the token, so that people recognise the key.
        scopes: What it permits.
        created_at: Machine time.
        expires_at: Machine time from which it is refused; None = never.
        revoked_at: Machine time from which it is refused; None = not revoked.
        last_used_at: Machine time, up to a minute late; None = never used.
    """

    id: int
    name: str
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Return whether it is accepted at a machine-time instant."""
        is_expired = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is None and not is_expired


def token_hash(token: str) -> str:
    """Return the SHA-256 of a token, in hex. A token has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def create_key(connection: Connection, new: NewKey, now: datetime) -> tuple[ApiKey, str]:
    """Store a key; returns it with its token, which cannot be read again.

    Args:
        connection: An open write transaction; the caller adds its audit entry.
        new: The key.
        now: Aware UTC machine time.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    row = {
        "name": new.name,
        "prefix": token[:_SHOWN_CHARACTERS],
        "sha256": token_hash(token),
        "scopes": sorted(new.scopes),
        "created_at": now,
        "expires_at": new.expires_at,
    }
    stored = connection.execute(insert(api_keys).values(row).returning(api_keys)).mappings().one()
    return _key(stored), token


def find_key(connection: Connection, token: str) -> ApiKey | None:
    """Return the key of a token, also a revoked or expired one; None if there is none."""
    query = select(api_keys).where(api_keys.c.sha256 == token_hash(token))
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _key(row)


def list_keys(connection: Connection) -> list[ApiKey]:
    """Return every key, oldest first."""
    return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.id)).mappings()]


def revoke_key(connection: Connection, key_id: int, now: datetime) -> bool:
    """Refuse a key from now on; returns False if it is unknown or was revoked before.

    Args:
        connection: An open write transaction; the caller adds its audit entry.
        key_id: The key.
        now: Aware UTC machine time.
    """
    statement = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return connection.execute(statement.values(revoked_at=now)).rowcount == 1


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(
        row["id"],
        row["name"],
        row["prefix"],
        frozenset(Scope(scope) for scope in row["scopes"]),
        row["created_at"],
        row["expires_at"],
        row["revoked_at"],
        row["last_used_at"],
    )
