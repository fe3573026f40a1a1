"""The authorization server: Authlib's, at the edge of this application."""

import logging
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import (
    FlaskOAuth2Payload,
    FlaskOAuth2Request,
)
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
)
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Response, request

from myapp.accounts import door
from myapp.core.http import respond
from myapp.oauth import encrypted, grants, signed, tokens
from myapp.oauth.clients import WITH_SECRET, find_client
from myapp.oauth.devices import DeviceCode, DeviceEndpoint
from myapp.oauth.resources import issuer

# The characters of parameters, RFC 6749 appendix A; names and passwords have others.
VISIBLE = re.compile(r"[\x20-\x7e]*")
FREE_TEXT = ("username", "password")
FORM = "application/x-www-form-urlencoded"
KINDS = {False: "access_token", True: "refresh_token"}


def own_parameters(data: Any) -> dict[str, str]:
    """The parameters of a request, each of which is there once; one without a value
    counts as left out (RFC 6749 section 3.1).

    :raises OAuth2Error: for a parameter that is not one.
    """
    for name, values in data.lists():
        if len(values) > 1:
            raise InvalidRequestError("A parameter was sent twice.")
        is_free = name in FREE_TEXT and "\x00" not in values[0]
        if not is_free and not VISIBLE.fullmatch(values[0]):
            raise InvalidRequestError("A parameter has characters that none has.")
    found = {name: value for name, value in data.to_dict().items() if value}
    if "scope" in found:
        found["scope"] = " ".join(dict.fromkeys(found["scope"].split()))
        if not found["scope"]:
            raise InvalidScopeError()
    return found


def check_credentials(header: str, form: dict[str, str]) -> None:
    """Refuse a header with the secret of a client that cannot be read, and a client
    that says in two ways who it is.

    :raises OAuth2Error: for both.
    """
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return
    try:
        id, _, _secret = b64decode(text.encode("ascii")).decode().partition(":")
    except ValueError:
        id = ""
    if not id or not VISIBLE.fullmatch(id):
        raise InvalidClientError(status_code=401)
    if "client_secret" in form or form.get("client_id", id) != id:
        raise InvalidRequestError("The client has said in two ways who it is.")


class Payload(FlaskOAuth2Payload):
    """The parameters of a request: those of its form, or of the URL of a page. Authlib
    would take a secret from the URL, too."""

    def __init__(self, data: dict[str, str]) -> None:
        self.parameters = data

    @property
    def data(self) -> dict[str, str]:
        """The parameters, each of which is there once."""
        return self.parameters

    @property
    def datalist(self) -> dict[str, list[str]]:
        """The values of each parameter."""
        return {name: [value] for name, value in self.parameters.items()}


class OAuthRequest(FlaskOAuth2Request):
    """A request whose parameters have been checked."""

    def __init__(self) -> None:
        super().__init__(request)
        is_page = request.endpoint == "oauth.authorize"
        data = own_parameters(request.args if is_page else request.form)
        self.payload = Payload(data)
        if is_page:
            return
        if request.mimetype != FORM:
            raise InvalidRequestError(f"Send {FORM}.")
        check_credentials(request.headers.get("Authorization", ""), data)
        if request.endpoint == "oauth.token" and "grant_type" not in data:
            raise InvalidRequestError("Send a grant_type.")


class Server(AuthorizationServer):
    """The authorization server."""

    def create_oauth2_request(self, _request: Any) -> OAuthRequest:
        """The request that Flask handles now."""
        return OAuthRequest()

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        """A response, which no cache keeps (RFC 6749 section 5.1)."""
        if isinstance(body, Mapping):
            response = respond(body, status)
        else:
            response = Response(body, status)
        response.headers.update(headers)
        response.headers["Cache-Control"] = "no-store"
        if status == 401:
            # Authlib leaves the realm out, which RFC 7617 section 2 asks for.
            told = f'Basic realm="oauth", error="{body["error"]}"'
            response.headers["WWW-Authenticate"] = told
        return response

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


class Revocation(RevocationEndpoint):
    """Revocation, RFC 7009. A hint is not needed: the text tells what a token is."""

    CLIENT_AUTH_METHODS = grants.EVERYONE

    def check_params(self, request: Any, client: Any) -> None:
        """Refuse a request without a token."""
        if "token" not in request.form:
            raise InvalidRequestError("Send a token.")

    def query_token(self, text: str, _hint: str) -> Any:
        """What a token stands for."""
        if "." in text:
            is_signed = text.count(".") == 2
            alive = None if is_signed else encrypted.read_alive(text)
            claims = signed.read(text) if is_signed else alive and alive[0]
            return signed.granted_by_claims(text, claims) if claims else None
        row = tokens.find_token(text)
        return tokens.granted(row, text) if row is not None else None

    def revoke_token(self, token: Any, request: Any) -> None:
        """End a token; with a refresh token, all that came of its consent."""
        tokens.end_token(token)


class Introspection(IntrospectionEndpoint):
    """Introspection, RFC 7662: what a client may know of its own tokens."""

    CLIENT_AUTH_METHODS = [*WITH_SECRET]
    check_params = Revocation.check_params
    query_token = Revocation.query_token

    def check_permission(self, token: Any, client: Any, request: Any) -> bool:
        """Whether it is the client's own, unused, and its user may still call."""
        is_spent = token.is_refresh and tokens.find_token(token.text).used_at
        person = token.user_id or client.row.owner_id
        is_gone = person and door.active_user(person) is None
        return bool(token.check_client(client) and not is_spent and not is_gone)

    def introspect_token(self, token: Any) -> dict[str, Any]:
        """What is known of a token."""
        return {
            "active": True,
            "client_id": token.client_id,
            "token_type": KINDS[token.is_refresh] if token.is_refresh else "Bearer",
            "scope": token.get_scope(),
            "sub": token.user_id or token.client_id,
            "aud": token.resource or issuer(),
            "iss": issuer(),
            "exp": int(token.expires_at.timestamp()),
            "iat": int(token.created_at.timestamp()),
        }


def make_server() -> Server:
    """The server with its grants and endpoints."""
    # It would write each token into the log.
    logging.getLogger("authlib").setLevel(logging.INFO)
    made = Server(query_client=find_client, save_token=grants.store)
    made.register_token_generator(
        "default",
        BearerTokenGenerator(
            lambda **_: tokens.new_secret(tokens.ACCESS),
            lambda **_: tokens.new_secret(tokens.REFRESH),
        ),
    )
    made.register_grant(grants.AuthorizationCode, [grants.S256(required=True)])
    for grant in (grants.Refresh, grants.ClientCredentials, grants.Password):
        made.register_grant(grant)
    made.register_grant(DeviceCode)
    made.register_endpoint(DeviceEndpoint)
    made.register_endpoint(Revocation)
    made.register_endpoint(Introspection)
    return made


server = make_server()
