"""The page on which a user allows a client what it asks for."""

from typing import Any
from urllib.parse import urlencode

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.errors import OAuth2Error
from flask import Response, current_app, request, url_for

from myapp.accounts import door
from myapp.core.access import public
from myapp.core.docs import page, undescribed
from myapp.core.errors import Problem
from myapp.core.http import known_scopes, redirect_to, too_many
from myapp.core.model import Record
from myapp.core.stores.redis import Limiter, parse_rate
from myapp.oauth import devices
from myapp.oauth.clients import find_client
from myapp.oauth.endpoints import blueprint
from myapp.oauth.grants import resource_of
from myapp.oauth.owned import consents_of
from myapp.oauth.redirects import origin_of
from myapp.oauth.resources import issuer
from myapp.oauth.server import server
from myapp.oauth.tokens import add_consent

limiter = Limiter("oauth")
# How often a user may enter codes of devices.
GUESSES = parse_rate("10/300")


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
    user = door.user_in_person()
    if user is None:
        return to_sign_in()
    is_shown = request.form.get("scope") == grant.request.scope
    if request.method == "POST" and is_shown:
        allowed = user if request.form.get("decision") == "allow" else None
        response = server.create_authorization_response(grant_user=allowed, grant=grant)
        return with_issuer(response)
    scopes = grant.request.scope.split()
    return ask(
        user, grant.request.client, scopes, origin_of(redirect_uri), redirect_uri
    )


@blueprint.route("/device", methods=["GET", "POST"])
@public
@undescribed
def device() -> Response:
    """Take the code that a device shows, and ask its user (RFC 8628 section 3.3)."""
    code = request.args.get("user_code", "")
    if not code:
        return page("oauth/device.html", form_action="'self'")
    user = door.user_in_person()
    if user is None:
        return to_sign_in()
    taken = limiter.take({f"device:{user.id}": GUESSES})
    if taken.refused >= 0:
        raise too_many(taken)
    waiting = devices.find_device(code)
    client = find_client(waiting.client_id) if waiting is not None else None
    if client is None:
        return page("oauth/device.html", "'self'", 404, is_wrong=True)
    if request.method == "GET":
        return ask(user, client, waiting.scopes, "", code=code)
    consent = None
    if request.form.get("decision") == "allow":
        door.hold(user)
        asked = (client, user.id, waiting.scopes, waiting.resource)
        consent = add_consent(*asked, devices.LIFETIME)
    if not devices.decide(waiting, consent):
        raise Problem("conflict", "It was decided before.")
    told = "The device may go on" if consent else "The device was refused"
    return page("oauth/device.html", told=told)


@door.links_on("account")
def link_of_programs(_place: str) -> list[door.PageLink]:
    """The link to the page of programs, on that of the account."""
    url = url_for("oauth.programs")
    return [door.PageLink("Programs with access", url)]


@blueprint.get("/")
@public
@undescribed
def programs() -> Response:
    """Show which programs may call for a user, each with a button that ends it."""
    user = door.user_in_person()
    if user is None:
        return to_sign_in()
    return page("oauth/consents.html", consents=consents_of(user.id))


def to_sign_in() -> Response:
    """A redirect to the page of the sign-in, which comes back here."""
    place = urlencode({"next": request.full_path})
    return redirect_to(f"{url_for('accounts.page_sign-in')}?{place}")


def ask(
    user: Record,
    client: Any,
    names: list[str],
    target: str,
    place: str = "",
    code: str = "",
) -> Response:
    """The page on which a user decides.

    :param names: the scopes that the client asks for.
    :param target: where the browser goes afterwards, for its policy.
    :param place: the redirect URI; empty for a device, which shows a code.
    """
    known = known_scopes(current_app)
    scopes = {name: known.get(name, name) for name in names}
    return page(
        "oauth/authorize.html",
        f"'self' {target}".strip(),
        client=client,
        scopes=scopes,
        user=user,
        place=place,
        code=code,
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
