"""The grants: Authlib checks the requests, and what is stored is in ``tokens``."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import current_app

from myapp.accounts import door
from myapp.core.errors import Problem
from myapp.oauth import tokens
from myapp.oauth.clients import WITH_SECRET
from myapp.oauth.encrypted import encrypt
from myapp.oauth.models import ENCRYPTED, SIGNED
from myapp.oauth.resources import is_resource
from myapp.oauth.signed import sign
from myapp.oauth.tokens import Granted, seconds

REFRESH_TOKEN = grants.RefreshTokenGrant.GRANT_TYPE
EVERYONE = [*WITH_SECRET, "none"]


class InvalidTargetError(OAuth2Error):
    """A resource that is not of this server, RFC 8707 section 2."""

    error = "invalid_target"


def resource_of(data: Any) -> str | None:
    """The resource that a request names.

    :raises InvalidTargetError: when it is not of this server.
    """
    found = data.get("resource")
    if found is not None and not is_resource(found):
        raise InvalidTargetError("The resource is not of this server.")
    return str(found) if found is not None else None


def check_resource(data: Any, allowed: str | None) -> str | None:
    """The resource of the tokens of a request.

    :param allowed: the one that the user has allowed; ``None`` for any.
    :raises InvalidTargetError: for another one.
    """
    asked = resource_of(data)
    if asked and allowed and asked != allowed:
        raise InvalidTargetError("The user has allowed another resource.")
    return allowed or asked


class S256(CodeChallenge):
    """PKCE (RFC 7636) with S256, for each client: Authlib takes a request without a
    challenge, and ``plain``."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: Any) -> None:
        """Refuse an authorization request without a challenge by S256."""
        data = grant.request.payload.data
        if data.get("code_challenge_method") != "S256" or not data.get(
            "code_challenge"
        ):
            raise InvalidRequestError("Send a code_challenge of the method S256.")
        super().validate_code_challenge(grant, redirect_uri)


class AuthorizationCode(grants.AuthorizationCodeGrant):
    """The authorization code grant, RFC 6749 section 4.1."""

    TOKEN_ENDPOINT_AUTH_METHODS = EVERYONE

    @staticmethod
    def validate_authorization_redirect_uri(request: Any, client: Any) -> str:
        """The redirect URI of a request; it is not repeated in an error."""
        uri = request.payload.redirect_uri
        if uri and not client.check_redirect_uri(uri):
            raise InvalidRequestError("The client does not have this redirect_uri.")
        found = uri or client.get_default_redirect_uri()
        if not found:
            raise InvalidRequestError("Send a redirect_uri.")
        return str(found)

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Nothing: the code is made when it is stored."""

    def generate_authorization_code(self) -> str:
        """Store what the user has allowed, and a code for it."""
        data = self.request.payload.data
        scopes = self.request.scope.split()
        door.hold(self.request.user)
        if not tokens.hold_client(self.request.client.get_client_id()):
            raise InvalidClientError()
        consent = tokens.add_consent(
            *(self.request.client, self.request.user.id, scopes),
            *(resource_of(data), tokens.CODE_LIFETIME),
        )
        uri, challenge = data.get("redirect_uri", ""), data["code_challenge"]
        return tokens.add_code(consent, uri, challenge)

    def query_authorization_code(self, code: str, client: Any) -> Granted | None:
        """What a code stands for, once."""
        resource_of(self.request.payload.data)
        return tokens.use_code(code, client.get_client_id())

    def delete_authorization_code(self, authorization_code: Granted) -> None:
        """Nothing: it is used, and a second use is to be seen."""

    def authenticate_user(self, authorization_code: Granted) -> Any:
        """The user who has allowed it."""
        return door.active_user(authorization_code.user_id or "")


class Refresh(grants.RefreshTokenGrant):
    """The refresh token grant, RFC 6749 section 6. Each refresh token is used once; the
    next one has the same scopes and the same resource."""

    TOKEN_ENDPOINT_AUTH_METHODS = EVERYONE
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Granted | None:
        """What a refresh token stands for, once. All else is checked before, so that a
        wrong request does not use the token up."""
        row, data = tokens.find_token(refresh_token), self.request.payload.data
        if row is not None:
            check_resource(data, row.resource)
            own = self.request.client.row.scopes
            asked = data["scope"].split() if "scope" in data else row.scopes
            known = [scope for scope in asked if scope in row.scopes and scope in own]
            if not known or "scope" in data and known != asked:
                raise InvalidScopeError()
            data["scope"] = " ".join(known)
        return tokens.use_refresh_token(
            refresh_token, self.request.client.get_client_id()
        )

    def authenticate_user(self, refresh_token: Granted) -> Any:
        """The user who has allowed it.

        :raises InvalidGrantError: when it is gone.
        """
        user = door.active_user(refresh_token.user_id or "")
        if user is None:
            raise InvalidGrantError()
        return user

    def issue_token(self, user: Any, refresh_token: Granted) -> dict[str, Any]:
        """The next tokens; the same ones, when the token was used just before."""
        if refresh_token.is_replay:
            self.request.payload.data["scope"] = refresh_token.get_scope()
        token: dict[str, Any] = super().issue_token(user, refresh_token)
        for key, prefix in (
            ("access_token", tokens.ACCESS),
            ("refresh_token", tokens.REFRESH),
        ):
            token[key] = tokens.child_of(refresh_token.text, prefix)
        return token

    def revoke_old_credential(self, refresh_token: Granted) -> None:
        """Nothing: it is used, and a second use is to be seen."""


class ClientCredentials(grants.ClientCredentialsGrant):
    """The client credentials grant, RFC 6749 section 4.4: a client calls for itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = [*WITH_SECRET]


