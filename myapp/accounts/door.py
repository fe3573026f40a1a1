"""What other features may ask of accounts."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from flask import Response, has_request_context
from sqlalchemy import select

from myapp.accounts import cookies, models, service, sessions, sign_out, vouched
from myapp.accounts.cookies import Cookie, sent_cookie
from myapp.accounts.models import User
from myapp.core.access import current_caller
from myapp.core.errors import Problem
from myapp.core.model import Change, Record, after_write, unscoped
from myapp.core.stores.sql import sql

#: The table of users, to read beside what another feature stores of them.
USERS = User.table()
Found = Callable[[str], list[Any]]
#: What features store about a user, by the names of :func:`in_export`.
exported: dict[str, Found] = {}
# A path, which no browser reads as another host: neither //host nor /\\host.
LOCAL_PATH = re.compile(r"/([^/\\\s][^\\\s]*)?")


class PageLink(NamedTuple):
    """A link on a page of accounts."""

    text: str
    url: str


FoundLinks = Callable[[str], list[PageLink]]
#: Links that features put on the pages of accounts, by the names of :func:`links_on`.
page_links: list[tuple[str, FoundLinks]] = []


def is_user(id: str) -> bool:
    """Whether a user has this id, whoever calls."""
    with unscoped():
        return is_user_id(id) and bool(User.read([User.key.parse(id)]))


def hold_user(id: str) -> bool:
    """Whether a user has this id; then nobody deletes it before the end of this
    transaction."""
    mine = select(USERS.c.id).where(USERS.c.id == id).with_for_update()
    return bool(sql.session.connection().scalars(mine).all())


def is_user_id(id: str) -> bool:
    """Whether an id is like those of users; callers of other kinds have other ids."""
    try:
        User.key.parse(id)
    except ValueError:
        return False
    return True


def active_user(id: str) -> Record | None:
    """The user with an id, unless it is disabled or gone, whoever calls."""
    with unscoped():
        found = User.read([id])
    user = Record(User, found[0]) if found else None
    return user if user is not None and service.may_sign_in(user) else None


def user_in_person() -> Record | None:
    """The user who is signed in here; ``None`` for a token, or for nobody."""
    caller = current_caller()
    if caller is None or caller.scopes is not None or not is_user_id(caller.id):
        return None
    return active_user(caller.id)


def role_of(user: Any) -> str:
    """The role with which a user calls now.

    :param user: its ``role`` and ``totp_secret``.
    """
    return sessions.role_of_session(user)


def session_here() -> str:
    """The name of the session of this request; empty without one."""
    cookie = sent_cookie() if has_request_context() else None
    return cookie.digest if cookie is not None else ""


def role_of_session(user_id: str, session: str) -> str | None:
    """The role of a session of a user; ``None`` when it is over.

    :param session: its name, see :func:`session_here`.
    """
    found = sessions.read_session(Cookie(user_id, session))
    return str(found["role"]) if found is not None else None


def hold(user: Record) -> None:
    """Make sure that a user is not signed out before the end of this transaction; see
    :func:`myapp.accounts.sign_out.hold`."""
    sign_out.hold(user)


def hold_version(user: Record) -> None:
    """Make sure that a user is not changed before the end of this transaction, nor was
    since it was read.

    :raises Problem: 409 when it was.
    """
    sign_out.hold_version(user)


def sign_in(email: str, password: str, code: str | None = None) -> Record:
    """The user of an address and a password; tries are limited as for a sign-in.

    :param code: of the second factor, for a user who has one.
    :raises Problem: 401; 429.
    """
    return service.sign_in(email, password, code)


def verified_user(email: str) -> Record | None:
    """The user of a verified address, in any of its spellings, whoever calls."""
    user = models.find_user(email)
    return user if user is not None and user["verified_at"] is not None else None


def address_of(text: str) -> str | None:
    """An address as accounts keep it; ``None`` for one to which no mail can be sent, or
    that only looks like its plain form."""
    if unicodedata.normalize("NFKC", text) != text:
        return None
    try:
        return models.read_address(text)
    except Problem:
        return None


def has_address(user: Record, email: str) -> bool:
    """Whether an address, in any of its spellings, is that of a user."""
    return bool(user["email_key"] == models.key_of_address(email))


def vouched_user(address: str, name: str | None) -> Record:
    """A new user with an address that another server has verified; see
    :func:`myapp.accounts.vouched.vouched_user`."""
    return vouched.vouched_user(address, name)


def has_factor(user: Record) -> bool:
    """Whether a user has a second factor."""
    return user["totp_secret"] is not None


def check_factor(user: Record, code: str | None) -> None:
    """Check the second factor of a user who has signed in elsewhere, if it has one.

    :raises Problem: 401; 429.
    """
    vouched.check_factor(user, code)


def check_origin(is_needed: bool) -> None:
    """Refuse a write that a page of another site may have caused; see
    :func:`myapp.accounts.cookies.check_origin`."""
    cookies.check_origin(is_needed)


def begin_session(response: Response, user: Record) -> None:
    """Begin a session of a user after the commit of this request.

    :param response: gets the cookie.
    """
    sessions.begin_session(response, user, remember=False)


def local_path(text: str) -> str:
    """A path of this server that comes from a URL; empty when it leads elsewhere."""
    return text if LOCAL_PATH.fullmatch(text) else ""


def links_on(page: str) -> Callable[[FoundLinks], FoundLinks]:
    """Let a function put links on a page of accounts. It is called with the path that a
    sign-in leads to. A decorator.

    :param page: ``sign-in`` or ``account``.
    """

    def mark(find: FoundLinks) -> FoundLinks:
        page_links.append((page, find))
        return find

    return mark


def links_of(page: str, place: str = "") -> Iterator[PageLink]:
    """The links that features put on a page of accounts.

    :param place: the path that a sign-in leads to.
    """
    for name, find in page_links:
        if name == page:
            yield from find(place)


def when_deleted(act: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let a function be called with the id of each user that is deleted, in the same
    transaction. A decorator."""

    def hear(_sender: Any, change: Change) -> None:
        if change.after is None and change.before is not None:
            act(change.before["id"])

    after_write.connect(hear, sender=User, weak=False)
    return act


def when_signed_out(act: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let a function be called with the id of each user that is signed out everywhere,
    such as by a new password, in the same transaction. A decorator."""
    sign_out.also_ends.append(act)
    return act


def when_reset(act: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let a function be called with the id of each user who sets another password by a
    mailed link, in the same transaction. A decorator."""
    service.also_reset.append(act)
    return act


def in_export(name: str) -> Callable[[Found], Found]:
    """Let a function say what a feature stores about a user, for the copy of the own
    account. It is called with the id of the user. A decorator.

    :param name: what the copy calls it, such as ``carts``.
    """

    def mark(find: Found) -> Found:
        exported[name] = find
        return find

    return mark
