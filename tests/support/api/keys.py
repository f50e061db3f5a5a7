"""Keys for tests of routes that need one."""

from datetime import UTC, datetime

from service.access.keys import NewKey, create_key
from service.db.session import Database
from service.vocabulary import Scope

CREATED = datetime(2026, 11, 27, tzinfo=UTC)


def authorization(database: Database, *scopes: Scope, name: str = "robot") -> dict[str, str]:
    """Create a key with scopes; returns the header that carries it."""
    with database.transaction() as connection:
        _, token = create_key(connection, NewKey(name, frozenset(scopes)), CREATED)
    return {"Authorization": f"Bearer {token}"}
