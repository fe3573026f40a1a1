"""The second factor of users."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0009"
down_revision = "0008"

USERS = "accounts_users"
COLUMNS = ("totp_secret", "totp_waits", "recovery_codes")


def upgrade() -> None:
    """Add the columns; users of before have none."""
    with op.batch_alter_table(USERS) as batch:
        batch.add_column(sa.Column("totp_secret", types.Varchar(64), nullable=True))
        batch.add_column(sa.Column("totp_waits", types.Varchar(64), nullable=True))
        batch.add_column(
            sa.Column("recovery_codes", sa.JSON(none_as_null=True), nullable=True)
        )


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table(USERS) as batch:
        for name in COLUMNS:
            batch.drop_column(name)
