"""Which access tokens a client gets."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0013"
down_revision = "0012"

CLIENTS = "oauth_clients"


def upgrade() -> None:
    """Add the column; clients of before get opaque ones."""
    with op.batch_alter_table(CLIENTS) as batch:
        batch.add_column(
            sa.Column(
                "access_tokens",
                types.Varchar(10),
                nullable=False,
                server_default="opaque",
            )
        )


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table(CLIENTS) as batch:
        batch.drop_column("access_tokens")
