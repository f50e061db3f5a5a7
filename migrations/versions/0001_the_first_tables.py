"""The first tables

Revision: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

import service.db.types
from migrations.triggers import allow_changes, forbid_changes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("editions", "forecasts", "edition_items", "scores", "model_decisions")


def upgrade() -> None:
    op.create_table(
        "accuracy",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("scope_kind", sa.String(length=10), nullable=False, comment="symbol or group"),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("forecaster", sa.String(length=40), nullable=False, comment="served, or an architecture"),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False, comment="newest scored target session"),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("pinball", sa.Float(), nullable=False, comment="mean, log return"),
        sa.Column("random_walk_pinball", sa.Float(), nullable=True, comment="mean on the same forecasts"),
        sa.Column("skill", sa.Float(), nullable=True, comment="1 - pinball / the random walk's; null under 60"),
        sa.Column("coverage_50", sa.Float(), nullable=False),
        sa.Column("coverage_80", sa.Float(), nullable=False),
        sa.Column("coverage_95", sa.Float(), nullable=False),
        sa.Column("mae", sa.Float(), nullable=False, comment="of the median, log return"),
        sa.Column("p", sa.Float(), nullable=True, comment="Diebold-Mariano against the random walk, two-sided"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accuracy")),
        sa.UniqueConstraint(
            "scope_kind",
            "scope",
            "strategy",
            "step",
            "forecaster",
            "origin",
            name=op.f("uq_accuracy_scope_kind_scope_strategy_step_forecaster_origin"),
        ),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column(
            "scopes", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("created_at", service.db.types.Instant(timezone=True), nullable=False),
        sa.Column("expires_at", service.db.types.Instant(timezone=True), nullable=True),
        sa.Column("revoked_at", service.db.types.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", service.db.types.Instant(timezone=True), nullable=False, comment="machine time"),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column(
            "detail", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "changes",
        sa.Column("scope", sa.String(length=40), nullable=False, comment="empty for the one counter, else a symbol"),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_changes")),
    )
    op.create_table(
        "instruments",
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("instrument_type", sa.String(length=30), nullable=False),
        sa.Column("group", sa.String(length=40), nullable=False),
        sa.Column("calendar", sa.String(length=20), nullable=False),
        sa.Column("currency", sa.String(length=20), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False, comment="on the watchlist: forecast and scored"),
        sa.Column("reference", sa.Boolean(), nullable=False, comment="pulled always, used as an input"),
        sa.Column("basis", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False, comment="new, ok, suspect, unknown, failing"),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("state_since", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("added_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("first_session", sa.Date(), nullable=True),
        sa.Column("last_session", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_instruments")),
    )
    op.create_table(
        "market_clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("now", service.db.types.Instant(timezone=True), nullable=False),
        sa.Column("record_end", sa.Date(), nullable=True, comment="last session of the record"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_clock")),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column(
            "body", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", service.db.types.Instant(timezone=True), nullable=False, comment="machine time"),
        sa.Column("finished_at", service.db.types.Instant(timezone=True), nullable=True),
        sa.Column(
            "result", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=True
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_requests_idempotency_key")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job", sa.String(length=20), nullable=False, comment="pull, score, forecast or train"),
        sa.Column("scope", sa.String(length=40), nullable=False, comment="a calendar, or a group for train"),
        sa.Column("scheduled_for", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("session", sa.Date(), nullable=True, comment="the session it belongs to (as_of of a forecast run)"),
        sa.Column(
            "state", sa.String(length=20), nullable=False, comment="due, running, waiting, done, failed, superseded"
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False, comment="raised by each claim; a publish must name it"),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", service.db.types.Instant(timezone=True), nullable=True, comment="machine time"),
        sa.Column(
            "not_before",
            service.db.types.Instant(timezone=True),
            nullable=True,
            comment="machine time of the next attempt",
        ),
        sa.Column(
            "wait_until",
            service.db.types.Instant(timezone=True),
            nullable=True,
            comment="market time a waiting run sleeps to",
        ),
        sa.Column("started_at", service.db.types.Instant(timezone=True), nullable=True, comment="machine time"),
        sa.Column("finished_at", service.db.types.Instant(timezone=True), nullable=True, comment="machine time"),
        sa.Column(
            "counts", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint(
            "job", "scope", "scheduled_for", "sequence", name=op.f("uq_runs_job_scope_scheduled_for_sequence")
        ),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_runs_state"), ["state"], unique=False)

    op.create_table(
        "schedulers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False, comment="host and process, for people"),
        sa.Column("heartbeat_at", service.db.types.Instant(timezone=True), nullable=False),
        sa.Column(
            "lease_until",
            service.db.types.Instant(timezone=True),
            nullable=True,
            comment="set while this one is active",
        ),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedulers")),
    )
    op.create_table(
        "sessions",
        sa.Column("calendar", sa.String(length=20), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("open_at", service.db.types.Instant(timezone=True), nullable=False),
        sa.Column("close_at", service.db.types.Instant(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False, comment="expected, or closed where it turned out so"),
        sa.Column("approximate", sa.Boolean(), nullable=False, comment="from the weekday fallback"),
        sa.PrimaryKeyConstraint("calendar", "session", name=op.f("pk_sessions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stamp",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("clock_mode", sa.String(length=20), nullable=False),
        sa.Column(
            "start_at",
            service.db.types.Instant(timezone=True),
            nullable=False,
            comment="market time when the database was made",
        ),
        sa.Column("created_at", service.db.types.Instant(timezone=True), nullable=False, comment="machine time"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stamp")),
    )
    op.create_table(
        "actions",
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("ex_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("fetched_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_actions_symbol_instruments")),
        sa.PrimaryKeyConstraint("symbol", "ex_date", "kind", name=op.f("pk_actions")),
    )
    op.create_table(
        "bar_revisions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="of the value that was replaced"),
        sa.Column("open", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("close", sa.Float(), nullable=False),
        sa.Column("volume", sa.Float(), nullable=True),
        sa.Column("fetched_at", service.db.types.Instant(timezone=True), nullable=False),
        sa.Column("replaced_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("basis", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_bar_revisions_symbol_instruments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bar_revisions")),
    )
    with op.batch_alter_table("bar_revisions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bar_revisions_symbol_session"), ["symbol", "session"], unique=False)

    op.create_table(
        "bars",
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("open", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("close", sa.Float(), nullable=False),
        sa.Column("volume", sa.Float(), nullable=True),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("fetched_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_bars_symbol_instruments")),
        sa.PrimaryKeyConstraint("symbol", "session", name=op.f("pk_bars")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "editions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False, comment="live, replay or backfill"),
        sa.Column("calendar", sa.String(length=20), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("issued_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("recorded_at", service.db.types.Instant(timezone=True), nullable=False, comment="machine time"),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_editions_run_id_runs")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_editions")),
    )
    with op.batch_alter_table("editions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_editions_calendar_as_of"), ["calendar", "as_of"], unique=False)

    op.create_table(
        "model_versions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("group", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("architecture", sa.String(length=40), nullable=False),
        sa.Column("lookback", sa.Integer(), nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column(
            "trained_at",
            service.db.types.Instant(timezone=True),
            nullable=False,
            comment="market time: the cut of its data",
        ),
        sa.Column("recorded_at", service.db.types.Instant(timezone=True), nullable=False, comment="machine time"),
        sa.Column("fit_first", sa.Date(), nullable=False),
        sa.Column("fit_last", sa.Date(), nullable=False),
        sa.Column("stop_first", sa.Date(), nullable=True),
        sa.Column("stop_last", sa.Date(), nullable=True),
        sa.Column("judge_first", sa.Date(), nullable=True),
        sa.Column("judge_last", sa.Date(), nullable=True),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "seeds", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column(
            "specs", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("recipe", sa.String(length=64), nullable=False, comment="hash of network, inputs, loss and span"),
        sa.Column(
            "metrics", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("artifact", sa.String(length=300), nullable=False, comment="folder name below the artifact store"),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False, comment="champion, challenger, retired or rejected"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_model_versions_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
    )
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.create_index(
            "uq_model_versions_champion",
            ["group", "strategy"],
            unique=True,
            sqlite_where=sa.text("status = 'champion'"),
            postgresql_where=sa.text("status = 'champion'"),
        )

    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("session", sa.Date(), nullable=True),
        sa.Column("row", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False, comment="open, confirmed or cleared"),
        sa.Column("first_seen_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("last_seen_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_quarantine_symbol_instruments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_symbol_session"), ["symbol", "session"], unique=False)

    op.create_table(
        "run_outcomes",
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_outcomes_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "symbol", name=op.f("pk_run_outcomes")),
    )
    op.create_table(
        "calibration_states",
        sa.Column("model_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("calendar", sa.String(length=20), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column(
            "state", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_calibration_states_model_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("model_version_id", "calendar", "step", "as_of", name=op.f("pk_calibration_states")),
    )
    op.create_table(
        "edition_items",
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column(
            "model_version_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="what was served",
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["edition"], ["editions.number"], name=op.f("fk_edition_items_edition_editions")),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_edition_items_model_version_id_model_versions")
        ),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_edition_items_symbol_instruments")),
        sa.PrimaryKeyConstraint("edition", "symbol", "strategy", name=op.f("pk_edition_items")),
    )
    with op.batch_alter_table("edition_items", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_edition_items_symbol_edition"), ["symbol", "edition"], unique=False)

    op.create_table(
        "forecasts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("target_session", sa.Date(), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("model_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("basis", sa.Integer(), nullable=False),
        sa.Column("last_close", sa.Float(), nullable=False, comment="as_of's close on that basis"),
        sa.Column("sigma", sa.Float(), nullable=False, comment="daily volatility known at as_of, log return"),
        sa.Column("raw_q025", sa.Float(), nullable=False),
        sa.Column("raw_q10", sa.Float(), nullable=False),
        sa.Column("raw_q25", sa.Float(), nullable=False),
        sa.Column("raw_q50", sa.Float(), nullable=False),
        sa.Column("raw_q75", sa.Float(), nullable=False),
        sa.Column("raw_q90", sa.Float(), nullable=False),
        sa.Column("raw_q975", sa.Float(), nullable=False),
        sa.Column("q025", sa.Float(), nullable=False, comment="calibrated, log return"),
        sa.Column("q10", sa.Float(), nullable=False, comment="calibrated, log return"),
        sa.Column("q25", sa.Float(), nullable=False, comment="calibrated, log return"),
        sa.Column("q50", sa.Float(), nullable=False, comment="calibrated, log return"),
        sa.Column("q75", sa.Float(), nullable=False, comment="calibrated, log return"),
        sa.Column("q90", sa.Float(), nullable=False, comment="calibrated, log return"),
        sa.Column("q975", sa.Float(), nullable=False, comment="calibrated, log return"),
        sa.Column(
            "degraded",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=True,
            comment="inputs it was trained with that are masked now",
        ),
        sa.ForeignKeyConstraint(["edition"], ["editions.number"], name=op.f("fk_forecasts_edition_editions")),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_forecasts_model_version_id_model_versions")
        ),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_forecasts_symbol_instruments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecasts")),
        sa.UniqueConstraint(
            "symbol",
            "as_of",
            "step",
            "model_version_id",
            "revision",
            name=op.f("uq_forecasts_symbol_as_of_step_model_version_id_revision"),
        ),
    )
    with op.batch_alter_table("forecasts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_forecasts_edition"), ["edition"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_forecasts_symbol_target_session"), ["symbol", "target_session"], unique=False
        )

    op.create_table(
        "model_decisions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("model_version_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("decided_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("recorded_at", service.db.types.Instant(timezone=True), nullable=False, comment="machine time"),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "figures", sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"), nullable=False
        ),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_model_decisions_model_version_id_model_versions")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_model_decisions_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_decisions")),
    )
    with op.batch_alter_table("model_decisions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_decisions_model_version_id"), ["model_version_id"], unique=False)

    op.create_table(
        "scores",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("forecast_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False, comment="scored or void"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("bars_revision", sa.Integer(), nullable=True, comment="sum of the two bars' revisions and the basis"),
        sa.Column("actual", sa.Float(), nullable=True, comment="log return of the adjusted close, as_of to target"),
        sa.Column("pinball", sa.Float(), nullable=True, comment="mean over the quantiles, log return"),
        sa.Column("error", sa.Float(), nullable=True, comment="actual less median, log return"),
        sa.Column("inside_50", sa.Boolean(), nullable=True),
        sa.Column("inside_80", sa.Boolean(), nullable=True),
        sa.Column("inside_95", sa.Boolean(), nullable=True),
        sa.Column("scored_at", service.db.types.Instant(timezone=True), nullable=False, comment="market time"),
        sa.Column("recorded_at", service.db.types.Instant(timezone=True), nullable=False, comment="machine time"),
        sa.ForeignKeyConstraint(["forecast_id"], ["forecasts.id"], name=op.f("fk_scores_forecast_id_forecasts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
        sa.UniqueConstraint("forecast_id", "revision", name=op.f("uq_scores_forecast_id_revision")),
    )
    for table in APPEND_ONLY:
        forbid_changes(table)


def downgrade() -> None:
    for table in APPEND_ONLY:
        allow_changes(table)
    op.drop_table("scores")
    with op.batch_alter_table("model_decisions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_model_decisions_model_version_id"))

    op.drop_table("model_decisions")
    with op.batch_alter_table("forecasts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_forecasts_symbol_target_session"))
        batch_op.drop_index(batch_op.f("ix_forecasts_edition"))

    op.drop_table("forecasts")
    with op.batch_alter_table("edition_items", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_edition_items_symbol_edition"))

    op.drop_table("edition_items")
    op.drop_table("calibration_states")
    op.drop_table("run_outcomes")
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quarantine_symbol_session"))

    op.drop_table("quarantine")
    with op.batch_alter_table("model_versions", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_model_versions_champion",
            sqlite_where=sa.text("status = 'champion'"),
            postgresql_where=sa.text("status = 'champion'"),
        )

    op.drop_table("model_versions")
    with op.batch_alter_table("editions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_editions_calendar_as_of"))

    op.drop_table("editions")
    op.drop_table("bars")
    with op.batch_alter_table("bar_revisions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_bar_revisions_symbol_session"))

    op.drop_table("bar_revisions")
    op.drop_table("actions")
    op.drop_table("stamp")
    op.drop_table("sessions")
    op.drop_table("schedulers")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_runs_state"))

    op.drop_table("runs")
    op.drop_table("requests")
    op.drop_table("market_clock")
    op.drop_table("instruments")
    op.drop_table("changes")
    op.drop_table("audit")
    op.drop_table("api_keys")
    op.drop_table("accuracy")
