"""Identity of the database, market time, schedulers, run requests, rate limits, change counters, keys, audit."""

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from service.db.base import metadata
from service.db.types import BigId, Instant, Json

stamp = Table(
    "stamp",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    Column("source", String(300), nullable=False),
    Column("clock_mode", String(20), nullable=False),
    Column("start_at", Instant, nullable=False, comment="market time when the database was made"),
    Column("created_at", Instant, nullable=False, comment="machine time"),
)

market_clock = Table(
    "market_clock",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    Column("now", Instant, nullable=False),
    Column("record_end", Date, nullable=True, comment="last session of the record"),
    Column("next_move_at", Instant, nullable=True, comment="machine time of the next move; null while it is not known"),
)

schedulers = Table(
    "schedulers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False, comment="host and process, for people"),
    Column("heartbeat_at", Instant, nullable=False),
    Column("lease_until", Instant, nullable=True, comment="set while this one is active"),
    Column("token", Integer, nullable=False),
)

run_requests = Table(
    "run_requests",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("kind", String(30), nullable=False),
    Column("body", Json, nullable=False),
    Column("body_hash", String(64), nullable=False, comment="SHA-256 of the body's canonical JSON"),
    Column("key_id", BigId, ForeignKey("api_keys.id"), nullable=True, comment="null for the command line"),
    Column("idempotency_key", String(200), nullable=True),
    Column("state", String(20), nullable=False),
    Column("created_at", Instant, nullable=False, comment="machine time"),
    Column("finished_at", Instant, nullable=True),
    Column("result", Json, nullable=True),
    Column("error", Text, nullable=True),
    Column("answer", Json, nullable=True, comment="stored answer: status and body"),
    Column("expires_at", Instant, nullable=True, comment="machine time until which the answer is kept"),
    Column("actor", String(200), nullable=False, server_default="command line", comment="as in the audit"),
    Column("request_id", String(64), nullable=True, comment="of the HTTP request; null for the command line"),
    Column("attempt", Integer, nullable=False, server_default="0", comment="failed tries to carry it out"),
    Column("not_before", Instant, nullable=True, comment="machine time of the next try"),
    Index(None, "state"),
    UniqueConstraint("key_id", "idempotency_key"),
)

source_rate_limits = Table(
    "source_rate_limits",
    metadata,
    Column("source", String(300), primary_key=True),
    Column("run_id", BigId, ForeignKey("runs.id"), primary_key=True),
    Column("limits", Integer, nullable=False, comment="how often the source limited the run"),
    Column("limited_at", Instant, nullable=False, comment="machine time of the newest"),
    Column("paused_until", Instant, nullable=True, comment="machine time; null once the pauses are used up"),
)

change_counters = Table(
    "change_counters",
    metadata,
    Column("scope", String(40), primary_key=True, comment="empty for the one counter, else a symbol"),
    Column("counter", Integer, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("prefix", String(20), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=True),
    Column("revoked_at", Instant, nullable=True),
    Column("last_used_at", Instant, nullable=True, comment="machine time, written in batches"),
    UniqueConstraint("sha256"),
)

page_sessions = Table(
    "page_sessions",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("sha256", String(64), nullable=False, comment="of the cookie's token"),
    Column("key_id", BigId, ForeignKey("api_keys.id"), nullable=False),
    Column("signed_in_at", Instant, nullable=False, comment="machine time of the sign-in, kept by renewals"),
    Column("created_at", Instant, nullable=False, comment="machine time"),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True, comment="refused from then on: signed out, or renewed"),
    UniqueConstraint("sha256"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("at", Instant, nullable=False, comment="machine time"),
    Column("actor", String(200), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", Json, nullable=False),
    Column("request_id", String(64), nullable=True, comment="of the HTTP request; null for the command line"),
)
