"""The routes of teams, and of their members below them."""

from flask import Response, url_for

from myapp.accounts import door
from myapp.core.access import access, caller_id
from myapp.core.errors import Problem
from myapp.core.http import read_json
from myapp.core.model import Record
from myapp.core.rest import (
    ModelResource,
    check_id,
    describe,
    describe_list,
    feature_blueprint,
    respond,
    respond_list,
    respond_record,
    routes_from_model,
    to_write,
)
from myapp.core.schema import Validator
from myapp.teams import service
from myapp.teams.models import Membership, Team

blueprint, api = feature_blueprint("teams", __name__)
teams = api.namespace("teams", path="/", description="Teams, and their members.")

routes_from_model(teams, Team)

RANK = {
    "$id": "/schemas/membership.rank.write.json",
    "title": "Whether a member leads",
    "type": "object",
    "properties": {"is_leader": {"type": "boolean"}},
    "required": ["is_leader"],
    "additionalProperties": False,
    "examples": [{"is_leader": True}],
}
rank_validator = Validator(RANK)


@teams.route("/<uuid:team_id>/members/")
class Members(ModelResource):
    """The members of a team."""

    model = Membership

    @describe_list(Membership, errors=(400, 404))
    def get(self, team_id: str) -> Response:
        """List the members of a team."""
        Team.get_or_404(check_id(str(team_id)))
        return respond_list(Membership)

    @describe(
        {201: Membership.read_schema},
        body=Membership.write_schema,
        errors=(400, 404, 409, 413, 415, 422),
    )
    def post(self, team_id: str) -> Response:
        """Add a user to a team."""
        team = Team.get_or_404(check_id(str(team_id)))
        body = read_json()
        Membership.create_validator.check(body)
        body = {**body, "user_id": check_id(body["user_id"])}
        document = {**Membership.new_document(body), "team_id": team.id}
        Membership.refuse_outside([document], are_new=True)
        service.check_user(body["user_id"])
        member = Membership.create(body)
        where = {"team_id": team.id, "user_id": member["user_id"]}
        place = url_for(".teams_member", **where)
        return respond_record(member, 201, [("Location", place)])


@teams.route("/<uuid:team_id>/members/<uuid:user_id>")
class Member(ModelResource):
    """A member of a team."""

    model = Membership

    @describe({200: Membership.read_schema}, errors=(400, 404))
    def get(self, team_id: str, user_id: str) -> Response:
        """Read whether a user leads a team."""
        id = service.member_of(str(team_id), str(user_id))
        return respond_record(Membership.get_or_404(id))

    @describe(
        {200: Membership.read_schema},
        body=RANK,
        errors=(400, 404, 409, 412, 413, 415, 422),
    )
    def patch(self, team_id: str, user_id: str) -> Response:
        """Make a member a leader, or a leader a member. The last leader stays."""
        member = to_write(Membership, service.member_of(str(team_id), str(user_id)))
        body = read_json()
        rank_validator.check(body)
        if member["is_leader"] and not body["is_leader"]:
            service.protect_last_leader(member)
        return respond_record(member.update(body))

    @describe({204: None}, errors=(400, 404, 409, 412))
    def delete(self, team_id: str, user_id: str) -> Response:
        """Take a user out of a team. The last leader stays."""
        member = to_write(Membership, service.member_of(str(team_id), str(user_id)))
        return end(member)


@teams.route("/<uuid:team_id>/members/me")
@access("member")
class OwnMembership(ModelResource):
    """The membership of the caller in a team."""

    model = Membership

    @describe({200: Membership.read_schema}, errors=(400, 404))
    def get(self, team_id: str) -> Response:
        """Read whether one leads a team oneself."""
        return respond_record(Membership.get_or_404(own_membership(team_id)))

    @describe({204: None}, errors=(400, 404, 409, 412))
    def delete(self, team_id: str) -> Response:
        """Leave a team. The last leader stays."""
        return end(to_write(Membership, own_membership(team_id)))


def own_membership(team_id: str) -> str:
    """The id of the membership of the caller.

    :raises Problem: 404.
    """
    id = caller_id()
    if not door.is_user_id(id):
        raise Problem("not-found")
    return service.member_of(str(team_id), id)


def end(member: Record) -> Response:
    """End a membership, unless it is that of the last leader.

    :raises Problem: 409.
    """
    if member["is_leader"]:
        service.protect_last_leader(member)
    member.delete()
    return respond(None, 204)
