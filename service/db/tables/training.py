"""Model versions, the decisions about them, approvals of configs, and calibration states."""

from sqlalchemy import Boolean, Column, Date, Float, ForeignKey, Index, Integer, String, Table, Text, text

from service.db.base import metadata
from service.db.types import BigId, Instant, Json

model_versions = Table(
    "model_versions",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("group", String(40), nullable=False),
    Column("strategy", String(20), nullable=False),
    Column("forecaster", String(40), nullable=False),
    Column("lookback", Integer, nullable=False),
    Column("horizon", Integer, nullable=False),
    Column("trained_at", Instant, nullable=False, comment="market time: the cut of its data"),
    Column("recorded_at", Instant, nullable=False, comment="machine time"),
    Column("data_until", Instant, nullable=True, comment="by then all its data, the test span included, were final"),
    Column("train_first", Date, nullable=True),
    Column("train_last", Date, nullable=True),
    Column("validation_first", Date, nullable=True),
    Column("validation_last", Date, nullable=True),
    Column("test_first", Date, nullable=True),
    Column("test_last", Date, nullable=True),
    Column("data_hash", String(64), nullable=False),
    Column("seeds", Json, nullable=False),
    Column("specs", Json, nullable=False),
    Column("config_hash", String(64), nullable=False, comment="hash of network, inputs, loss and span"),
    Column("metrics", Json, nullable=False),
    Column("artifact", String(300), nullable=False, comment="folder name below the artifact store"),
    Column("sha256", String(64), nullable=False),
    Column("status", String(20), nullable=False, comment="champion, challenger, retired or rejected"),
    Column("reason", Text, nullable=False),
    Column(
        "for_backfill", Boolean, nullable=False, default=False, comment="fitted for a backfill; it never serves on time"
    ),
    Column("pinned_at", Instant, nullable=True, comment="market time; a refit does not replace a pinned version"),
    Column("run_id", BigId, ForeignKey("runs.id"), nullable=True),
    Index(
        "uq_model_versions_champion",
        "group",
        "strategy",
        unique=True,
        sqlite_where=text("status = 'champion'"),
        postgresql_where=text("status = 'champion'"),
    ),
)

model_decisions = Table(
    "model_decisions",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("model_version_id", BigId, ForeignKey("model_versions.id"), nullable=False),
    Column("decided_at", Instant, nullable=False, comment="market time"),
    Column("recorded_at", Instant, nullable=False, comment="machine time"),
    Column("status", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("figures", Json, nullable=False),
    Column("run_id", BigId, ForeignKey("runs.id"), nullable=True),
    Index(None, "model_version_id"),
)

config_approvals = Table(
    "config_approvals",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("group", String(40), nullable=False),
    Column("strategy", String(20), nullable=False),
    Column("config_hash", String(64), nullable=False, comment="as in model_versions"),
    Column("forecaster", String(40), nullable=False),
    Column("kind", String(10), nullable=False, comment="attempt, live or withdrawn"),
    Column("attempt", Integer, nullable=False, comment="attempts of the group and strategy so far, this one included"),
    Column("accepted", Boolean, nullable=False),
    Column("last_session", Date, nullable=True, comment="newest as_of of the evidence"),
    Column("sessions", Integer, nullable=False),
    Column("pinball", Float, nullable=True, comment="mean over the days, basis points"),
    Column("random_walk_pinball", Float, nullable=True, comment="as pinball"),
    Column("p", Float, nullable=True, comment="Diebold-Mariano, one-sided"),
    Column("level", Float, nullable=True, comment="what p had to reach"),
    Column("reason", Text, nullable=False),
    Column("evidence", Json, nullable=True, comment="daily losses, so that the test can be repeated"),
    Column("decided_at", Instant, nullable=False, comment="market time"),
    Column("recorded_at", Instant, nullable=False, comment="machine time"),
    Column("run_id", BigId, ForeignKey("runs.id"), nullable=True),
    Index(None, "group", "strategy"),
)

calibration_states = Table(
    "calibration_states",
    metadata,
    Column("model_version_id", BigId, ForeignKey("model_versions.id"), primary_key=True),
    Column("calendar", String(20), primary_key=True),
    Column("step", Integer, primary_key=True),  # 0 = the band over all steps
    Column("as_of", Date, primary_key=True),
    Column("state", Json, nullable=False),
    Index(None, "calendar", "as_of"),
)
