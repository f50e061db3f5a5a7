"""Tables that control the service: its identity, market time, schedulers, keys, run requests, counters, audit.

Revision: 1001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from service.db.types import BigId, Instant, Json

revision = "1001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("stamp", "market_clock", "schedulers", "api_keys", "run_requests", "change_counters", "audit")
"""In the order in which they refer to one another."""


def upgrade() -> None:
    op.create_table(
        "stamp",
        sa.Column(
            "id",
            sa.Integer(),
            sa.CheckConstraint("id = 1", name=op.f("ck_stamp_single")),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("clock_mode", sa.String(length=20), nullable=False),
        sa.Column(
            "start_at",
            Instant(),
            nullable=False,
            comment="market time when the database was made",
        ),
        sa.Column("created_at", Instant(), nullable=False, comment="machine time"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stamp")),
    )
    op.create_table(
        "market_clock",
        sa.Column(
            "id",
            sa.Integer(),
            sa.CheckConstraint("id = 1", name=op.f("ck_market_clock_single")),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("now", Instant(), nullable=False),
        sa.Column("record_end", sa.Date(), nullable=True, comment="last session of the record"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_clock")),
    )
    op.create_table(
        "schedulers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False, comment="host and process, for people"),
        sa.Column("heartbeat_at", Instant(), nullable=False),
        sa.Column(
            "lease_until",
            Instant(),
            nullable=True,
            comment="set while this one is active",
        ),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedulers")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", BigId, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_table(
        "run_requests",
        sa.Column("id", BigId, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False, comment="SHA-256 of the body's canonical JSON"),
        sa.Column("key_id", BigId, nullable=True, comment="null for the command line"),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", Instant(), nullable=False, comment="machine time"),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("result", Json, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("answer", Json, nullable=True, comment="stored answer: status and body"),
        sa.Column("expires_at", Instant(), nullable=True, comment="machine time until which the answer is kept"),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_run_requests_key_id_api_keys")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_requests")),
        sa.UniqueConstraint("key_id", "idempotency_key", name=op.f("uq_run_requests_key_id_idempotency_key")),
    )
    op.create_table(
        "change_counters",
        sa.Column("scope", sa.String(length=40), nullable=False, comment="empty for the one counter, else a symbol"),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_change_counters")),
    )
    op.create_table(
        "audit",
        sa.Column("id", BigId, nullable=False),
        sa.Column("at", Instant(), nullable=False, comment="machine time"),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("detail", Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
