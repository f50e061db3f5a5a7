"""Keys, page sessions and the audit.

Revision: 1007
Revises: 1006
"""

import sqlalchemy as sa
from alembic import op

from service.db.types import BigId, Instant

revision = "1007"
down_revision = "1006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "api_keys", sa.Column("last_used_at", Instant(), nullable=True, comment="machine time, written in batches")
    )
    op.add_column(
        "audit",
        sa.Column(
            "request_id", sa.String(64), nullable=True, comment="of the HTTP request; null for the command line"
        ),
    )
    op.create_table(
        "page_sessions",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, comment="of the cookie's token"),
        sa.Column("key_id", BigId, sa.ForeignKey("api_keys.id", name="fk_page_sessions_key_id_api_keys"), nullable=False),
        sa.Column(
            "signed_in_at", Instant(), nullable=False, comment="machine time of the sign-in, kept by renewals"
        ),
        sa.Column("created_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True, comment="refused from then on: signed out, or renewed"),
        sa.UniqueConstraint("sha256", name="uq_page_sessions_sha256"),
    )


def downgrade() -> None:
    op.drop_table("page_sessions")
    op.drop_column("audit", "request_id")
    op.drop_column("api_keys", "last_used_at")
