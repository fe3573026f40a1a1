"""Indexes for filters and sorts, and the table of kept responses."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from myapp.core.stores.sql import types

revision = "0002"
down_revision = "0001"

BODY = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
INDEXED = {
    "catalog_directors": ("name", "born", "country"),
    "catalog_movies": ("title", "year", "director_id", "runtime", "price"),
}


def upgrade() -> None:
    """Create the indexes and the table."""
    for table, fields in INDEXED.items():
        for field in fields:
            op.create_index(f"ix_{table}_{field}_id", table, [field, "id"])
    op.drop_index("ix_catalog_movies_director_id", "catalog_movies")
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.CHAR(64), nullable=False),
        sa.Column("fingerprint", sa.CHAR(64), nullable=False),
        sa.Column("owner", types.Id(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=True),
        sa.Column("body", BODY, nullable=True),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_idempotency_keys"),
    )
    op.create_index(
        "ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"]
    )


def downgrade() -> None:
    """Drop the table and the indexes."""
    op.drop_table("idempotency_keys")
    op.create_index("ix_catalog_movies_director_id", "catalog_movies", ["director_id"])
    for table, fields in INDEXED.items():
        for field in fields:
            op.drop_index(f"ix_{table}_{field}_id", table)
