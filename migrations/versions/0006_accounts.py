"""The tables of accounts: users, and the links that were mailed to them."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0006"
down_revision = "0005"

USERS = "accounts_users"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        USERS,
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("email", types.Varchar(254), nullable=False),
        sa.Column("name", types.Varchar(100), nullable=True),
        sa.Column("role", types.Varchar(20), nullable=False),
        sa.Column("verified_at", types.UtcDateTime(), nullable=True),
        sa.Column("email_key", types.Varchar(254), nullable=False),
        sa.Column("password_hash", types.Varchar(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts_users"),
        sa.UniqueConstraint("email_key", name="uq_accounts_users_email_key"),
    )
    for name in ("email", "email_key", "role", "updated_at", "verified_at"):
        op.create_index(f"ix_accounts_users_{name}_id", USERS, [name, "id"])
    op.create_table(
        "accounts_links",
        sa.Column("digest", sa.CHAR(64), nullable=False),
        sa.Column("user_id", types.Id(), nullable=False),
        sa.Column("purpose", types.Varchar(20), nullable=False),
        sa.Column("address", types.Varchar(254), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            [f"{USERS}.id"],
            name="fk_accounts_links_user_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_accounts_links"),
    )
    op.create_index("ix_accounts_links_expires_at", "accounts_links", ["expires_at"])
    op.create_index("ix_accounts_links_user_id", "accounts_links", ["user_id"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("accounts_links")
    op.drop_table(USERS)
