"""The routes of those who manage users."""

from flask import Response

from myapp.accounts import service
from myapp.accounts.bodies import USER, read_body
from myapp.accounts.endpoints import REFUSALS, users
from myapp.accounts.models import User
from myapp.accounts.sign_out import sign_out_everywhere
from myapp.core.access import access
from myapp.core.rest import (
    ModelResource,
    check_id,
    describe,
    describe_list,
    respond,
    respond_list,
    respond_record,
    to_write,
)


@users.route("/")
@access('role("admin")')
class Users(ModelResource):
    """All users."""

    model = User

    @describe_list(User)
    def get(self) -> Response:
        """List users."""
        return respond_list(User)


@users.route("/<id>")
@access('role("admin")')
class OneUser(ModelResource):
    """One user."""

    model = User
    kept_responses = None

    @describe({200: User.read_schema}, errors=(400, 404))
    def get(self, id: str) -> Response:
        """Read a user."""
        return respond_record(User.get_or_404(check_id(id)))

    @describe({200: User.read_schema}, body=USER, errors=(404, 409, 412, *REFUSALS))
    def patch(self, id: str) -> Response:
        """Give a user another role; it is signed out everywhere. The first role
        disables it."""
        user, role = to_write(User, check_id(id)), read_body(USER)["role"]
        service.check_manager(user, role)
        service.set_role(user, role)
        return respond_record(user)

    @describe({204: None}, errors=(400, 404, 409, 412))
    def delete(self, id: str) -> Response:
        """Delete a user."""
        user = to_write(User, check_id(id))
        service.check_manager(user)
        service.delete_user(user)
        return respond(None, 204)


@users.route("/<id>/sessions")
@access('role("admin")')
class UserSessions(ModelResource):
    """The sessions of a user."""

    model = User
    kept_responses = None

    @describe({204: None}, errors=(400, 404))
    def delete(self, id: str) -> Response:
        """Sign a user out everywhere."""
        user = User.get_or_404(check_id(id))
        service.check_manager(user)
        sign_out_everywhere(user)
        return respond(None, 204)
