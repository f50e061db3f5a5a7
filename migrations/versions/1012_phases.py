"""Where the time of a run went.

Revision: 1012
Revises: 1011
"""

import sqlalchemy as sa
from alembic import op

from service.db.types import Json

revision = "1012"
down_revision = "1011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("phases", Json, nullable=True, comment="where its time went, all attempts together"))


def downgrade() -> None:
    op.drop_column("runs", "phases")
