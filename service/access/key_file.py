"""The key of `TPLUS_API_KEY_FILE`: a stack brings its first key as a secret file."""

from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from service import audit
from service.access.keys import (
    ApiKey,
    NewKey,
    find_key,
    is_token,
    lock_keys,
    revoke_key,
    set_scopes,
    store_key,
    valid_keys,
)
from service.audit import AuditEntry
from service.errors import SettingsError
from service.vocabulary import Scope

KEY_NAME = "compose"
"""Name of the file's key."""

ACTOR = "TPLUS_API_KEY_FILE"
"""Actor of the file's changes in the audit."""

_MOST_BYTES = 1000


def read_token(path: Path) -> str:
    """Return the token of a file.

    Raises:
        SettingsError: the file cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(
            f"{ACTOR}={path} cannot be read ({reason}); use a file that this process can read"
        ) from error
    if not is_token(text):
        raise SettingsError(
            f"{ACTOR}={path} does not hold a key; write one token of `tplus keys create` into it, or "
            "tplus_ and 43 random letters, digits, - and _"
        )
    return text


def store_key_file(connection: Connection, path: Path, scopes: frozenset[Scope], now: datetime) -> ApiKey:
    """Store the file's key unless it is stored; an earlier key of the file is revoked.

    A key that was revoked, or has expired, stays so.

    Args:
        connection: An open write transaction.
        path: A file with one token.
        scopes: What the key permits.
        now: Aware UTC machine time.

    Raises:
        SettingsError: the file cannot be read, holds no key, or one that was revoked or has expired.
    """
    token = read_token(path)
    lock_keys(connection)
    found = find_key(connection, token)
    if found is not None and not found.is_valid(now):
        raise SettingsError(
            f"{ACTOR}={path} holds the {found.state(now)} key {found.name} (id {found.id}); write a new one into it"
        )
    for other in valid_keys(connection, now, KEY_NAME):
        if found is None or other.id != found.id:
            revoke_key(connection, other.id, now)
            audit.record(connection, AuditEntry("keys.revoke", KEY_NAME, {"id": other.id}, ACTOR), now)
    if found is None:
        found = store_key(connection, NewKey(KEY_NAME, scopes), token, now)
        _record(connection, "keys.create", found, scopes, now)
    elif found.name == KEY_NAME and found.scopes != scopes:
        set_scopes(connection, found.id, scopes)
        _record(connection, "keys.change", found, scopes, now)
    return found


def _record(connection: Connection, action: str, key: ApiKey, scopes: frozenset[Scope], now: datetime) -> None:
    audit.record(connection, AuditEntry(action, KEY_NAME, {"id": key.id, "scopes": sorted(scopes)}, ACTOR), now)
