"""Runs, rate limits, model versions, the decisions about them, approvals of configurations, and calibration states.

Revision: 1003
Revises: 1002
"""

import sqlalchemy as sa
from alembic import op

from migrations.triggers import allow_changes, forbid_changes
from service.db.types import BigId, Instant, Json

revision = "1003"
down_revision = "1002"
branch_labels = None
depends_on = None

TABLES = (
    "runs", "run_outcomes", "source_rate_limits", "model_versions", "model_decisions", "calibration_states",
    "config_approvals",
)  # fmt: skip
"""In the order in which they refer to one another."""

APPEND_ONLY = ("model_decisions", "config_approvals")


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", BigId, nullable=False),
        sa.Column("job", sa.String(length=20), nullable=False, comment="pull, score, forecast or train"),
        sa.Column("scope", sa.String(length=40), nullable=False, comment="a calendar, or a group for train"),
        sa.Column("scheduled_for", Instant(), nullable=False, comment="market time"),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("session", sa.Date(), nullable=True, comment="the session it belongs to (as_of of a forecast run)"),
        sa.Column(
            "state", sa.String(length=20), nullable=False, comment="due, running, waiting, done, failed, superseded"
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False, comment="raised by each claim; a publish must name it"),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", Instant(), nullable=True, comment="machine time"),
        sa.Column("not_before", Instant(), nullable=True, comment="machine time of the next attempt"),
        sa.Column("wait_until", Instant(), nullable=True, comment="market time a waiting run sleeps to"),
        sa.Column("started_at", Instant(), nullable=True, comment="machine time"),
        sa.Column("finished_at", Instant(), nullable=True, comment="machine time"),
        sa.Column("counts", Json, nullable=False, comment="symbols by outcome"),
        sa.Column("progress", sa.Float(), nullable=True, comment="share of the work done, 0 to 1, while it runs"),
        sa.Column("progress_detail", sa.Text(), nullable=True, comment="what the run is working on"),
        sa.Column("faults", sa.Integer(), nullable=False, comment="retries after machine faults; they cost no attempt"),
        sa.Column("takeovers", sa.Integer(), nullable=False, comment="how often another worker took it over"),
        sa.Column("error", sa.Text(), nullable=True, comment="why it failed, or why it is tried again"),
        sa.Column("warnings", Json, nullable=False, comment="sentences about a run that is done all the same"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint(
            "job", "scope", "scheduled_for", "sequence", name=op.f("uq_runs_job_scope_scheduled_for_sequence")
        ),
    )
    op.create_index(op.f("ix_runs_state"), "runs", ["state"])
    op.create_table(
        "run_outcomes",
        sa.Column("run_id", BigId, nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_outcomes_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "symbol", name=op.f("pk_run_outcomes")),
    )
    op.create_table(
        "source_rate_limits",
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("run_id", BigId, nullable=False),
        sa.Column("limits", sa.Integer(), nullable=False, comment="how often the source limited the run"),
        sa.Column("limited_at", Instant(), nullable=False, comment="machine time of the newest"),
        sa.Column("paused_until", Instant(), nullable=True, comment="machine time; null once the pauses are used up"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_source_rate_limits_run_id_runs")),
        sa.PrimaryKeyConstraint("source", "run_id", name=op.f("pk_source_rate_limits")),
    )
    op.create_table(
        "model_versions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("group", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("forecaster", sa.String(length=40), nullable=False),
        sa.Column("lookback", sa.Integer(), nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column("trained_at", Instant(), nullable=False, comment="market time: the cut of its data"),
        sa.Column("recorded_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("data_until", Instant(), nullable=True, comment="by then all its data, the test span included, were final"),
        sa.Column("train_first", sa.Date(), nullable=True),
        sa.Column("train_last", sa.Date(), nullable=True),
        sa.Column("validation_first", sa.Date(), nullable=True),
        sa.Column("validation_last", sa.Date(), nullable=True),
        sa.Column("test_first", sa.Date(), nullable=True),
        sa.Column("test_last", sa.Date(), nullable=True),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column("seeds", Json, nullable=False),
        sa.Column("specs", Json, nullable=False),
        sa.Column(
            "config_hash", sa.String(length=64), nullable=False, comment="hash of network, inputs, loss and span"
        ),
        sa.Column("metrics", Json, nullable=False),
        sa.Column("artifact", sa.String(length=300), nullable=False, comment="folder name below the artifact store"),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False, comment="champion, challenger, retired or rejected"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "for_backfill", sa.Boolean(), nullable=False, comment="fitted for a backfill; it never serves on time"
        ),
        sa.Column(
            "pinned_at", Instant(), nullable=True, comment="market time; a refit does not replace a pinned version"
        ),
        sa.Column("run_id", BigId, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_model_versions_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
    )
    op.create_index(
        "uq_model_versions_champion",
        "model_versions",
        ["group", "strategy"],
        unique=True,
        sqlite_where=sa.text("status = 'champion'"),
        postgresql_where=sa.text("status = 'champion'"),
    )
    op.create_table(
        "model_decisions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("model_version_id", BigId, nullable=False),
        sa.Column("decided_at", Instant(), nullable=False, comment="market time"),
        sa.Column("recorded_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("figures", Json, nullable=False),
        sa.Column("run_id", BigId, nullable=True),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_versions.id"], name=op.f("fk_model_decisions_model_version_id_model_versions")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_model_decisions_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_decisions")),
    )
    op.create_index(op.f("ix_model_decisions_model_version_id"), "model_decisions", ["model_version_id"])
    op.create_table(
        "calibration_states",
        sa.Column("model_version_id", BigId, nullable=False),
        sa.Column("calendar", sa.String(length=20), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("state", Json, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_calibration_states_model_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("model_version_id", "calendar", "step", "as_of", name=op.f("pk_calibration_states")),
    )
    op.create_index(op.f("ix_calibration_states_calendar_as_of"), "calibration_states", ["calendar", "as_of"])
    op.create_table(
        "config_approvals",
        sa.Column("id", BigId, nullable=False),
        sa.Column("group", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=False, comment="as in model_versions"),
        sa.Column("forecaster", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False, comment="attempt, live or withdrawn"),
        sa.Column(
            "attempt",
            sa.Integer(),
            nullable=False,
            comment="attempts of the group and strategy so far, this one included",
        ),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("last_session", sa.Date(), nullable=True, comment="newest as_of of the evidence"),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("pinball", sa.Float(), nullable=True, comment="mean over the days, basis points"),
        sa.Column("random_walk_pinball", sa.Float(), nullable=True, comment="as pinball"),
        sa.Column("p", sa.Float(), nullable=True, comment="Diebold-Mariano, one-sided"),
        sa.Column("level", sa.Float(), nullable=True, comment="what p had to reach"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", Json, nullable=True, comment="daily losses, so that the test can be repeated"),
        sa.Column("decided_at", Instant(), nullable=False, comment="market time"),
        sa.Column("recorded_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("run_id", BigId, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_config_approvals_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_config_approvals")),
    )
    op.create_index(op.f("ix_config_approvals_group_strategy"), "config_approvals", ["group", "strategy"])
    for table in APPEND_ONLY:
        forbid_changes(table)


def downgrade() -> None:
    for table in APPEND_ONLY:
        allow_changes(table)
    for table in reversed(TABLES):
        op.drop_table(table)
