"""The routes of accounts."""

from collections.abc import Callable
from typing import Any

from flask import Response

from myapp.accounts import service
from myapp.accounts.bodies import ADDRESS, LINK, PROOF, SIGN_IN, SIGN_UP, read_body
from myapp.accounts.cookies import check_origin, sent_cookie, set_cookie
from myapp.accounts.models import User
from myapp.accounts.passwords import parse_cost
from myapp.accounts.sessions import add_sessions, begin_session, end_session
from myapp.accounts.tokens import add_tokens
from myapp.core.access import public
from myapp.core.errors import ConfigError
from myapp.core.rest import Resource, describe, feature_blueprint, respond
from myapp.core.stores.redis import parse_rate

DAY = 24 * 3600.0
SECOND_FACTOR_ROLES: list[str] = []
SETTINGS: dict[str, Any] = {
    # The role of a new user.
    "SIGN_UP_ROLE": "readonly",
    # Roles that need a second factor: without one, their users have the role of new
    # users.
    "SECOND_FACTOR_ROLES": SECOND_FACTOR_ROLES,
    # The least number of characters of a password.
    "PASSWORD_MIN_LENGTH": 15,
    # Memory in KiB, passes and lanes of Argon2id: the least that OWASP recommends.
    "PASSWORD_COST": "19456/2/1",
    # Seconds after the last request in which a session ends.
    "SESSION_IDLE": 30 * DAY,
    # Seconds after the sign-in in which a session ends at the latest.
    "SESSION_ABSOLUTE": 90 * DAY,
    # Seconds that a mailed link is valid.
    "LINK_LIFETIME": 3600.0,
    # Seconds that a personal access token lives at most.
    "TOKEN_LIFETIME": 366 * DAY,
    # How many wrong passwords are taken in so many seconds, from an address and for an
    # account.
    "SIGN_IN_LIMIT": "10/300",
    # How many sign-ups and resets are taken, counted in the same way.
    "SIGN_UP_LIMIT": "10/300",
    # How many of both are taken in all.
    "ACCOUNTS_LIMIT": "1000/300",
}

blueprint, api = feature_blueprint("accounts", __name__, SETTINGS)
accounts = api.namespace("accounts", path="/", description="One's own account.")
users = api.namespace("users", description="Users, for those who manage them.")
blueprint.record(lambda state: set_up(state.app))

#: The settings that are text with a form of its own.
PARSED: dict[str, Callable[[str], object]] = {
    "PASSWORD_COST": parse_cost,
    "SIGN_IN_LIMIT": parse_rate,
    "SIGN_UP_LIMIT": parse_rate,
    "ACCOUNTS_LIMIT": parse_rate,
}
REFUSALS = (400, 403, 413, 415, 422, 429)


def set_up(app: Any) -> None:
    """Let personal tokens and sessions say who calls.

    :raises ConfigError: for a setting that cannot be read.
    """
    for name, parse in PARSED.items():
        try:
            parse(app.config[name])
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from error
    if app.config["SIGN_UP_ROLE"] not in app.config["ROLES"]:
        raise ConfigError("SIGN_UP_ROLE is not in ROLES")
    if not set(app.config["SECOND_FACTOR_ROLES"]) <= set(app.config["ROLES"]):
        raise ConfigError("SECOND_FACTOR_ROLES names a role that is not in ROLES")
    add_tokens(app)
    add_sessions(app)


@accounts.route("/sign-up")
class SignUp(Resource):
    """New accounts."""

    @public
    @describe({202: None}, body=SIGN_UP, errors=REFUSALS)
    def post(self) -> Response:
        """Sign up: a mail brings the link that verifies the address."""
        body = read_body(SIGN_UP)
        service.sign_up(body["email"], body["password"], body.get("name"))
        return respond(None, 202)


@accounts.route("/verification")
class Verification(Resource):
    """Addresses that are verified."""

    @public
    @describe({204: None}, body=PROOF, errors=REFUSALS)
    def post(self) -> Response:
        """Verify the address of a new account, with the token of the mail."""
        body = read_body(PROOF)
        service.verify(body["token"], body["password"])
        return respond(None, 204)


@accounts.route("/session")
class Session(Resource):
    """The session of this client."""

    @public
    @describe({201: User.read_schema}, body=SIGN_IN, errors=(401, 409, *REFUSALS))
    def post(self) -> Response:
        """Sign in; the cookie in the response is the session."""
        body = read_body(SIGN_IN)
        user = service.sign_in(body["email"], body["password"], body.get("code"))
        response = respond(user.as_json(), 201)
        begin_session(response, user, bool(body.get("remember")))
        return response

    @public
    @describe({204: None}, errors=(403,))
    def delete(self) -> Response:
        """Sign out."""
        check_origin(is_needed=sent_cookie() is not None)
        cookie, response = sent_cookie(), respond(None, 204)
        if cookie is not None:
            end_session(cookie)
        set_cookie(response, "", 0)
        return response


@accounts.route("/password-reset")
class PasswordReset(Resource):
    """Passwords that were forgotten."""

    @public
    @describe({202: None}, body=ADDRESS, errors=REFUSALS)
    def post(self) -> Response:
        """Ask for a link to set another password."""
        service.ask_for_reset(read_body(ADDRESS)["email"])
        return respond(None, 202)


@accounts.route("/password-reset/confirmation")
class PasswordResetConfirmation(Resource):
    """Passwords that are set by a mailed link."""

    @public
    @describe({204: None}, body=PROOF, errors=REFUSALS)
    def post(self) -> Response:
        """Set another password, with the token of the mail; all sessions end."""
        body = read_body(PROOF)
        service.reset_password(body["token"], body["password"])
        return respond(None, 204)


@accounts.route("/email-change")
class EmailChange(Resource):
    """Addresses that are changed by a mailed link."""

    @public
    @describe({204: None}, body=LINK, errors=(409, *REFUSALS))
    def post(self) -> Response:
        """Take the new address, with the token of the mail."""
        service.change_email(read_body(LINK)["token"])
        return respond(None, 204)
