"""Alert subscriptions and their deliveries.

Revision: 1009
Revises: 1008
"""

revision = "1009"
down_revision = "1008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
