"""Bars (split-adjusted to date), corporate actions, their replaced values, the quarantine and symbol holds."""

from sqlalchemy import Boolean, Column, Date, Float, ForeignKey, Index, Integer, String, Table, Text

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
    Column("kind", String(20), primary_key=True),
    Column("value", Float, nullable=False),
    Column("fetched_at", Instant, nullable=False, comment="market time"),
    Column("revision", Integer, nullable=False, default=1),
)

corporate_action_revisions = Table(
    "corporate_action_revisions",
    metadata,
    Column("id", BigId, primary_key=True),
    _symbol(primary_key=False),
    Column("ex_date", Date, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("revision", Integer, nullable=False, comment="of the value that was replaced"),
    Column("value", Float, nullable=False),
    Column("fetched_at", Instant, nullable=False, comment="market time"),
    Column("replaced_at", Instant, nullable=False, comment="market time"),
    Column("basis", Integer, nullable=False),
    Index(None, "symbol", "ex_date"),
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

symbol_holds = Table(
    "symbol_holds",
    metadata,
    Column("id", BigId, primary_key=True),
    _symbol(primary_key=False),
    Column("kind", String(20), nullable=False, comment="basis or gone"),
    Column("reason", Text, nullable=False),
    Column("state", String(20), nullable=False, comment="open, confirmed or cleared"),
    Column("sessions_seen", Json, nullable=False, comment="ISO dates of the sessions whose pull raised it"),
    Column("allowed", Boolean, nullable=False, comment="the next pull takes the source's history as it is"),
    Column("first_seen_at", Instant, nullable=False, comment="market time"),
    Column("last_seen_at", Instant, nullable=False, comment="market time"),
    Index(None, "symbol", "state"),
)
