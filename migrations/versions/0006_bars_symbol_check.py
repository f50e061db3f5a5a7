"""PostgreSQL looks the symbols of new bars up once for each statement, not once for each row.

Revision: 0006
Revises: 0005
"""

from migrations.triggers import check_bars_by_row, check_bars_by_statement

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    check_bars_by_statement()


def downgrade() -> None:
    check_bars_by_row()
