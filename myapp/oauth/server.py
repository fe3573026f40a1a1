"""The authorization server: Authlib's, at the edge of this application."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import (
    FlaskOAuth2Payload,
    FlaskOAuth2Request,
)
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Response, request

from myapp.accounts import door
from myapp.core.http import respond
from myapp.oauth import grants, tokens
from myapp.oauth.clients import WITH_SECRET, find_client
from myapp.oauth.devices import DeviceCode, DeviceEndpoint
from myapp.oauth.resources import issuer

# The characters of parameters, RFC 6749 appendix A; names and passwords have others.
VISIBLE = re.compile(r"[\x20-\x7e]*")
FREE_TEXT = ("username", "password")
KINDS = {False: "access_token", True: "refresh_token"}


class Payload(FlaskOAuth2Payload):  # type: ignore[misc]  # Authlib has no types
    """The parameters of a request: those of its form, or of the URL of a page. Authlib
    would take a secret from the URL, too."""

    def __init__(self, data: Any) -> None:
        self.parameters: dict[str, str] = data.to_dict()

    @property
    def data(self) -> dict[str, str]:
        """The parameters, each of which is there once."""
        return self.parameters

    @property
    def datalist(self) -> dict[str, list[str]]:
        """The values of each parameter."""
        return {name: [value] for name, value in self.parameters.items()}


class OAuthRequest(FlaskOAuth2Request):  # type: ignore[misc]
    """A request whose parameters have been checked."""

    def __init__(self) -> None:
        super().__init__(request)
        is_page = request.endpoint == "oauth.authorize"
        data = request.args if is_page else request.form
        self.payload = Payload(data)
        for name, values in data.lists():
            if len(values) > 1:
                raise InvalidRequestError("A parameter was sent twice.")
            if name not in FREE_TEXT and not VISIBLE.fullmatch(values[0]):
                raise InvalidRequestError("A parameter has characters that none has.")
        if not is_page and "client_secret" in data and "Authorization" in self.headers:
            raise InvalidRequestError("The client has sent its secret in two ways.")


class Server(AuthorizationServer):  # type: ignore[misc]
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
        return response

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """Revocation, RFC 7009. A hint is not needed: the text tells what a token is."""

    CLIENT_AUTH_METHODS = grants.EVERYONE

    def check_params(self, request: Any, client: Any) -> None:
        """Refuse a request without a token."""
        if "token" not in request.form:
            raise InvalidRequestError("Send a token.")

    def query_token(self, text: str, _hint: str) -> Any:
        """What a token stands for."""
        row = tokens.find_token(text)
        return tokens.granted(row, text) if row is not None else None

    def revoke_token(self, token: Any, request: Any) -> None:
        """End a token; with a refresh token, all that came of its consent."""
        tokens.end_token(token)


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """Introspection, RFC 7662: what a client may know of its own tokens."""

    CLIENT_AUTH_METHODS = [*WITH_SECRET]
    check_params = Revocation.check_params
    query_token = Revocation.query_token

    def check_permission(self, token: Any, client: Any, request: Any) -> bool:
        """Whether it is the client's own, unused, and its user may still call."""
        is_spent = token.is_refresh and tokens.find_token(token.text).used_at
        is_gone = token.user_id and door.active_user(token.user_id) is None
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
