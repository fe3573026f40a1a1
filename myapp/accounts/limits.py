"""How often one may try to sign in or sign up: for each address that requests come
from, for each account, and in all.

Of sign-ins only failures count. A stranger who uses up the tries of an account, or of
all, locks nobody out: a device, or an address, from which its user has signed in before
has tries of its own.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Response, current_app, g
from itsdangerous import BadSignature, URLSafeSerializer

from myapp.accounts.models import key_of_address
from myapp.core.http import client_network, sent_value, too_many, write_cookie
from myapp.core.stores.redis import Limiter, Rate, RedisKeys, parse_rate

limiter = Limiter("accounts")
known = RedisKeys("accounts")
# The cookie of a device on which a user has signed in.
DEVICE = "device"
YEAR = 365 * 24 * 3600
# How long an address counts as known, in seconds.
KNOWN_FOR = 90 * 24 * 3600.0


def rate_of(setting: str) -> Rate:
    """The rate of a setting."""
    return parse_rate(current_app.config[setting])


def short(text: str) -> str:
    """A text as a part of a key: nobody reads addresses in Redis."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@contextmanager
def trying(what: str, email: str, user_id: str = "") -> Iterator[None]:
    """Count a try. A sign-in does not count if the block ends without an error; all
    else sends a mail, and counts.

    :param what: ``sign-in`` or ``sign-up``.
    :param user_id: of the account, if it exists.
    :raises Problem: 429.
    """
    place, account = client_network(), short(key_of_address(email))
    rate = rate_of("SIGN_IN_LIMIT" if what == "sign-in" else "SIGN_UP_LIMIT")
    limits = {
        f"{what}:from:{place}": rate,
        f"{what}:to:{account}": rate,
        f"{what}:all": rate_of("ACCOUNTS_LIMIT"),
    }
    if limits.keys() <= g.setdefault("tries", set()):
        # The view function runs again, since a record has changed meanwhile.
        yield
        return
    g.tries |= limits.keys()
    taken = limiter.take(limits)
    if taken.refused >= 1 and is_familiar(user_id, place):
        own = short(f"{account} {place}")
        limits = {f"{what}:familiar:{own}": rate, f"{what}:from:{place}": rate}
        taken = limiter.take(limits)
    if taken.refused >= 0:
        raise too_many(taken)
    yield
    if what == "sign-in":
        limiter.give_back(limits)


def is_familiar(user_id: str, place: str) -> bool:
    """Whether a user has signed in before on this device, or from this address."""
    if not user_id:
        return False
    return device_of_request() == user_id or bool(
        known.get(f"known:{user_id}:{short(place)}")
    )


def remember_place(response: Response, user_id: str) -> None:
    """Remember that a user has signed in here."""
    place = client_network()
    known.set(f"known:{user_id}:{short(place)}", True, seconds=KNOWN_FOR)
    write_cookie(response, DEVICE, devices().dumps(user_id), YEAR)


def devices() -> URLSafeSerializer:
    """Signs which user has signed in on a device."""
    keys = [*current_app.config["SECRET_KEY_FALLBACKS"], current_app.secret_key]
    return URLSafeSerializer(keys, salt="accounts-device")


def device_of_request() -> str:
    """The user who has signed in on this device before; empty when nobody has."""
    try:
        return str(devices().loads(sent_value(DEVICE)))
    except BadSignature:
        return ""
