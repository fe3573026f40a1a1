"""Teams for tests, and for the demo."""

from collections.abc import Mapping
from typing import Any

from myapp.core.model import Record
from myapp.teams.models import Team, add_member


def team_body(number: int) -> dict[str, Any]:
    """A valid body with every field."""
    return {"title": f"Team {number}"}


def create_team(members: Mapping[str, bool]) -> Record:
    """A stored team.

    :param members: the ids of its members, and whether each leads it.
    """
    team = Team.create({"title": "Restoration"})
    for user_id, is_leader in members.items():
        add_member(team.id, user_id, is_leader)
    return team


def record_for_matrix(
    ids: Mapping[str, str], _roles: Mapping[str, str], _model: Any
) -> Record:
    """A team of the callers called owner and leader, who lead it, and member.

    :param ids: the ids of the callers.
    """
    leads = {"owner": True, "leader": True, "member": False}
    return create_team({ids[name]: is_leader for name, is_leader in leads.items()})
