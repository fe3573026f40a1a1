"""The tables of jobs, of the ticks of crons, and the outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from myapp.core.stores.sql import types

revision = "0005"
down_revision = "0004"

PAYLOAD = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("name", types.Varchar(100), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("state", types.Varchar(9), nullable=False),
        sa.Column("unique_key", sa.CHAR(64), nullable=True),
        sa.Column("owner", types.Varchar(255), nullable=True),
        sa.Column("request_id", types.Varchar(200), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("due_at", types.UtcDateTime(), nullable=False),
        sa.Column("publish_at", types.UtcDateTime(), nullable=True),
        sa.Column("started_at", types.UtcDateTime(), nullable=True),
        sa.Column("ended_at", types.UtcDateTime(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("unique_key", name="uq_jobs_unique_key"),
    )
    op.create_index("ix_jobs_ended_at", "jobs", ["ended_at"])
    op.create_index("ix_jobs_publish_at", "jobs", ["publish_at"])
    op.create_index("ix_jobs_state_due_at", "jobs", ["state", "due_at"])
    op.create_table(
        "job_ticks",
        sa.Column("name", types.Varchar(100), nullable=False),
        sa.Column("tick", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", "tick", name="pk_job_ticks"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("store", types.Varchar(20), nullable=False),
        sa.Column("payload", PAYLOAD, nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("outbox", "job_ticks", "jobs"):
        op.drop_table(table)
