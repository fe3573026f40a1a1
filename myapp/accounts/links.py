"""Mailed links: made, used once, and dropped when they are old."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flask import current_app
from sqlalchemy import delete, insert, select

from myapp.accounts.models import Link
from myapp.core.errors import Problem
from myapp.core.stores.sql import rows, write

#: What links are for.
VERIFY, RESET, MOVE = "verify", "reset", "move"
LINKS = Link.__table__
TOKEN = {"type": "string", "minLength": 1, "maxLength": 100}
# The bytes of a token, which nobody can guess.
TOKEN_BYTES = 32


class Used(NamedTuple):
    """A link that was used.

    :param address: that it was mailed to.
    """

    user_id: str
    address: str


def digest_of_token(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def make_link(user_id: str, purpose: str, address: str) -> str:
    """Store a new link; the former ones of this purpose are of no use any more.

    :returns: its token.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    drop_links(user_id, purpose)
    lives = timedelta(seconds=current_app.config["LINK_LIFETIME"])
    write(
        insert(LINKS),
        {
            "digest": digest_of_token(token),
            "user_id": user_id,
            "purpose": purpose,
            "address": address,
            "expires_at": datetime.now(UTC) + lives,
        },
    )
    return token


def find_link(token: str, purpose: str) -> Used:
    """The link of a token, which stays.

    :raises Problem: 422 when there is none, or it is too old.
    """
    found = rows(
        select(LINKS.c.user_id, LINKS.c.address).where(
            LINKS.c.digest == digest_of_token(token),
            LINKS.c.purpose == purpose,
            LINKS.c.expires_at > datetime.now(UTC),
        )
    )
    if not found:
        raise unusable()
    return Used(*found[0])


def use_link(token: str, purpose: str) -> Used:
    """The link of a token, which is gone then. Of requests at once one gets it.

    :raises Problem: as :func:`find_link`.
    """
    used = find_link(token, purpose)
    gone = delete(LINKS).where(LINKS.c.digest == digest_of_token(token))
    if write(gone).rowcount != 1:
        raise unusable()
    return used


def drop_links(user_id: str, *purposes: str) -> None:
    """Make the links of a user useless; those of all purposes by default."""
    mine = delete(LINKS).where(LINKS.c.user_id == user_id)
    write(mine.where(LINKS.c.purpose.in_(purposes)) if purposes else mine)


def drop_old_links() -> int:
    """Delete the links that nobody has used in time; return their number."""
    return write(delete(LINKS).where(LINKS.c.expires_at <= datetime.now(UTC))).rowcount


def unusable() -> Problem:
    """The problem of a token that is wrong, used or old."""
    return Problem("unprocessable", "This link is wrong, used or too old.")
