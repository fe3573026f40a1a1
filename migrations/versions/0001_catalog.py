"""The tables of the catalog."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "catalog_directors",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", types.Varchar(200), nullable=False),
        sa.Column("born", sa.Date(), nullable=True),
        sa.Column("country", types.Varchar(2), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_catalog_directors"),
    )
    op.create_table(
        "catalog_movies",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", types.Varchar(200), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("director_id", types.Id(), nullable=True),
        sa.Column("runtime", sa.Integer(), nullable=True),
        sa.Column("genres", sa.JSON(), nullable=False),
        sa.Column("synopsis", types.Varchar(2000), nullable=True),
        sa.Column("price", types.ExactDecimal(10, 2), nullable=True),
        sa.ForeignKeyConstraint(
            ["director_id"],
            ["catalog_directors.id"],
            name="fk_catalog_movies_director_id",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_catalog_movies"),
    )
    op.create_index("ix_catalog_movies_director_id", "catalog_movies", ["director_id"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("catalog_movies")
    op.drop_table("catalog_directors")
