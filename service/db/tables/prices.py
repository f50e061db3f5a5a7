"""Bars as the vendor serves them (split-adjusted to date), their actions, old values, and doubts."""

from sqlalchemy import Column, Date, Float, ForeignKey, Index, Integer, String, Table, Text

from service.db.base import metadata
from service.db.types import BigId, Instant, Json


def _symbol(*, primary_key: bool) -> Column[str]:
    return Column("symbol", String(40), ForeignKey("instruments.symbol"), primary_key=primary_key, nullable=False)


bars = Table(
    "bars",
    metadata,
    _symbol(primary_key=True),
    Column("session", Date, primary_key=True),
    Column("open", Float, nullable=True),
    Column("high", Float, nullable=True),
    Column("low", Float, nullable=True),
    Column("close", Float, nullable=False),
    Column("volume", Float, nullable=True),
    Column("source", String(300), nullable=False),
    Column("fetched_at", Instant, nullable=False, comment="market time"),
    Column("revision", Integer, nullable=False),
    Column("vendor", String(40), nullable=True, comment="who delivered the bar"),
    sqlite_with_rowid=False,
)

bar_revisions = Table(
    "bar_revisions",
    metadata,
    Column("id", BigId, primary_key=True),
    _symbol(primary_key=False),
    Column("session", Date, nullable=False),
    Column("revision", Integer, nullable=False, comment="of the value that was replaced"),
    Column("open", Float, nullable=True),
    Column("high", Float, nullable=True),
    Column("low", Float, nullable=True),
    Column("close", Float, nullable=False),
    Column("volume", Float, nullable=True),
    Column("fetched_at", Instant, nullable=False),
    Column("replaced_at", Instant, nullable=False, comment="market time"),
    Column("basis", Integer, nullable=False),
    Index(None, "symbol", "session"),
)

corporate_actions = Table(
    "corporate_actions",
    metadata,
    _symbol(primary_key=True),
    Column("ex_date", Date, primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("value", Float, nullable=False),
    Column("fetched_at", Instant, nullable=False, comment="market time"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigId, primary_key=True),
    _symbol(primary_key=False),
    Column("session", Date, nullable=True),
    Column("row", Json, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(20), nullable=False, comment="open, confirmed or cleared"),
    Column("first_seen_at", Instant, nullable=False, comment="market time"),
    Column("last_seen_at", Instant, nullable=False, comment="market time"),
    Index(None, "symbol", "session"),
)
