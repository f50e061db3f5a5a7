"""Instruments, sessions, and the bars and corporate actions pulled for them.

Revision: 1002
Revises: 1001
"""

import sqlalchemy as sa
from alembic import op

from migrations.triggers import check_bars_by_row, check_bars_by_statement
from service.db.types import BigId, Instant, Json

revision = "1002"
down_revision = "1001"
branch_labels = None
depends_on = None

TABLES = (
    "instruments", "sessions", "bars", "bar_revisions", "corporate_actions", "corporate_action_revisions",
    "quarantine", "symbol_holds",
)  # fmt: skip
"""In the order in which they refer to one another."""


def upgrade() -> None:
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
        sa.Column("state_since", Instant(), nullable=False, comment="market time"),
        sa.Column("added_at", Instant(), nullable=False, comment="market time"),
        sa.Column("first_session", sa.Date(), nullable=True),
        sa.Column("last_session", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_instruments")),
    )
    op.create_table(
        "sessions",
        sa.Column("calendar", sa.String(length=20), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("open_at", Instant(), nullable=False),
        sa.Column("close_at", Instant(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False, comment="expected, or closed where it turned out so"),
        sa.Column("approximate", sa.Boolean(), nullable=False, comment="from the weekday fallback"),
        sa.PrimaryKeyConstraint("calendar", "session", name=op.f("pk_sessions")),
        sqlite_with_rowid=False,
    )
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
        sa.Column("fetched_at", Instant(), nullable=False, comment="market time"),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("vendor", sa.String(length=40), nullable=True, comment="who delivered the bar"),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_bars_symbol_instruments")),
        sa.PrimaryKeyConstraint("symbol", "session", name=op.f("pk_bars")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bar_revisions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="of the value that was replaced"),
        sa.Column("open", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("close", sa.Float(), nullable=False),
        sa.Column("volume", sa.Float(), nullable=True),
        sa.Column("fetched_at", Instant(), nullable=False),
        sa.Column("replaced_at", Instant(), nullable=False, comment="market time"),
        sa.Column("basis", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_bar_revisions_symbol_instruments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bar_revisions")),
    )
    op.create_index(op.f("ix_bar_revisions_symbol_session"), "bar_revisions", ["symbol", "session"])
    op.create_table(
        "corporate_actions",
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("ex_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("fetched_at", Instant(), nullable=False, comment="market time"),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["symbol"], ["instruments.symbol"], name=op.f("fk_corporate_actions_symbol_instruments")
        ),
        sa.PrimaryKeyConstraint("symbol", "ex_date", "kind", name=op.f("pk_corporate_actions")),
    )
    op.create_table(
        "corporate_action_revisions",
        sa.Column("id", BigId, nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("ex_date", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="of the value that was replaced"),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("fetched_at", Instant(), nullable=False, comment="market time"),
        sa.Column("replaced_at", Instant(), nullable=False, comment="market time"),
        sa.Column("basis", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["symbol"], ["instruments.symbol"], name=op.f("fk_corporate_action_revisions_symbol_instruments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corporate_action_revisions")),
    )
    op.create_index(
        op.f("ix_corporate_action_revisions_symbol_ex_date"), "corporate_action_revisions", ["symbol", "ex_date"]
    )
    op.create_table(
        "quarantine",
        sa.Column("id", BigId, nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("session", sa.Date(), nullable=True),
        sa.Column("row", Json, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False, comment="open, confirmed or cleared"),
        sa.Column("first_seen_at", Instant(), nullable=False, comment="market time"),
        sa.Column("last_seen_at", Instant(), nullable=False, comment="market time"),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_quarantine_symbol_instruments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index(op.f("ix_quarantine_symbol_session"), "quarantine", ["symbol", "session"])
    op.create_table(
        "symbol_holds",
        sa.Column("id", BigId, nullable=False),
        sa.Column("symbol", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False, comment="basis or gone"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False, comment="open, confirmed or cleared"),
        sa.Column("sessions_seen", Json, nullable=False, comment="ISO dates of the sessions whose pull raised it"),
        sa.Column("allowed", sa.Boolean(), nullable=False, comment="the next pull takes the source's history as it is"),
        sa.Column("first_seen_at", Instant(), nullable=False, comment="market time"),
        sa.Column("last_seen_at", Instant(), nullable=False, comment="market time"),
        sa.ForeignKeyConstraint(["symbol"], ["instruments.symbol"], name=op.f("fk_symbol_holds_symbol_instruments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_symbol_holds")),
    )
    op.create_index(op.f("ix_symbol_holds_symbol_state"), "symbol_holds", ["symbol", "state"])
    check_bars_by_statement()


def downgrade() -> None:
    check_bars_by_row()
    for table in reversed(TABLES):
        op.drop_table(table)
