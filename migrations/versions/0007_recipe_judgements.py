"""What was judged of the recipes: the gate in front of serving.

Revision: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from migrations.triggers import allow_changes, forbid_changes
from service.db.types import BigId, Instant, Json

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recipe_judgements",
        sa.Column("id", BigId, nullable=False),
        sa.Column("group", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=20), nullable=False),
        sa.Column("recipe", sa.String(length=64), nullable=False, comment="as in model_versions"),
        sa.Column("architecture", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False, comment="asked, live or withdrawn"),
        sa.Column(
            "asking",
            sa.Integer(),
            nullable=False,
            comment="askings of the group and strategy so far, this one included",
        ),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("last_session", sa.Date(), nullable=True, comment="newest as_of of the evidence"),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("pinball", sa.Float(), nullable=True, comment="mean over the days, basis points"),
        sa.Column("random_walk_pinball", sa.Float(), nullable=True, comment="as pinball"),
        sa.Column("p", sa.Float(), nullable=True, comment="Diebold-Mariano, one-sided"),
        sa.Column("level", sa.Float(), nullable=True, comment="what p had to reach"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", Json, nullable=True, comment="daily losses, so that it can be judged again"),
        sa.Column("judged_at", Instant(), nullable=False, comment="market time"),
        sa.Column("recorded_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("run_id", BigId, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_recipe_judgements_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipe_judgements")),
    )
    op.create_index(op.f("ix_recipe_judgements_group_strategy"), "recipe_judgements", ["group", "strategy"])
    forbid_changes("recipe_judgements")


def downgrade() -> None:
    allow_changes("recipe_judgements")
    op.drop_table("recipe_judgements")
