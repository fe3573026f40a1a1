"""The pages of OpenID, and the redirects to providers and back."""

from flask import Response, request, url_for

from myapp.accounts import door
from myapp.core.access import public
from myapp.core.docs import page, undescribed
from myapp.core.http import client_network, redirect_to, too_many
from myapp.core.stores.redis import Limiter, parse_rate
from myapp.openid import sign_in
from myapp.openid.endpoints import blueprint
from myapp.openid.identities import Refusal
from myapp.openid.models import linked_of
from myapp.openid.providers import provider_of, providers

limiter = Limiter("openid")
# How often sign-ins may begin from one address.
BEGINNINGS = parse_rate("30/300")


@blueprint.get("/sign-in/<name>")
@public
@undescribed
def begin_sign_in(name: str) -> Response:
    """Send the browser to a provider, for a sign-in or to link an identity."""
    provider = provider_of(name)
    taken = limiter.take({f"begin:{client_network()}": BEGINNINGS})
    if taken.refused >= 0:
        raise too_many(taken)
    place = door.local_path(request.args.get("next", ""))
    try:
        return sign_in.send_to(provider, place or url_for("accounts.account_page"))
    except Refusal as error:
        return refused(error)


@blueprint.get("/callback/<name>")
@public
@undescribed
def callback(name: str) -> Response:
    """Take the user back from a provider. One whose identity is linked is signed in;
    any other one is asked."""
    provider = provider_of(name)
    try:
        waiting = sign_in.come_back(provider)
        step, user = sign_in.step_of(waiting.identity)
    except Refusal as error:
        return refused(error)
    if step == "enter" and user is not None and not door.has_factor(user):
        response = redirect_to(waiting.place)
        door.begin_session(response, user)
        return response
    response = redirect_to(url_for("openid.confirm_page"))
    sign_in.let_wait(response, waiting)
    return response


@blueprint.get("/confirm")
@public
@undescribed
def confirm_page() -> Response:
    """Ask what is to become of an identity that is new here."""
    try:
        waiting = sign_in.waiting_here()
        step, user = sign_in.step_of(waiting.identity)
    except Refusal as error:
        return refused(error)
    return page(
        "openid/confirm.html",
        identity=waiting.identity,
        step=step,
        user=user,
        provider=providers()[waiting.identity.provider].title,
        place=waiting.place,
    )


@blueprint.get("/")
@public
@undescribed
def identities_page() -> Response:
    """Show with what a user may sign in, and what can be added."""
    user = door.user_in_person()
    here = url_for("openid.identities_page")
    if user is None:
        return redirect_to(url_for("accounts.page_sign-in", next=here))
    linked = linked_of(user.id)
    known = {one["provider"] for one in linked}
    others = [one for one in providers().values() if one.name not in known]
    return page("openid/identities.html", linked=linked, others=others, here=here)


def refused(error: Refusal) -> Response:
    """The page of a sign-in that cannot go on."""
    return page("openid/refused.html", status=error.status, told=error.told)


@door.links_on("sign-in")
@door.links_on("register")
def links_to_providers(place: str) -> list[door.PageLink]:
    """A link for each provider, on the page of the sign-in."""
    return [
        door.PageLink(
            f"Sign in with {one.title}",
            url_for("openid.begin_sign_in", name=one.name, next=place),
        )
        for one in providers().values()
    ]


@door.links_on("account")
def link_of_identities(_place: str) -> list[door.PageLink]:
    """The link to the page of identities, on that of the account."""
    url = url_for("openid.identities_page")
    return [door.PageLink("Sign in with others", url)] if providers() else []