class Password(grants.ResourceOwnerPasswordCredentialsGrant):
    """The grant by a user name and a password, RFC 6749 section 4.3. RFC 9700 section
    2.4 forbids it; it is off unless ``OAUTH_PASSWORDS`` and a client turn it on, and a
    user with a second factor cannot use it."""

    TOKEN_ENDPOINT_AUTH_METHODS = [*WITH_SECRET]

    @classmethod
    def check_token_endpoint(cls, request: Any) -> bool:
        """Whether a request is for this grant, and it exists."""
        is_on = current_app.config["OAUTH_PASSWORDS"]
        return bool(is_on and super().check_token_endpoint(request))

    def authenticate_user(self, username: str, password: str) -> Any:
        """The user with an address and a password.

        :raises InvalidGrantError: for another one; a problem, 429, after many tries.
        """
        try:
            return door.sign_in(username, password)
        except Problem as problem:
            if problem.slug != "unauthorized":
                raise
            raise InvalidGrantError("The name or the password is wrong.") from problem


def store(token: dict[str, Any], request: Any) -> None:
    """Store the tokens of an answer, and complete it.

    :param token: the answer, RFC 6749 section 5.1.
    """
    if not request.client.check_grant_type(REFRESH_TOKEN):
        token.pop("refresh_token", None)
    of = granted_by(token, request)
    lives, sealed = seconds("OAUTH_ACCESS_LIFETIME"), seal(of, request)
    if sealed is not None:
        token["access_token"], lives = sealed
    token["expires_in"] = int(lives.total_seconds())
    if of.is_replay and sealed is not None:
        return
    if of.is_replay:
        child = tokens.find_token(token["access_token"])
        left = (child.expires_at - tokens.now()).total_seconds() if child else 0
        token["expires_in"] = max(int(left), 0)
        return
    if sealed is None:
        tokens.store_token(token["access_token"], lives, of, False)
    if "refresh_token" in token:
        former, lives = request.refresh_token, seconds("OAUTH_CONSENT_LIFETIME")
        if former is not None:
            lives = of.expires_at - tokens.now()
            whole = tokens.find_token(former.text)
            of = replace(of, scopes=whole.scopes, resource=whole.resource)
        tokens.store_token(token["refresh_token"], lives, of, True)
    if of.consent_id and request.refresh_token is None:
        tokens.prolong_consent(of.consent_id, lives)


def seal(of: Granted, request: Any) -> tuple[str, timedelta] | None:
    """An access token that is not stored, and how long it lives; ``None`` for a client
    that gets opaque ones, or without the session that it would be bound to.

    :raises InvalidGrantError: when that session is over.
    """
    kind = request.client.row.access_tokens
    if kind == SIGNED:
        lives = seconds("OAUTH_SIGNED_LIFETIME")
        return sign(of, role_for(request), lives), lives
    consent = tokens.find_consent(of.consent_id) if of.consent_id else None
    if kind != ENCRYPTED or consent is None or consent.session is None:
        return None
    if door.role_of_session(consent.user_id, consent.session) is None:
        raise InvalidGrantError("The session of the user is over.")
    lives = seconds("OAUTH_ACCESS_LIFETIME")
    return encrypt(of, consent.session, lives), lives


def role_for(request: Any) -> str:
    """The role with which a signed token calls: that of its user, or of the client, but
    at most that of its owner."""
    row, user = request.client.row, request.user
    if user is not None:
        return door.role_of(user)
    owner = door.active_user(row.owner_id) if row.owner_id else None
    if owner is None:
        return str(row.role)
    order = current_app.config["ROLES"].index
    return str(min(row.role, door.role_of(owner), key=order))


def granted_by(token: dict[str, Any], request: Any) -> Granted:
    """What the tokens of an answer stand for."""
    scopes = token.get("scope", "").split()
    given = request.refresh_token or request.authorization_code or request.credential
    if not tokens.hold_client(request.client.get_client_id()):
        raise InvalidClientError(status_code=401)
    if given is not None:
        given.scopes = given.scopes if given.is_replay else scopes
        given.resource = check_resource(request.payload.data, given.resource)
        given.user_id = given.user_id or request.user.id
        return given  # type: ignore[no-any-return]
    client, user = request.client, request.user
    asked, consent = resource_of(request.payload.data), None
    if user is None and client.row.owner_id:
        if door.active_user(client.row.owner_id) is None:
            raise InvalidClientError("Its owner may not sign in.", status_code=401)
    if user is not None:
        door.hold(user)
        consent = tokens.add_consent(client, user.id, scopes, asked, tokens.GRACE)
    moment = tokens.now()
    return Granted(
        client_id=client.get_client_id(),
        user_id=user.id if user is not None else None,
        consent_id=consent,
        scopes=scopes,
        resource=asked,
        created_at=moment,
        expires_at=moment,
        text="",
    )
