"""Personal access tokens."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0010"
down_revision = "0009"

TOKENS = "accounts_tokens"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        TOKENS,
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", types.Varchar(100), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.Column("user_id", types.Id(), nullable=False),
        sa.Column("digest", sa.CHAR(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["accounts_users.id"],
            name="fk_accounts_tokens_user_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_accounts_tokens"),
        sa.UniqueConstraint("digest", name="uq_accounts_tokens_digest"),
    )
    for name in ("updated_at", "user_id"):
        op.create_index(f"ix_accounts_tokens_{name}_id", TOKENS, [name, "id"])
    op.create_index("ix_accounts_tokens_expires_at", TOKENS, ["expires_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(TOKENS)
