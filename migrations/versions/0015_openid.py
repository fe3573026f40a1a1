"""Identities elsewhere with which users may sign in."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0015"
down_revision = "0014"

IDENTITIES = "openid_identities"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        IDENTITIES,
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("user_id", types.Id(), nullable=False),
        sa.Column("provider", types.Varchar(30), nullable=False),
        sa.Column("issuer", types.Varchar(200), nullable=False),
        sa.Column("subject", types.Varchar(255), nullable=False),
        sa.Column("email", types.Varchar(254), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_openid_identities"),
        sa.UniqueConstraint(
            "issuer", "subject", name="uq_openid_identities_issuer_subject"
        ),
    )
    for name in ("updated_at", "user_id"):
        op.create_index(f"ix_openid_identities_{name}_id", IDENTITIES, [name, "id"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(IDENTITIES)
