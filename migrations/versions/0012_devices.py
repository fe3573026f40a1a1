"""Devices that ask for tokens by OAuth."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0012"
down_revision = "0011"

DEVICES = "oauth_devices"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        DEVICES,
        sa.Column("digest", sa.CHAR(64), nullable=False),
        sa.Column("user_digest", sa.CHAR(64), nullable=False),
        sa.Column("client_id", types.Id(), nullable=False),
        sa.Column("consent_id", types.Id(), nullable=True),
        sa.Column("is_denied", sa.Boolean(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("resource", types.Varchar(500), nullable=True),
        sa.Column("polled_at", types.UtcDateTime(), nullable=True),
        sa.Column("wait", sa.Integer(), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["oauth_clients.id"],
            name="fk_oauth_devices_client_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["consent_id"],
            ["oauth_consents.id"],
            name="fk_oauth_devices_consent_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_oauth_devices"),
        sa.UniqueConstraint("user_digest", name="uq_oauth_devices_user_digest"),
    )
    for name in ("client_id", "consent_id", "expires_at"):
        op.create_index(f"ix_oauth_devices_{name}", DEVICES, [name])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(DEVICES)
