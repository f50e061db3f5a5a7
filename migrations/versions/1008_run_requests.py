"""Run requests over HTTP.

Revision: 1008
Revises: 1007
"""

revision = "1008"
down_revision = "1007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
