"""The newest calibration states of a calendar are found without reading all of them.

Revision: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_calibration_states_calendar_as_of"), "calibration_states", ["calendar", "as_of"])


def downgrade() -> None:
    op.drop_index(op.f("ix_calibration_states_calendar_as_of"), table_name="calibration_states")
