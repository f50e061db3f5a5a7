"""Alembic's entry: runs migrations over the connection that service/db/migrate.py hands over."""

from typing import Any

from alembic import context

from service.db.tables import metadata


def declared(_object: Any, name: str | None, kind: str, _reflected: bool, _compared_with: Any) -> bool:
    """Whether drift is looked for: PostgreSQL holds this key by triggers (see migrations/triggers.py)."""
    kept_by_triggers = kind == "foreign_key_constraint" and name == "fk_bars_symbol_instruments"
    return not (kept_by_triggers and connection.dialect.name == "postgresql")


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    compare_server_default=True,
    include_object=declared,
)
with context.begin_transaction():
    context.run_migrations()
