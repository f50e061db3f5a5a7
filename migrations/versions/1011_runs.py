"""Workers that a run lost in succession.

Revision: 1011
Revises: 1010
"""

import sqlalchemy as sa
from alembic import op

revision = "1011"
down_revision = "1010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    lost_workers = sa.Column(
        "lost_workers",
        sa.Integer(),
        nullable=False,
        server_default="0",
        comment="takeovers since a worker last survived it; limited by a setting",
    )
    op.add_column("runs", lost_workers)
    fenced = sa.Column(
        "fenced",
        sa.Integer(),
        nullable=False,
        server_default="0",
        comment="how often a result was discarded, because the claim was lost",
    )
    op.add_column("runs", fenced)


def downgrade() -> None:
    op.drop_column("runs", "fenced")
    op.drop_column("runs", "lost_workers")
