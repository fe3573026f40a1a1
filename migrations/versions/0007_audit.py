"""The lines of the audit."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0007"
down_revision = "0006"

LINES = "audit_lines"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        LINES,
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("model", types.Varchar(255), nullable=False),
        sa.Column("record_id", types.Varchar(255), nullable=False),
        sa.Column("record_version", sa.Integer(), nullable=False),
        sa.Column("action", types.Varchar(6), nullable=False),
        sa.Column("caller_id", types.Varchar(255), nullable=True),
        sa.Column("address", types.Varchar(255), nullable=True),
        sa.Column("request_id", types.Varchar(255), nullable=True),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_lines"),
    )
    for name in ("caller_id", "model", "record_id", "request_id"):
        op.create_index(f"ix_audit_lines_{name}_id", LINES, [name, "id"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(LINES)
