"""API keys: random tokens with scopes, of which the database keeps a hash alone."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, or_, select, update

from service.db.tables import api_keys
from service.errors import NotFound, TplusError
from service.vocabulary import Scope

TOKEN_PREFIX = "tplus_"
"""Start of every key: people and secret scanners recognise it."""

NAME_PATTERN = r"[A-Za-z][A-Za-z0-9._-]{0,59}"
"""Names begin with a letter, so that they differ from ids."""

RESERVED_NAMES = frozenset({"anonymous", "compose"})
"""Names with a meaning of their own: a client without a key, and the key of `TPLUS_API_KEY_FILE`."""

_SECRET_BYTES = 32
_SHOWN_CHARACTERS = len(TOKEN_PREFIX) + 6
_TOKEN = re.compile(TOKEN_PREFIX + r"[A-Za-z0-9_-]{43}", re.ASCII)
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_BY_HASH = select(api_keys).where(api_keys.c.sha256 == bindparam("hash"))
"""Built once: building a statement takes longer than sending it."""

_LOCK = 0x7470_6C75_73_6B
"""Number of PostgreSQL's advisory lock for changes of keys."""


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
        return self.state(now) == "valid"

    def state(self, now: datetime) -> str:
        """Return `valid`, `expired` or `revoked` at a machine-time instant."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def token_hash(token: str) -> str:
    """Return the SHA-256 of a token, in hex. A token has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_token(text: str) -> bool:
    """Return whether a text has the form of a key; any other needs no look at the database."""
    return _TOKEN.fullmatch(text) is not None


def check_name(name: str) -> None:
    """Raise if a name cannot be that of a new key.

    Raises:
        TplusError: it has other characters, is too long, or is reserved.
    """
    if _NAME.fullmatch(name) is None:
        raise TplusError(
            f"{name[:60]!r} cannot name a key; use at most 60 letters, digits and ._-, a letter first, such as notebook"
        )
    if name.lower() in RESERVED_NAMES:
        raise TplusError(f"the name {name} is reserved; choose another name for the key")


def lock_keys(connection: Connection) -> None:
    """Wait for other changes of keys until the transaction ends; on SQLite a write transaction is exclusive."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def create_key(connection: Connection, new: NewKey, now: datetime) -> tuple[ApiKey, str]:
    """Store a key; returns it with its token, which cannot be read again.

    Args:
        connection: An open write transaction; the caller adds its audit entry.
        new: The key.
        now: Aware UTC machine time.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    return store_key(connection, new, token, now), token


def store_key(connection: Connection, new: NewKey, token: str, now: datetime) -> ApiKey:
    """Store a key with a given token, as its hash."""
    row = {
        "name": new.name,
        "prefix": token[:_SHOWN_CHARACTERS],
        "sha256": token_hash(token),
        "scopes": sorted(new.scopes),
        "created_at": now,
        "expires_at": new.expires_at,
    }
    return key_of(connection.execute(insert(api_keys).values(row).returning(api_keys)).mappings().one())


def find_key(connection: Connection, token: str) -> ApiKey | None:
    """Return the key of a token, also a revoked or expired one; None if there is none."""
    row = connection.execute(_BY_HASH, {"hash": token_hash(token)}).mappings().one_or_none()
    return None if row is None else key_of(row)


def list_keys(connection: Connection) -> list[ApiKey]:
    """Return every key, oldest first."""
    return [key_of(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.id)).mappings()]


def valid_keys(connection: Connection, now: datetime, name: str | None = None) -> list[ApiKey]:
    """Return the keys that are accepted at an instant, oldest first.

    Args:
        connection: An open transaction.
        now: Aware UTC machine time.
        name: Only keys of this name; None = all.
    """
    query = select(api_keys).where(
        api_keys.c.revoked_at.is_(None), or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    )
    if name is not None:
        query = query.where(api_keys.c.name == name)
    return [key_of(row) for row in connection.execute(query.order_by(api_keys.c.id)).mappings()]


def find_keys(connection: Connection, id_or_name: str, now: datetime) -> list[ApiKey]:
    """Return the key of an id, or the valid keys of a name.

    Raises:
        NotFound: there is none.
    """
    if id_or_name.isascii() and id_or_name.isdigit():
        found = [key for key in list_keys(connection) if key.id == int(id_or_name)]
    else:
        found = valid_keys(connection, now, id_or_name)
    if not found:
        raise NotFound(f"there is no valid key {id_or_name[:60]!r}; see `tplus keys list --all`")
    return found


def revoke_key(connection: Connection, key_id: int, now: datetime) -> bool:
    """Refuse a key from now on; returns False if it is unknown or was revoked before.

    Args:
        connection: An open write transaction; the caller adds its audit entry.
        key_id: The key.
        now: Aware UTC machine time.
    """
    statement = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return connection.execute(statement.values(revoked_at=now)).rowcount == 1


def expire_keys(connection: Connection, keys: Iterable[ApiKey], ends_at: datetime) -> None:
    """Refuse keys from an instant on, those that end earlier excepted."""
    for key in keys:
        if key.expires_at is None or key.expires_at > ends_at:
            connection.execute(update(api_keys).where(api_keys.c.id == key.id).values(expires_at=ends_at))


def set_scopes(connection: Connection, key_id: int, scopes: frozenset[Scope]) -> None:
    """Replace the scopes of a key; the caller adds its audit entry."""
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(scopes=sorted(scopes)))


def rotate_key(
    connection: Connection, name: str, overlap: timedelta, expires_at: datetime | None, now: datetime
) -> tuple[ApiKey, str]:
    """Replace the key of a name by a new one; the old one is accepted during the overlap.

    Args:
        connection: An open write transaction; the caller adds its audit entry.
        name: Name of a valid key.
        overlap: How long the old key is still accepted.
        expires_at: End of the new key; None = it lasts as long as the old one was made to last.
        now: Aware UTC machine time.

    Raises:
        NotFound: no valid key has that name.
    """
    lock_keys(connection)
    found = find_keys(connection, name, now)
    old = found[-1]
    if expires_at is None and old.expires_at is not None:
        expires_at = now + (old.expires_at - old.created_at)
    expire_keys(connection, found, now + overlap)
    return create_key(connection, NewKey(old.name, old.scopes, expires_at), now)


def key_of(row: RowMapping) -> ApiKey:
    """Return the key of a row of `api_keys`."""
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
