"""The session in which a user has allowed a client."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

CONSENTS = "oauth_consents"


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table(CONSENTS) as batch:
        batch.add_column(sa.Column("session", sa.CHAR(64), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table(CONSENTS) as batch:
        batch.drop_column("session")
