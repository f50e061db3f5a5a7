"""Run requests over HTTP: who made them, when they are tried again; backfills as runs; chosen groups and calendars.

Revision: 1008
Revises: 1007
"""

import sqlalchemy as sa
from alembic import op

from service.db.types import Instant, Json

revision = "1008"
down_revision = "1007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("actor", sa.String(200), nullable=False, server_default="command line", comment="as in the audit"),
        sa.Column("request_id", sa.String(64), nullable=True, comment="of the HTTP request; null for the command line"),
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="0", comment="failed tries to carry it out"),
        sa.Column("not_before", Instant(), nullable=True, comment="machine time of the next try"),
    ):
        op.add_column("run_requests", column)
    op.create_index("ix_run_requests_state", "run_requests", ["state"])
    op.add_column(
        "runs", sa.Column("parameters", Json, nullable=True, comment="of a backfill: its dates and symbols")
    )
    op.add_column(
        "runs", sa.Column("result", Json, nullable=True, comment="of a backfill: what it has done so far")
    )
    if op.get_bind().dialect.name == "postgresql":  # SQLite stores no comments
        op.alter_column("runs", "job", comment="pull, score, forecast, train or backfill")
    op.add_column(
        "instruments",
        sa.Column("chosen_group", sa.String(40), nullable=True, comment="set by a request, else that of the type"),
    )
    op.add_column(
        "instruments",
        sa.Column(
            "chosen_calendar", sa.String(20), nullable=True, comment="set by a request, else that of the source"
        ),
    )


def downgrade() -> None:
    op.drop_column("instruments", "chosen_calendar")
    op.drop_column("instruments", "chosen_group")
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("runs", "job", comment="pull, score, forecast or train")
    op.drop_column("runs", "result")
    op.drop_column("runs", "parameters")
    op.drop_index("ix_run_requests_state", "run_requests")
    for name in ("not_before", "attempt", "request_id", "actor"):
        op.drop_column("run_requests", name)
