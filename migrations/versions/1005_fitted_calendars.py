"""Calendars that are assumed or fitted to the rows, and dates that are a day early.

Revision: 1005
Revises: 1004
"""

import sqlalchemy as sa
from alembic import op

revision = "1005"
down_revision = "1004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns to the instruments: calendars of earlier versions count as stated, and dates as local."""
    op.add_column(
        "instruments",
        sa.Column(
            "calendar_approximate", sa.Boolean(), nullable=False, server_default=sa.false(),
            comment="a default, or fitted to the rows",
        ),
    )  # fmt: skip
    op.add_column(
        "instruments",
        sa.Column(
            "utc_dates", sa.Boolean(), nullable=False, server_default=sa.false(),
            comment="the source dates a session by its local midnight in UTC",
        ),
    )  # fmt: skip


def downgrade() -> None:
    """Remove the columns."""
    op.drop_column("instruments", "utc_dates")
    op.drop_column("instruments", "calendar_approximate")
