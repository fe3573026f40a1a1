"""The cookie of a session, and which pages may write with it.

It holds the id of the user, for the key in Redis, and 256 random bits; only their
digest is stored.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from flask import Response, current_app, request

from myapp.core.access import SAFE_METHODS
from myapp.core.errors import Problem
from myapp.core.http import full_name, sent_value, write_cookie

SESSION = "session"
# The length of the id of a user in a cookie: 16 bytes without the padding of base64.
ID_LENGTH = 22
COOKIE_LENGTH = ID_LENGTH + 43


@dataclass(frozen=True)
class Cookie:
    """What a cookie says.

    :param digest: of its random part.
    """

    user_id: str
    digest: str

    @property
    def key(self) -> str:
        """The key of the session."""
        return prefix_of(self.user_id) + self.digest


def prefix_of(user_id: str) -> str:
    """What the keys of the sessions of a user begin with."""
    return f"session:{{{user_id}}}:"


def cookie_name() -> str:
    """The name of the cookie, in full."""
    return full_name(SESSION)


def read_cookie(text: str) -> Cookie | None:
    """What a cookie says; ``None`` for one that is not ours."""
    if len(text) != COOKIE_LENGTH or not text.isascii():
        return None
    try:
        user = UUID(bytes=urlsafe_b64decode(text[:ID_LENGTH] + "=="))
        secret = urlsafe_b64decode(text[ID_LENGTH:] + "=")
    except ValueError:
        return None
    return Cookie(str(user), hashlib.sha256(secret).hexdigest())


def sent_cookie() -> Cookie | None:
    """The cookie of this request, if it has one of ours."""
    text = sent_value(SESSION)
    return read_cookie(text) if text else None


def cookie_value(user_id: str, secret: bytes) -> str:
    """The text of a cookie."""
    parts = (UUID(user_id).bytes, secret)
    return "".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def set_cookie(response: Response, value: str, max_age: int | None) -> None:
    """Set the cookie of the session, or remove it: an age of 0."""
    write_cookie(response, SESSION, value, max_age)


def check_origin(is_needed: bool) -> None:
    """Refuse a write that a page of another site may have caused (OWASP, Cross-Site
    Request Forgery Prevention: verifying the origin).

    :param is_needed: whether the request has to say where it comes from.
    :raises Problem: 403.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is None:
        is_ours = not is_needed
    else:
        # A form of our pages, which tell no referrer, has the origin "null".
        unsaid = (None,) if site is None else (None, "null")
        is_ours = site in (None, "same-origin") and origin in (*unsaid, *own_origins())
    if not is_ours:
        raise Problem(
            "forbidden",
            "A write with a session needs the Origin of this server, or "
            "Sec-Fetch-Site: same-origin.",
        )


def own_origins() -> set[str]:
    """The origins of this server, as browsers write them (RFC 6454 section 6.1)."""
    found, public = {f"{request.scheme}://{request.host}"}, public_origin()
    return found | ({public} if public else set())


def public_origin() -> str:
    """The origin of ``PUBLIC_URL``; empty when it is not set."""
    public = urlsplit(current_app.config["PUBLIC_URL"])
    return f"{public.scheme}://{public.netloc}" if public.netloc else ""
