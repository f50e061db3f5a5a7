"""The ledger: editions, forecasts, served forecasts, score batches, scores; and track records derived from them."""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from service.db.base import metadata
from service.db.types import BigId, Instant, Json

QUANTILE_NAMES: tuple[str, ...] = ("q025", "q10", "q25", "q50", "q75", "q90", "q975")
"""Column names of the stored quantiles, in the order of models.specs.QUANTILES."""

editions = Table(
    "editions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("mode", String(10), nullable=False, comment="live, replay or backfill"),
    Column("calendar", String(20), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("issued_at", Instant, nullable=False, comment="market time"),
    Column("recorded_at", Instant, nullable=False, comment="machine time"),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("run_id", BigId, ForeignKey("runs.id"), nullable=True),
    Index(None, "calendar", "as_of"),
)

forecasts = Table(
    "forecasts",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("edition", Integer, ForeignKey("editions.number"), nullable=False),
    Column("symbol", String(40), ForeignKey("instruments.symbol"), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("step", Integer, nullable=False),
    Column("target_session", Date, nullable=False),
    Column("strategy", String(20), nullable=False),
    Column("model_version_id", BigId, ForeignKey("model_versions.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("basis", Integer, nullable=False),
    Column("last_close", Float, nullable=False, comment="as_of's close on that basis"),
    Column("sigma", Float, nullable=False, comment="daily volatility known at as_of, log return"),
    *(Column(f"raw_{name}", Float, nullable=False) for name in QUANTILE_NAMES),
    *(Column(name, Float, nullable=False, comment="calibrated, log return") for name in QUANTILE_NAMES),
    Column("degraded", Json, nullable=True, comment="inputs it was trained with that are masked now"),
    UniqueConstraint("symbol", "as_of", "step", "model_version_id", "revision"),
    Index(None, "edition"),
    Index(None, "symbol", "target_session"),
)

served_forecasts = Table(
    "served_forecasts",
    metadata,
    Column("edition", Integer, ForeignKey("editions.number"), primary_key=True),
    Column("symbol", String(40), ForeignKey("instruments.symbol"), primary_key=True),
    Column("strategy", String(20), primary_key=True),
    Column("model_version_id", BigId, ForeignKey("model_versions.id"), nullable=False, comment="the served version"),
    Column("reason", Text, nullable=False),
    Index(None, "symbol", "edition"),
)

score_batches = Table(
    "score_batches",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("calendar", String(20), nullable=False),
    Column("scored_at", Instant, nullable=False, comment="market time"),
    Column("recorded_at", Instant, nullable=False, comment="machine time"),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("run_id", BigId, ForeignKey("runs.id"), nullable=True),
)

_VOID = text("state = 'void'")

scores = Table(
    "scores",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("batch", Integer, ForeignKey("score_batches.number"), nullable=False),
    Column("forecast_id", BigId, ForeignKey("forecasts.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    # Also pending: the target has closed, and a bar on which the outcome depends is held back.
    Column("state", String(10), nullable=False, comment="scored or void"),
    Column("reason", Text, nullable=True),
    Column("bars_revision", Integer, nullable=True, comment="sum of the revisions of the two bars it was scored with"),
    Column("actions_revision", Integer, nullable=True, comment="sum of the revisions of the actions between them"),
    Column("actual", Float, nullable=True, comment="log return of the adjusted close, as_of to target"),
    Column("pinball", Float, nullable=True, comment="mean over the quantiles, log return"),
    Column("error", Float, nullable=True, comment="actual less median, log return"),
    Column("inside_50", Boolean, nullable=True),
    Column("inside_80", Boolean, nullable=True),
    Column("inside_95", Boolean, nullable=True),
    Column("scored_at", Instant, nullable=False, comment="market time"),
    Column("recorded_at", Instant, nullable=False, comment="machine time"),
    UniqueConstraint("forecast_id", "revision"),
    Index(None, "batch"),
    # Void forecasts are few, and looked at again by every score run: a late bar turns them into scored.
    Index("ix_scores_void", "forecast_id", sqlite_where=_VOID, postgresql_where=_VOID),
)

track_records = Table(
    "track_records",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("scope_kind", String(10), nullable=False, comment="symbol or group"),
    Column("scope", String(40), nullable=False),
    Column("strategy", String(20), nullable=False),
    Column("step", Integer, nullable=False),
    Column("forecaster", String(40), nullable=False, comment="served, or a network or baseline"),
    Column("mode", String(10), nullable=False),
    Column("as_of", Date, nullable=False, comment="newest scored target session"),
    Column("n", Integer, nullable=False),
    Column("pinball", Float, nullable=False, comment="mean, log return"),
    Column("random_walk_pinball", Float, nullable=True, comment="mean on the same forecasts"),
    Column("skill", Float, nullable=True, comment="1 - pinball / the random walk's; null under 60"),
    Column("coverage_50", Float, nullable=False),
    Column("coverage_80", Float, nullable=False),
    Column("coverage_95", Float, nullable=False),
    Column("mae", Float, nullable=False, comment="of the median, log return"),
    Column("p", Float, nullable=True, comment="Diebold-Mariano against the random walk, two-sided"),
    UniqueConstraint("scope_kind", "scope", "strategy", "step", "forecaster", "mode"),
)
