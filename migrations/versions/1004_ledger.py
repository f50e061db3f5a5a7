"""The ledger: editions, forecasts, served forecasts, score batches, scores, and track records.

Revision: 1004
Revises: 1003
"""

import sqlalchemy as sa
from alembic import op

from migrations.triggers import allow_changes, forbid_changes
from service.db.types import BigId, Instant, Json

revision = "1004"
down_revision = "1003"
branch_labels = None
depends_on = None

TABLES = ("editions", "forecasts", "served_forecasts", "score_batches", "scores", "track_records")
"""In the order in which they refer to one another."""

APPEND_ONLY = ("editions", "forecasts", "served_forecasts", "score_batches", "scores")


def upgrade() -> None:
    op.create_table(
        "editions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False, comment="live, replay or backfill"),
        sa.Column("calendar", sa.String(length=20), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("issued_at", Instant(), nullable=False, comment="market time"),
        sa.Column("recorded_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("run_id", BigId, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_editions_run_id_runs")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_editions")),
    )
    op.create_index(op.f("ix_editions_calendar_as_of"), "editions", ["calendar", "as_of"])
    op.create_table(
        "forecasts",
        sa.Column("id", BigId, nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("target_session", sa.Date(), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("model_version_id", BigId, nullable=False),
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
        sa.Column("degraded", Json, nullable=True, comment="inputs it was trained with that are masked now"),
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
    op.create_index(op.f("ix_forecasts_edition"), "forecasts", ["edition"])
    op.create_index(op.f("ix_forecasts_symbol_target_session"), "forecasts", ["symbol", "target_session"])
    op.create_table(
        "served_forecasts",
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("model_version_id", BigId, nullable=False, comment="the served version"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["edition"], ["editions.number"], name=op.f("fk_served_forecasts_edition_editions")),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_served_forecasts_model_version_id_model_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol"], ["instruments.symbol"], name=op.f("fk_served_forecasts_symbol_instruments")
        ),
        sa.PrimaryKeyConstraint("edition", "symbol", "strategy", name=op.f("pk_served_forecasts")),
    )
    op.create_index(op.f("ix_served_forecasts_symbol_edition"), "served_forecasts", ["symbol", "edition"])
    op.create_table(
        "score_batches",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("calendar", sa.String(length=20), nullable=False),
        sa.Column("scored_at", Instant(), nullable=False, comment="market time"),
        sa.Column("recorded_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("run_id", BigId, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_score_batches_run_id_runs")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_score_batches")),
    )
    op.create_table(
        "scores",
        sa.Column("id", BigId, nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("forecast_id", BigId, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False, comment="scored or void"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "bars_revision",
            sa.Integer(),
            nullable=True,
            comment="sum of the revisions of the two bars it was scored with",
        ),
        sa.Column(
            "actions_revision", sa.Integer(), nullable=True, comment="sum of the revisions of the actions between them"
        ),
        sa.Column("actual", sa.Float(), nullable=True, comment="log return of the adjusted close, as_of to target"),
        sa.Column("pinball", sa.Float(), nullable=True, comment="mean over the quantiles, log return"),
        sa.Column("error", sa.Float(), nullable=True, comment="actual less median, log return"),
        sa.Column("inside_50", sa.Boolean(), nullable=True),
        sa.Column("inside_80", sa.Boolean(), nullable=True),
        sa.Column("inside_95", sa.Boolean(), nullable=True),
        sa.Column("scored_at", Instant(), nullable=False, comment="market time"),
        sa.Column("recorded_at", Instant(), nullable=False, comment="machine time"),
        sa.ForeignKeyConstraint(["batch"], ["score_batches.number"], name=op.f("fk_scores_batch_score_batches")),
        sa.ForeignKeyConstraint(["forecast_id"], ["forecasts.id"], name=op.f("fk_scores_forecast_id_forecasts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
        sa.UniqueConstraint("forecast_id", "revision", name=op.f("uq_scores_forecast_id_revision")),
    )
    op.create_index(op.f("ix_scores_batch"), "scores", ["batch"])
    void = sa.text("state = 'void'")
    op.create_index("ix_scores_void", "scores", ["forecast_id"], sqlite_where=void, postgresql_where=void)
    op.create_table(
        "track_records",
        sa.Column("id", BigId, nullable=False),
        sa.Column("scope_kind", sa.String(length=10), nullable=False, comment="symbol or group"),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("forecaster", sa.String(length=40), nullable=False, comment="served, or a network or baseline"),
        sa.Column("mode", sa.String(length=10), nullable=False),
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
        sa.PrimaryKeyConstraint("id", name=op.f("pk_track_records")),
        sa.UniqueConstraint(
            "scope_kind",
            "scope",
            "strategy",
            "step",
            "forecaster",
            "mode",
            name=op.f("uq_track_records_scope_kind_scope_strategy_step_forecaster_mode"),
        ),
    )
    for table in APPEND_ONLY:
        forbid_changes(table)


def downgrade() -> None:
    for table in APPEND_ONLY:
        allow_changes(table)
    for table in reversed(TABLES):
        op.drop_table(table)
