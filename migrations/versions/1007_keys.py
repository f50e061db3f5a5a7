"""Keys, page sessions and the audit.

Revision: 1007
Revises: 1006
"""

revision = "1007"
down_revision = "1006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
