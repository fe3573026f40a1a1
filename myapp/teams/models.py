"""The tables of teams, and who may read and write them."""

from typing import Any

from flask import g
from sqlalchemy import ForeignKey, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from myapp.accounts import door
from myapp.core.access import ACCESS, Caller, caller_id, relation
from myapp.core.model import Change, one_of, unscoped
from myapp.core.stores.sql import Id, SqlModel, Varchar, rows, sql

ACCESS["member"] = relation("member", "the members of the team")
ACCESS["leader"] = relation("leader", "the leaders of the team")


class Team(SqlModel):
    """A team."""

    __tablename__ = "teams_teams"
    audited = True
    filterable = ("title",)
    sortable = ("title",)
    searchable = ("title",)
    write_schema = {
        "$id": "/schemas/team.write.json",
        "title": "A team, as written",
        "type": "object",
        "properties": {"title": {"type": "string", "minLength": 1, "maxLength": 100}},
        "required": ["title"],
        "additionalProperties": False,
        "examples": [{"title": "Restoration"}],
    }

    title: Mapped[str] = mapped_column(Varchar(100))

    @classmethod
    def related(cls, caller: Caller, relation: str) -> Any:
        """The teams of a member or a leader."""
        return (one_of("id", teams_of(caller, relation == "leader")),)

    @classmethod
    def before_write(cls, change: Change) -> None:
        """The memberships of a team that is deleted are deleted as others are, so that
        the audit tells of them."""
        if change.after is None and change.before is not None:
            mine = MEMBERS.c.team_id == change.before["id"]
            asked: Any = select(MEMBERS).where(mine).with_for_update()
            found = sql.session.connection().execute(asked).all()
            with unscoped():
                Membership.discard([dict(row._mapping) for row in found])

    @classmethod
    def after_write(cls, change: Change) -> None:
        """The user who makes a team is its first leader."""
        id = caller_id()
        if change.before is None and change.after is not None and door.is_user_id(id):
            add_member(change.after["id"], id, is_leader=True)


class Membership(SqlModel):
    """That a user belongs to a team."""

    __tablename__ = "teams_members"
    __table_args__ = (UniqueConstraint("team_id", "user_id"),)
    audited = True
    filterable = ("user_id", "is_leader")
    scoped_by = ("team_id",)
    server_properties = {"team_id": {"type": "string", "format": "uuid"}}
    write_schema = {
        "$id": "/schemas/membership.write.json",
        "title": "A membership, as written",
        "type": "object",
        "properties": {
            "user_id": {"type": "string", "format": "uuid"},
            "is_leader": {"type": "boolean", "default": False},
        },
        "required": ["user_id"],
        "additionalProperties": False,
        "examples": [{"user_id": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"}],
    }

    team_id: Mapped[str] = mapped_column(
        Id, ForeignKey("teams_teams.id", ondelete="CASCADE")
    )
    # Accounts may be removed without teams, so no foreign key holds it.
    user_id: Mapped[str] = mapped_column(Id)
    is_leader: Mapped[bool]

    @classmethod
    def related(cls, caller: Caller, relation: str) -> Any:
        """The memberships in the teams of a member or a leader."""
        return (one_of("team_id", teams_of(caller, relation == "leader")),)


MEMBERS = Membership.table()


def teams_of(caller: Caller, as_leader: bool) -> list[str]:
    """The ids of the teams to which a caller belongs, or which it leads. They are asked
    for once in a request: what it has read, it may write to its end."""
    known = g.setdefault("teams", {})
    if caller.id not in known:
        asked = select(MEMBERS.c.team_id, MEMBERS.c.is_leader)
        mine = asked.where(MEMBERS.c.user_id == caller.id)
        known[caller.id] = rows(mine) if door.is_user_id(caller.id) else []
    return [id for id, is_leader in known[caller.id] if is_leader or not as_leader]


def add_member(team_id: str, user_id: str, is_leader: bool) -> None:
    """Store a membership, whoever calls."""
    with unscoped():
        body = {"user_id": user_id, "is_leader": is_leader}
        document = Membership.new_document(body) | {"team_id": team_id}
        Membership.insert([document])
    g.pop("teams", None)
