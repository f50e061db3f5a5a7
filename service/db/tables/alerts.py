"""Alert subscriptions, the events they are about, their deliveries, and what detection remembers."""

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from service.db.base import metadata
from service.db.types import BigId, Instant, Json

alert_subscriptions = Table(
    "alert_subscriptions",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("kinds", Json, nullable=False, comment="kinds of events it wants"),
    Column("scope_kind", String(10), nullable=False, comment="all, group or symbol"),
    Column("scope", String(40), nullable=True, comment="the group or symbol; null for all"),
    Column("interval", Integer, nullable=False, comment="50, 80 or 95: the interval a close has to leave"),
    Column("target_kind", String(10), nullable=False, comment="webhook or apprise"),
    Column("target_shown", String(300), nullable=False, comment="the target without its secret parts"),
    Column("target_encrypted", Text, nullable=True, comment="null once removed"),
    Column("secret_encrypted", Text, nullable=True, comment="null for apprise, and once removed"),
    Column("created_at", Instant, nullable=False, comment="machine time"),
    Column("created_by", String(200), nullable=False),
    Column("removed_at", Instant, nullable=True, comment="machine time"),
)

alert_events = Table(
    "alert_events",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("key", String(200), nullable=False, comment="one event per key, however often it is detected"),
    Column("kind", String(30), nullable=False),
    Column("mode", String(10), nullable=False, comment="live or replay"),
    Column("symbol", String(40), nullable=True),
    Column("group", String(40), nullable=True),
    Column("calendar", String(20), nullable=True),
    Column("message", Text, nullable=False),
    Column("detail", Json, nullable=False),
    Column("market_at", Instant, nullable=False, comment="market time"),
    Column("recorded_at", Instant, nullable=False, comment="machine time"),
    UniqueConstraint("key"),
    Index(None, "recorded_at"),
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("subscription_id", BigId, ForeignKey("alert_subscriptions.id"), nullable=False),
    Column("message_id", String(40), nullable=False, comment="the same in every attempt: webhook-id"),
    Column("kind", String(30), nullable=False),
    Column("events", Integer, nullable=False, comment="number of events in the body"),
    Column("body", Text, nullable=False, comment="JSON as it is sent and signed"),
    Column("state", String(10), nullable=False, comment="pending, delivered, dead or dropped"),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant, nullable=False, comment="machine time"),
    Column("lease_until", Instant, nullable=True, comment="machine time; set while it is being sent"),
    Column("token", Integer, nullable=False, comment="raised by each claim; a result must name it"),
    Column("created_at", Instant, nullable=False, comment="machine time"),
    Column("finished_at", Instant, nullable=True, comment="machine time"),
    Column("error", Text, nullable=True, comment="why the last attempt failed, or why it was dropped"),
    UniqueConstraint("message_id"),
    Index(None, "state", "next_attempt_at"),
    Index(None, "subscription_id", "state", "id"),
)

alert_conditions = Table(
    "alert_conditions",
    metadata,
    Column("kind", String(30), primary_key=True),
    Column("subject", String(40), primary_key=True, comment="a calendar"),
    Column("since", Instant, nullable=False, comment="market time"),
)

alert_coverage = Table(
    "alert_coverage",
    metadata,
    Column("subscription_id", BigId, ForeignKey("alert_subscriptions.id"), primary_key=True),
    Column("symbol", String(40), primary_key=True),
    Column("low", Integer, nullable=False, comment="CUSUM against a coverage that is too low"),
    Column("high", Integer, nullable=False, comment="CUSUM against a coverage that is too high"),
    Column("last_session", Date, nullable=False, comment="newest target session that was counted"),
)
