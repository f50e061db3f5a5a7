"""Counts of a run's faults.

Revision: 1011
Revises: 1010
"""

revision = "1011"
down_revision = "1010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
