"""The rules of teams."""

from typing import Any

from sqlalchemy import select

from myapp.accounts import door
from myapp.core.errors import Problem, problem_at
from myapp.core.model import Record, equal, unscoped
from myapp.core.query import ListQuery
from myapp.core.stores.sql import sql
from myapp.teams.models import MEMBERS, Membership

#: How many memberships the copy of an account has at most, the newest ones.
MOST_EXPORTED = 10_000


def member_of(team_id: str, user_id: str) -> str:
    """The id of the membership of a user, in a team of this caller.

    :raises Problem: 404.
    """
    same = (equal("team_id", team_id), equal("user_id", user_id))
    found = Membership.list(ListQuery(same, limit=1)).items
    if not found:
        raise Problem("not-found")
    return str(found[0]["id"])


def check_user(user_id: str) -> None:
    """Refuse a member who is no user; a user stays one until the end of this
    transaction.

    :raises Problem: 422.
    """
    if not door.hold_user(user_id):
        error = problem_at("/user_id", "refers to nothing", "reference")
        raise Problem("unprocessable", errors=[error])


def protect_last_leader(member: Record) -> None:
    """Refuse to let the last leader of a team go, also when two go at once: the rows of
    all leaders are locked until the end of this transaction.

    :raises Problem: 409.
    """
    leaders = (
        select(MEMBERS.c.id)
        .where(MEMBERS.c.team_id == member["team_id"], MEMBERS.c.is_leader)
        .order_by(MEMBERS.c.id)
        .with_for_update()
    )
    if not set(sql.session.connection().scalars(leaders)) - {member.id}:
        raise Problem("conflict", "This is the last leader of the team.")


@door.in_export("teams")
def memberships_of(user_id: str) -> list[Any]:
    """The memberships of a user."""
    with unscoped():
        same = (equal("user_id", user_id),)
        query = ListQuery(same, sort=Membership.queryable.newest)
        return [Membership.show(one) for one in Membership.find(query, MOST_EXPORTED)]


@door.when_deleted
def leave_all_teams(user_id: str) -> None:
    """Delete the memberships of a user. A team without a leader is left to admins."""
    with unscoped():
        # A lock sees what was committed after this transaction began.
        mine = MEMBERS.c.user_id == user_id
        asked: Any = select(MEMBERS).where(mine).with_for_update()
        found = sql.session.connection().execute(asked).all()
        if found:
            Membership.discard([dict(row._mapping) for row in found])
