"""Column types that behave the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator


def to_utc(instant: datetime) -> datetime:
    """Return an aware instant in UTC.

    Raises:
        ValueError: the instant is naive.
    """
    if instant.tzinfo is None:
        raise ValueError(f"instants are aware UTC, received the naive {instant!r}")
    return instant.astimezone(UTC)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant.

    SQLite drops the offset, so naive values are refused when stored and UTC is added when read.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive values; store UTC."""
        if value is None:
            return None
        utc = to_utc(value)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer(), "sqlite")
"""Surrogate key: SQLite only auto-numbers a column declared INTEGER."""

Json = JSON().with_variant(JSONB(), "postgresql")
"""A JSON document."""
