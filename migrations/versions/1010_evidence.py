"""Guards of the ledger, and retention.

Revision: 1010
Revises: 1009
"""

revision = "1010"
down_revision = "1009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
