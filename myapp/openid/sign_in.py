"""A sign-in with a provider, step by step.

It begins with a redirect to the provider; what the return is checked with waits in
Redis, for the browser that has begun it and for ten minutes. When the user is back, an
identity that is linked signs in. Another one waits, in Redis too, until the user has
said on a page what is to become of it.
"""

import hashlib
import secrets
from typing import Literal, NamedTuple

from flask import Response, request, url_for

from myapp.accounts import door
from myapp.core.errors import Problem, problem_at
from myapp.core.http import public_url, redirect_to, sent_value, write_cookie
from myapp.core.model import Record
from myapp.core.stores import after_commit
from myapp.core.stores.redis import RedisKeys
from myapp.openid.identities import Identity, Refusal, begin_at, identity_of
from myapp.openid.jobs import tell_linked
from myapp.openid.models import add_linked, find_linked
from myapp.openid.providers import Provider, providers

keys = RedisKeys("openid")
# The cookies of a browser that has begun a sign-in, and of one that is back.
BEGUN, BACK = "openid", "openid-back"
LIFETIME = 600
# What is to become of an identity: it signs in, it is linked to the account of this
# session or to the one with its address, or it gets an account of its own.
Step = Literal["enter", "link", "prove", "make"]
STEPS: tuple[Step, ...] = ("enter", "link", "prove", "make")


class Waiting(NamedTuple):
    """An identity that waits for its user.

    :ivar place: the path to which the sign-in leads.
    """

    identity: Identity
    place: str


def digest_of(text: str) -> str:
    """What a cookie or a state is called in Redis."""
    return hashlib.sha256(text.encode()).hexdigest()


def callback_of(provider: Provider) -> str:
    """The redirect URI of this server at a provider."""
    return public_url() + url_for("openid.callback", name=provider.name)


def send_to(provider: Provider, place: str) -> Response:
    """Send the browser to a provider.

    :param place: the path to which the sign-in leads.
    :raises Refusal: when the provider cannot be asked.
    """
    browser = sent_value(BEGUN) or secrets.token_urlsafe()
    kept = begin_at(provider, callback_of(provider))
    kept |= {"provider": provider.name, "browser": digest_of(browser), "place": place}
    keys.set(f"begun:{digest_of(kept['state'])}", kept, LIFETIME)
    response = redirect_to(kept["url"])
    write_cookie(response, BEGUN, browser, LIFETIME)
    return response


def come_back(provider: Provider) -> Waiting:
    """Who has come back from a provider.

    :raises Refusal: when this browser has begun no such sign-in, or the provider says
        no, or its answer cannot be checked.
    """
    sent = request.args
    name = f"begun:{digest_of(sent.get('state', ''))}"
    kept = keys.get_and_set(name, None, seconds=1)
    mine = (provider.name, digest_of(sent_value(BEGUN)))
    if not kept or (kept["provider"], kept["browser"]) != mine:
        told = "This sign-in was not begun in this browser, or is too old. Begin again."
        raise Refusal(told)
    # RFC 9207: the answer of one provider is not taken for that of another one.
    is_its = sent.get("iss", provider.issuer) == provider.issuer
    if provider.has_discovery and not is_its:
        raise Refusal(f"This is not an answer of {provider.title}. Begin again.")
    if "code" not in sent:
        raise Refusal(f"{provider.title} has not signed you in. Begin again.")
    where = callback_of(provider)
    return Waiting(identity_of(provider, sent["code"], kept, where), kept["place"])


def step_of(identity: Identity) -> tuple[Step, Record | None]:
    """What is to become of an identity, and the user here, if there is one.

    :raises Refusal: when it cannot sign in.
    """
    provider = providers()[identity.provider]
    title, here = provider.title, door.user_in_person()
    known = find_linked(provider.issuer, identity.subject)
    if known is not None:
        user = door.active_user(known["user_id"])
        if user is None:
            raise Refusal("This account cannot sign in.", 403)
        if here is not None and here.id != user.id:
            told = f"This account at {title} is linked with another account here."
            raise Refusal(f"{told} Sign out first.", 409)
        return "enter", user
    if not identity.email:
        told = f"{title} has not verified your address. Verify it there first."
        raise Refusal(told, 403)
    if here is not None:
        if not door.has_address(here, identity.email):
            told = f"Your address at {title} is {identity.email}, and here it is"
            told += f" {here['email']}. Only the same address can be linked."
            raise Refusal(told, 409)
        return "link", here
    user = door.verified_user(identity.email)
    if user is not None and door.active_user(user.id) is None:
        raise Refusal("This account cannot sign in.", 403)
    return ("prove", user) if user is not None else ("make", None)


def let_wait(response: Response, waiting: Waiting) -> None:
    """Keep an identity until its user has decided."""
    browser = secrets.token_urlsafe()
    kept = (list(waiting.identity), waiting.place)
    keys.set(f"back:{digest_of(browser)}", kept, LIFETIME)
    write_cookie(response, BACK, browser, LIFETIME)


def waiting_here() -> Waiting:
    """The identity that waits in this browser.

    :raises Refusal: when there is none.
    """
    kept = keys.get(f"back:{digest_of(sent_value(BACK))}")
    if kept is None or kept[0][0] not in providers():
        raise Refusal("This sign-in is over, or too old. Begin again.", 409)
    return Waiting(Identity(*kept[0]), kept[1])


def confirm(step: Step, password: str | None, code: str | None) -> Record:
    """Do with the identity of this browser what its user has decided.

    :param step: which the page has shown.
    :returns: the user.
    :raises Refusal: when it cannot sign in, or no identity waits.
    :raises Problem: 401 for a wrong password or code; 409 when the step is another one
        now; 429.
    """
    identity, browser = waiting_here().identity, sent_value(BACK)
    now, user = step_of(identity)
    if now != step:
        raise Problem("conflict", "The account has changed. Begin again.")
    if step == "enter" and user is not None:
        door.check_factor(user, code)
    elif step == "prove":
        if password is None:
            error = problem_at("/password", "is needed", "password")
            told = "The password of the account is needed."
            raise Problem("unauthorized", told, errors=[error])
        user = door.sign_in(identity.email, password, code)
    elif step == "make":
        user = door.vouched_user(identity.email, identity.name or None)
    assert user is not None
    if step != "enter":
        link(user, identity, is_here=step == "link")
    after_commit(lambda: keys.delete(f"back:{digest_of(browser)}"))
    return user


def link(user: Record, identity: Identity, is_here: bool) -> None:
    """Link an identity to a user, and tell the user.

    :param is_here: whether the user is signed in here.
    :raises Problem: 409 when the account has changed.
    """
    if is_here:
        door.hold(user)
    else:
        door.hold_version(user)
    provider = providers()[identity.provider]
    fields = {"provider": provider.name, "issuer": provider.issuer}
    fields |= {"subject": identity.subject, "email": identity.email}
    add_linked(user.id, **fields)
    tell_linked(user["email"], provider.title)
