"""The endpoints of the protocol: they take forms, and answer as RFC 6749 says."""

from authlib.oauth2.rfc6749.errors import OAuth2Error
from flask import Response, current_app, url_for

from myapp.core.access import public
from myapp.core.docs import undescribed
from myapp.core.http import known_scopes, respond
from myapp.oauth import models
from myapp.oauth.clients import WITH_SECRET
from myapp.oauth.endpoints import blueprint
from myapp.oauth.grants import EVERYONE
from myapp.oauth.resources import issuer
from myapp.oauth.server import server
from myapp.oauth.signed import key_set

METADATA = "/.well-known/oauth-authorization-server"


def answer(name: str) -> Response:
    """The response of an endpoint of the server, also to a request without its form."""
    try:
        is_token = name == "token"
        found: Response = (
            server.create_token_response()
            if is_token
            else server.create_endpoint_response(name)
        )
    except OAuth2Error as error:
        found = server.handle_response(*error())
    return found


@blueprint.post("/token")
@public
@undescribed
def token() -> Response:
    """Exchange a grant for tokens, RFC 6749 section 3.2."""
    return answer("token")


@blueprint.post("/revoke")
@public
@undescribed
def revoke() -> Response:
    """End a token, RFC 7009."""
    return answer("revocation")


@blueprint.post("/introspect")
@public
@undescribed
def introspect() -> Response:
    """Tell a client what one of its tokens is, RFC 7662."""
    return answer("introspection")


@blueprint.post("/device_authorization")
@public
@undescribed
def device_authorization() -> Response:
    """Give a device its codes, RFC 8628."""
    return answer("device_authorization")


@blueprint.get("/jwks")
@public
@undescribed
def jwks() -> Response:
    """The public keys of signed tokens, RFC 7517."""
    return respond(key_set())


@public
@undescribed
def metadata() -> Response:
    """What this server can do, RFC 8414."""
    found = [*models.GRANTS]
    if not current_app.config["OAUTH_PASSWORDS"]:
        found.remove(models.PASSWORD)
    base = issuer()
    return respond(
        {
            "issuer": base,
            "authorization_endpoint": base + url_for("oauth.authorize"),
            "token_endpoint": base + url_for("oauth.token"),
            "revocation_endpoint": base + url_for("oauth.revoke"),
            "introspection_endpoint": base + url_for("oauth.introspect"),
            "device_authorization_endpoint": base
            + url_for("oauth.device_authorization"),
            "jwks_uri": base + url_for("oauth.jwks"),
            "scopes_supported": [*known_scopes(current_app)],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": found,
            "token_endpoint_auth_methods_supported": EVERYONE,
            "revocation_endpoint_auth_methods_supported": EVERYONE,
            "introspection_endpoint_auth_methods_supported": [*WITH_SECRET],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
    )


# It has its place beside the features, RFC 8414 section 3.
blueprint.record(
    lambda state: state.app.add_url_rule(METADATA, "oauth.metadata", metadata)
)
