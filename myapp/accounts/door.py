"""What other features may ask of accounts."""

from collections.abc import Callable
from typing import Any

from flask import has_request_context
from sqlalchemy import select

from myapp.accounts import service, sessions, sign_out
from myapp.accounts.cookies import Cookie, sent_cookie
from myapp.accounts.models import User
from myapp.core.model import Change, Record, after_write, unscoped
from myapp.core.stores.sql import sql

#: The table of users, to read beside what another feature stores of them.
USERS = User.table()
Found = Callable[[str], list[Any]]
#: What features store about a user, by the names of :func:`in_export`.
exported: dict[str, Found] = {}


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


def sign_in(email: str, password: str) -> Record:
    """The user of an address and a password; tries are limited as for a sign-in.

    :raises Problem: 401; 429.
    """
    return service.sign_in(email, password)


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


def in_export(name: str) -> Callable[[Found], Found]:
    """Let a function say what a feature stores about a user, for the copy of the own
    account. It is called with the id of the user. A decorator.

    :param name: what the copy calls it, such as ``carts``.
    """

    def mark(find: Found) -> Found:
        exported[name] = find
        return find

    return mark
