"""Alert subscriptions and their deliveries.

Revision: 1009
Revises: 1008
"""

import sqlalchemy as sa
from alembic import op

from service.db.types import BigId, Instant, Json

revision = "1009"
down_revision = "1008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_subscriptions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kinds", Json, nullable=False, comment="kinds of events it wants"),
        sa.Column("scope_kind", sa.String(10), nullable=False, comment="all, group or symbol"),
        sa.Column("scope", sa.String(40), nullable=True, comment="the group or symbol; null for all"),
        sa.Column("interval", sa.Integer(), nullable=False, comment="50, 80 or 95: the interval a close has to leave"),
        sa.Column("target_kind", sa.String(10), nullable=False, comment="webhook or apprise"),
        sa.Column("target_shown", sa.String(300), nullable=False, comment="the target without its secret parts"),
        sa.Column("target_encrypted", sa.Text(), nullable=True, comment="null once removed"),
        sa.Column("secret_encrypted", sa.Text(), nullable=True, comment="null for apprise, and once removed"),
        sa.Column("created_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("removed_at", Instant(), nullable=True, comment="machine time"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_subscriptions")),
    )
    op.create_table(
        "alert_events",
        sa.Column("id", BigId, nullable=False),
        sa.Column("key", sa.String(200), nullable=False, comment="one event per key, however often it is detected"),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("mode", sa.String(10), nullable=False, comment="live or replay"),
        sa.Column("symbol", sa.String(40), nullable=True),
        sa.Column("group", sa.String(40), nullable=True),
        sa.Column("calendar", sa.String(20), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("detail", Json, nullable=False),
        sa.Column("market_at", Instant(), nullable=False, comment="market time"),
        sa.Column("recorded_at", Instant(), nullable=False, comment="machine time"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_events")),
        sa.UniqueConstraint("key", name=op.f("uq_alert_events_key")),
    )
    op.create_index(op.f("ix_alert_events_recorded_at"), "alert_events", ["recorded_at"])
    _create_deliveries()
    op.create_table(
        "alert_conditions",
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("subject", sa.String(40), nullable=False, comment="a calendar"),
        sa.Column("since", Instant(), nullable=False, comment="market time"),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_alert_conditions")),
    )
    op.create_table(
        "alert_coverage",
        sa.Column("subscription_id", BigId, nullable=False),
        sa.Column("symbol", sa.String(40), nullable=False),
        sa.Column("low", sa.Integer(), nullable=False, comment="CUSUM against a coverage that is too low"),
        sa.Column("high", sa.Integer(), nullable=False, comment="CUSUM against a coverage that is too high"),
        sa.Column("last_session", sa.Date(), nullable=False, comment="newest target session that was counted"),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["alert_subscriptions.id"],
            name=op.f("fk_alert_coverage_subscription_id_alert_subscriptions"),
        ),
        sa.PrimaryKeyConstraint("subscription_id", "symbol", name=op.f("pk_alert_coverage")),
    )


def _create_deliveries() -> None:
    op.create_table(
        "alert_deliveries",
        sa.Column("id", BigId, nullable=False),
        sa.Column("subscription_id", BigId, nullable=False),
        sa.Column("message_id", sa.String(40), nullable=False, comment="the same in every attempt: webhook-id"),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False, comment="number of events in the body"),
        sa.Column("body", sa.Text(), nullable=False, comment="JSON as it is sent and signed"),
        sa.Column("state", sa.String(10), nullable=False, comment="pending, delivered, dead or dropped"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("lease_until", Instant(), nullable=True, comment="machine time; set while it is being sent"),
        sa.Column("token", sa.Integer(), nullable=False, comment="raised by each claim; a result must name it"),
        sa.Column("created_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("finished_at", Instant(), nullable=True, comment="machine time"),
        sa.Column("error", sa.Text(), nullable=True, comment="why the last attempt failed, or why it was dropped"),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["alert_subscriptions.id"],
            name=op.f("fk_alert_deliveries_subscription_id_alert_subscriptions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_deliveries")),
        sa.UniqueConstraint("message_id", name=op.f("uq_alert_deliveries_message_id")),
    )
    op.create_index(op.f("ix_alert_deliveries_state_next_attempt_at"), "alert_deliveries", ["state", "next_attempt_at"])
    op.create_index(
        op.f("ix_alert_deliveries_subscription_id_state_id"), "alert_deliveries", ["subscription_id", "state", "id"]
    )


def downgrade() -> None:
    op.drop_table("alert_coverage")
    op.drop_table("alert_conditions")
    op.drop_table("alert_deliveries")
    op.drop_table("alert_events")
    op.drop_table("alert_subscriptions")
