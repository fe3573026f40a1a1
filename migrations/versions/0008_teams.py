"""The tables of teams: teams, and their members."""

import sqlalchemy as sa
from alembic import op

from myapp.core.stores.sql import types

revision = "0008"
down_revision = "0007"

TEAMS, MEMBERS = "teams_teams", "teams_members"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        TEAMS,
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", types.Varchar(100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_teams_teams"),
    )
    for name in ("title", "updated_at"):
        op.create_index(f"ix_teams_teams_{name}_id", TEAMS, [name, "id"])
    op.create_table(
        MEMBERS,
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("team_id", types.Id(), nullable=False),
        sa.Column("user_id", types.Id(), nullable=False),
        sa.Column("is_leader", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["team_id"],
            [f"{TEAMS}.id"],
            name="fk_teams_members_team_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_teams_members"),
        sa.UniqueConstraint(
            "team_id", "user_id", name="uq_teams_members_team_id_user_id"
        ),
    )
    for name in ("is_leader", "team_id", "updated_at", "user_id"):
        op.create_index(f"ix_teams_members_{name}_id", MEMBERS, [name, "id"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table(MEMBERS)
    op.drop_table(TEAMS)
