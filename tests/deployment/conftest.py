"""The session's PostgreSQL."""

from tests.postgres import postgres_database, postgres_server, postgres_template, postgres_url

__all__ = ["postgres_database", "postgres_server", "postgres_template", "postgres_url"]
