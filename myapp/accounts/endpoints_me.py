"""The routes of one's own account, and of its sessions."""

from typing import Any

from flask import Response

from myapp.accounts import second_factor, service, totp
from myapp.accounts.bodies import (
    EXPORT,
    FACTOR,
    ME,
    NEW_EMAIL,
    NEW_PASSWORD,
    ONLY_CODE,
    ONLY_PASSWORD,
    RECOVERY,
    SESSIONS,
    read_body,
)
from myapp.accounts.cookies import Cookie, sent_cookie, set_cookie
from myapp.accounts.door import exported, is_user_id
from myapp.accounts.endpoints import REFUSALS, accounts
from myapp.accounts.models import User
from myapp.accounts.sessions import (
    begin_session,
    end_present_sessions,
    end_session,
    sessions_of,
)
from myapp.core.access import access, caller_id
from myapp.core.errors import Problem
from myapp.core.model import Record
from myapp.core.rest import (
    ModelResource,
    Resource,
    describe,
    respond,
    respond_record,
    to_write,
)


def my_id() -> str:
    """The id of the user who calls.

    :raises Problem: 404 for a caller that is no user.
    """
    if not is_user_id(caller_id()):
        raise Problem("not-found")
    return caller_id()


def me() -> Record:
    """The user who calls."""
    return User.get_or_404(my_id())


@accounts.route("/me")
@access("owner")
class Me(ModelResource):
    """One's own account."""

    model = User

    @describe({200: User.read_schema}, errors=(404,))
    def get(self) -> Response:
        """Read one's own account."""
        return respond_record(me())

    @describe({200: User.read_schema}, body=ME, errors=(404, 409, 412, *REFUSALS))
    def patch(self) -> Response:
        """Change one's own name."""
        user = to_write(User, my_id())
        return respond_record(user.write({"name": read_body(ME)["name"]}))


@accounts.route("/me/password")
@access("owner & in_person")
class MyPassword(ModelResource):
    """One's own password."""

    model = User
    kept_responses = None

    @describe({204: None}, body=NEW_PASSWORD, errors=(404, 409, *REFUSALS))
    def post(self) -> Response:
        """Change the password; all other sessions end, and this one gets a new
        cookie."""
        body, user = read_body(NEW_PASSWORD), me()
        service.change_password(user, body["old_password"], body["new_password"])
        return with_new_session(respond(None, 204), user)


@accounts.route("/me/second-factor")
@access("owner & in_person")
class MyFactor(ModelResource):
    """One's own second factor."""

    model = User
    kept_responses = None

    @describe({200: FACTOR}, body=ONLY_PASSWORD, errors=(404, 409, *REFUSALS))
    def post(self) -> dict[str, str]:
        """Ask for the secret of a second factor; a code of the app turns it on."""
        user = second_factor.ask_for_factor(me(), read_body(ONLY_PASSWORD)["password"])
        uri = totp.uri_of(user["totp_waits"], user["email"])
        return {"secret": user["totp_waits"], "uri": uri}


@accounts.route("/me/second-factor/confirmation")
@access("owner & in_person")
class MyFactorConfirmation(ModelResource):
    """The code that turns one's own second factor on."""

    model = User
    kept_responses = None

    @describe({200: RECOVERY}, body=ONLY_CODE, errors=(404, 409, *REFUSALS))
    def post(self) -> Response:
        """Turn the second factor on. All other sessions end; the recovery codes are
        told once."""
        user = me()
        codes = second_factor.confirm_factor(user, read_body(ONLY_CODE)["code"])
        return with_new_session(respond({"recovery_codes": codes}), user)


@accounts.route("/me/second-factor/removal")
@access("owner & in_person")
class MyFactorRemoval(ModelResource):
    """The end of one's own second factor."""

    model = User
    kept_responses = None

    @describe({204: None}, body=ONLY_PASSWORD, errors=(404, 409, *REFUSALS))
    def post(self) -> Response:
        """Turn the second factor off; all other sessions end."""
        user = me()
        service.prove_again(user, read_body(ONLY_PASSWORD)["password"])
        second_factor.drop_factor(user)
        return with_new_session(respond(None, 204), user)


def with_new_session(response: Response, user: Record) -> Response:
    """A response that begins another session of the user who calls."""
    begin_session(response, user, None)
    return response


@accounts.route("/me/email")
@access("owner & in_person")
class MyEmail(ModelResource):
    """One's own address."""

    model = User
    kept_responses = None

    @describe({202: None}, body=NEW_EMAIL, errors=(404, 409, *REFUSALS))
    def post(self) -> Response:
        """Ask for another address: a mail to it brings the link that confirms it."""
        body = read_body(NEW_EMAIL)
        service.ask_for_email(me(), body["email"], body["password"])
        return respond(None, 202)


@accounts.route("/me/deletion")
@access("owner & in_person")
class MyDeletion(ModelResource):
    """The end of one's own account."""

    model = User
    kept_responses = None

    @describe({204: None}, body=ONLY_PASSWORD, errors=(404, 409, *REFUSALS))
    def post(self) -> Response:
        """Delete one's own account."""
        service.delete_account(me(), read_body(ONLY_PASSWORD)["password"])
        response = respond(None, 204)
        set_cookie(response, "", 0)
        return response


@accounts.route("/me/export")
@access("owner & in_person")
class MyExport(ModelResource):
    """A copy of one's own account."""

    model = User

    @describe({200: EXPORT}, errors=(404,))
    def get(self) -> dict[str, Any]:
        """Read all that is stored about one's own account."""
        user = me()
        return {
            "user": user.as_json(),
            "sessions": {"items": sessions_of(user.id)},
            **{name: find(user.id) for name, find in exported.items()},
        }


@accounts.route("/sessions/")
@access("in_person")
class Sessions(Resource):
    """One's own sessions."""

    @describe({200: SESSIONS}, errors=())
    def get(self) -> dict[str, Any]:
        """List one's own sessions."""
        return {"items": sessions_of(caller_id())}

    @describe({204: None}, errors=())
    def delete(self) -> Response:
        """End all other sessions of one's own."""
        cookie = sent_cookie()
        end_present_sessions(caller_id(), keep=cookie.digest if cookie else "")
        return respond(None, 204)


@accounts.route("/sessions/<session_id>")
@access("in_person")
class OneSession(Resource):
    """A session of one's own."""

    @describe({204: None}, errors=(404,))
    def delete(self, session_id: str) -> Response:
        """End a session of one's own."""
        if not end_session(Cookie(caller_id(), session_id)):
            raise Problem("not-found")
        return respond(None, 204)
