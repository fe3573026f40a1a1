"""The tables of OAuth: clients, consents, codes and tokens."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0011"
down_revision = "0010"

CLIENTS, CONSENTS = "oauth_clients", "oauth_consents"
CODES, TOKENS = "oauth_codes", "oauth_tokens"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        CLIENTS,
        *own_columns(),
        sa.Column("name", types.Varchar(100), nullable=False),
        sa.Column("is_confidential", sa.Boolean(), nullable=False),
        sa.Column("grants", sa.JSON(), nullable=False),
        sa.Column("redirect_uris", sa.JSON(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("owner_id", types.Id(), nullable=True),
        sa.Column("secret_digest", sa.CHAR(64), nullable=True),
        sa.Column("role", types.Varchar(20), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_clients"),
    )
    add_indexes(CLIENTS, "owner_id", "updated_at")
    op.create_table(
        CONSENTS,
        *own_columns(),
        sa.Column("client_id", types.Id(), nullable=False),
        sa.Column("client_name", types.Varchar(100), nullable=False),
        sa.Column("user_id", types.Id(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("resource", types.Varchar(500), nullable=True),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        reference(CONSENTS, "client_id", CLIENTS),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_consents"),
    )
    add_indexes(CONSENTS, "client_id", "updated_at", "user_id")
    op.create_index("ix_oauth_consents_expires_at", CONSENTS, ["expires_at"])
    op.create_table(
        CODES,
        sa.Column("digest", sa.CHAR(64), nullable=False),
        sa.Column("consent_id", types.Id(), nullable=False),
        sa.Column("redirect_uri", types.Varchar(500), nullable=False),
        sa.Column("challenge", types.Varchar(128), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.Column("used_at", types.UtcDateTime(), nullable=True),
        reference(CODES, "consent_id", CONSENTS),
        sa.PrimaryKeyConstraint("digest", name="pk_oauth_codes"),
    )
    op.create_index("ix_oauth_codes_consent_id", CODES, ["consent_id"])
    op.create_table(
        TOKENS,
        sa.Column("digest", sa.CHAR(64), nullable=False),
        sa.Column("is_refresh", sa.Boolean(), nullable=False),
        sa.Column("client_id", types.Id(), nullable=False),
        sa.Column("consent_id", types.Id(), nullable=True),
        sa.Column("user_id", types.Id(), nullable=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("resource", types.Varchar(500), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.Column("used_at", types.UtcDateTime(), nullable=True),
        reference(TOKENS, "client_id", CLIENTS),
        reference(TOKENS, "consent_id", CONSENTS),
        sa.PrimaryKeyConstraint("digest", name="pk_oauth_tokens"),
    )
    for name in ("client_id", "consent_id", "expires_at"):
        op.create_index(f"ix_oauth_tokens_{name}", TOKENS, [name])


def own_columns() -> list[sa.Column]:
    """The columns that the server sets in each record."""
    return [
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    ]


def reference(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    """A foreign key; what refers to a deleted row goes with it."""
    name = f"fk_{table}_{column}"
    return sa.ForeignKeyConstraint(
        [column], [f"{other}.id"], name=name, ondelete="CASCADE"
    )


def add_indexes(table: str, *names: str) -> None:
    """Create the indexes of a model."""
    for name in names:
        op.create_index(f"ix_{table}_{name}_id", table, [name, "id"])


def downgrade() -> None:
    """Drop the tables."""
    for table in (TOKENS, CODES, CONSENTS, CLIENTS):
        op.drop_table(table)
