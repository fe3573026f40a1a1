"""The page on which a user allows a client what it asks for."""

from urllib.parse import urlencode

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.errors import OAuth2Error
from flask import Response, current_app, request, url_for

from myapp.accounts import door
from myapp.core.access import current_caller, public
from myapp.core.docs import page, undescribed
from myapp.core.http import known_scopes
from myapp.oauth.endpoints import blueprint
from myapp.oauth.grants import resource_of
from myapp.oauth.redirects import origin_of
from myapp.oauth.resources import issuer
from myapp.oauth.server import server


@blueprint.route("/authorize", methods=["GET", "POST"])
@public
@undescribed
def authorize() -> Response:
    """Ask the user, and send the browser back to the client (RFC 6749 section 3.1). The
    response names its issuer (RFC 9207)."""
    try:
        grant = server.get_consent_grant()
        redirect_uri = grant.redirect_uri
    except OAuth2Error as error:
        return refused(error)
    try:
        resource_of(request.args)
    except OAuth2Error as error:
        error.redirect_uri, error.state = redirect_uri, request.args.get("state")
        return refused(error)
    caller = current_caller()
    user = None
    if caller is not None and caller.scopes is None and door.is_user(caller.id):
        user = door.active_user(caller.id)
    if user is None:
        place = request.full_path
        return to(f"{url_for('accounts.page_sign-in')}?{urlencode({'next': place})}")
    if request.method == "POST":
        allowed = user if request.form.get("decision") == "allow" else None
        response = server.create_authorization_response(grant_user=allowed, grant=grant)
        return with_issuer(response)
    known = known_scopes(current_app)
    scopes = {name: known.get(name, name) for name in grant.request.scope.split()}
    return page(
        "oauth/authorize.html",
        form_action=f"'self' {origin_of(redirect_uri)}",
        client=grant.request.client,
        scopes=scopes,
        user=user,
        place=redirect_uri,
    )


def refused(error: OAuth2Error) -> Response:
    """The response to a request that is wrong: back to the client, if that is known to
    be its place, else a page."""
    if error.redirect_uri:
        return with_issuer(server.handle_response(*error()))
    told = error.get_error_description() or error.error
    return page("oauth/refused.html", status=400, error=error.error, told=told)


def with_issuer(response: Response) -> Response:
    """A response that names the issuer, when it goes back to the client."""
    place = response.headers.get("Location")
    if place:
        response.headers["Location"] = add_params_to_uri(place, {"iss": issuer()})
    return response


def to(place: str) -> Response:
    """A redirect to a page of this server."""
    response = Response(status=303, headers={"Location": place})
    response.headers["Cache-Control"] = "no-store"
    return response
