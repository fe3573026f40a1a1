"""The jobs of accounts: mailed links, ended sessions, and what is too old."""

import hashlib
from typing import Any

from flask import current_app

from myapp.accounts import links
from myapp.accounts.models import User, find_user
from myapp.accounts.sessions import end_sessions
from myapp.accounts.tokens import drop_old_tokens
from myapp.core.jobs import cron, job
from myapp.core.mail import send_mail_now
from myapp.core.model import unscoped

#: The template of each purpose of a link.
TEMPLATES = {
    links.VERIFY: "accounts/verify",
    links.RESET: "accounts/reset",
    links.MOVE: "accounts/move",
}


def stamp_of(user: Any) -> str:
    """What changes with the password of a user: a link that somebody has asked for with
    the former one is not mailed."""
    return hashlib.sha256(user["password_hash"].encode()).hexdigest()[:16]


def is_disabled(user: Any) -> bool:
    """Whether a user has the lowest role."""
    return bool(user["role"] == current_app.config["ROLES"][0])


@job
def mail_link(user_id: str, purpose: str, address: str, stamp: str = "") -> bool:
    """Mail a new link. The job makes it, so that its token is stored nowhere.

    :param stamp: of the user who has asked, see :func:`stamp_of`; empty for any.
    :returns: whether there is still such a user, whose password has not changed.
    """
    with unscoped():
        found = User.read([user_id])
    if not found or is_disabled(found[0]) or stamp not in ("", stamp_of(found[0])):
        return False
    token = links.make_link(user_id, purpose, address)
    base = current_app.config["PUBLIC_URL"].rstrip("/")
    url = f"{base}/accounts/{purpose}#{token}" if base else ""
    minutes = round(current_app.config["LINK_LIFETIME"] / 60)
    values = {"token": token, "url": url, "minutes": minutes, "address": address}
    send_mail_now(address, TEMPLATES[purpose], **values)
    return True


@job
def mail_reset(email_key: str) -> bool:
    """Mail a link to set another password, if there is such an account. The job looks,
    so that the request takes as long for an address without an account.

    :returns: whether there is one.
    """
    user = find_user(email_key)
    if user is None or is_disabled(user):
        return False
    return bool(mail_link(user.id, links.RESET, user["email"]))


@job
def tell(address: str, template: str) -> None:
    """Tell a user what has become of the account."""
    send_mail_now(address, f"accounts/{template}", address=address)


@job
def drop_sessions(user_id: str, below: int) -> int:
    """End the sessions that know an older version of a user. The request has done so;
    this is for the request whose process died after its commit."""
    return end_sessions(user_id, below)


@cron("7 * * * *")
@job
def drop_links() -> int:
    """Delete the links that are too old."""
    return links.drop_old_links()


@cron("17 * * * *")
@job
def drop_tokens() -> int:
    """Delete the personal tokens that are over."""
    return drop_old_tokens()
