"""The next move of a replayed clock, and the order of the watchlist.

Revision: 1006
Revises: 1005
"""

import sqlalchemy as sa
from alembic import op

from service.db.types import Instant

revision = "1006"
down_revision = "1005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    next_move_at = sa.Column(
        "next_move_at", Instant(), nullable=True, comment="machine time of the next move; null while it is not known"
    )
    op.add_column("market_clock", next_move_at)
    position = sa.Column("position", sa.Integer(), nullable=True, comment="order in which the symbols were added")
    op.add_column("instruments", position)


def downgrade() -> None:
    op.drop_column("instruments", "position")
    op.drop_column("market_clock", "next_move_at")
