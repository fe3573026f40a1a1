"""A key has no claim any more, only the response to the first request."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from myapp.core.stores.sql import types

revision = "0004"
down_revision = "0003"
accepted_break = "no release has this table"

TABLE = "idempotency_keys"
BODY = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
REQUIRED = {"status": sa.Integer(), "headers": sa.JSON(), "body": BODY}


def upgrade() -> None:
    """Drop the owner of a claim, and the claims."""
    op.execute(f"DELETE FROM {TABLE} WHERE status IS NULL")
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_column("owner")
        for name, kind in REQUIRED.items():
            batch.alter_column(name, existing_type=kind, nullable=False)


def downgrade() -> None:
    """Add the owner again; the kept responses are dropped."""
    op.execute(f"DELETE FROM {TABLE}")
    with op.batch_alter_table(TABLE) as batch:
        batch.add_column(sa.Column("owner", types.Id(), nullable=False))
        for name, kind in REQUIRED.items():
            batch.alter_column(name, existing_type=kind, nullable=True)
