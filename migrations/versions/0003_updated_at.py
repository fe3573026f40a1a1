"""Indexes for what has changed since a time."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = ("catalog_directors", "catalog_movies")


def upgrade() -> None:
    """Create the indexes."""
    for table in TABLES:
        op.create_index(f"ix_{table}_updated_at_id", table, ["updated_at", "id"])


def downgrade() -> None:
    """Drop the indexes."""
    for table in TABLES:
        op.drop_index(f"ix_{table}_updated_at_id", table)
