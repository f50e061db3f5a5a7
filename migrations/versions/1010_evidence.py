"""Guards of the ledger, and retention.

Closes what the triggers of 1003 and 1004 leave open: SQLite's INSERT OR REPLACE, PostgreSQL's TRUNCATE, and the audit.

Revision: 1010
Revises: 1009
"""

import sqlalchemy as sa
from alembic import op

from migrations.triggers import allow_changes, allow_replacement, forbid_changes, forbid_replacement
from service.db.types import Instant

revision = "1010"
down_revision = "1009"
branch_labels = None
depends_on = None

KEYS = {
    "editions": (("number",),),
    "forecasts": (("id",), ("symbol", "as_of", "step", "model_version_id", "revision")),
    "served_forecasts": (("edition", "symbol", "strategy"),),
    "score_batches": (("number",),),
    "scores": (("id",), ("forecast_id", "revision")),
    "model_decisions": (("id",),),
    "config_approvals": (("id",),),
    "audit": (("id",),),
}
"""Unique keys of the append-only tables, by table."""


def upgrade() -> None:
    forbid_changes("audit", "the audit")
    for table, keys in KEYS.items():
        forbid_replacement(table, keys, "the audit" if table == "audit" else "the ledger")
    pruned_at = sa.Column(
        "outcomes_pruned_at", Instant(), nullable=True, comment="machine time; null while its outcomes are kept"
    )
    op.add_column("runs", pruned_at)


def downgrade() -> None:
    op.drop_column("runs", "outcomes_pruned_at")
    for table in KEYS:
        allow_replacement(table)
    allow_changes("audit")
