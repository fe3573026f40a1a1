"""Signing out everywhere: all that a user is signed in with ends at once."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from myapp.accounts import jobs
from myapp.accounts.cookies import sent_cookie
from myapp.accounts.models import User
from myapp.accounts.sessions import authenticate, end_present_sessions, end_sessions
from myapp.accounts.tokens import drop_tokens
from myapp.core.errors import Problem
from myapp.core.model import Record
from myapp.core.stores import after_commit
from myapp.core.stores.sql import sql

USERS = User.table()

#: What else ends; :func:`myapp.accounts.door.when_signed_out` adds to it.
also_ends: list[Callable[[str], Any]] = []


def hold(user: Record) -> None:
    """Make sure that a user is not signed out before the end of this transaction, nor
    was since it was read: what is made for it now would outlive that.

    :raises Problem: 409 when it was.
    """
    hold_version(user)
    if sent_cookie() is not None and authenticate() is None:
        raise changed()


def hold_version(user: Record) -> None:
    """Make sure that a user is not changed before the end of this transaction, nor was
    since it was read.

    :raises Problem: 409 when it was.
    """
    mine = select(USERS.c.version).where(USERS.c.id == user.id).with_for_update()
    if sql.session.connection().scalar(mine) != user.version:
        raise changed()


def changed() -> Problem:
    """The problem of a user that has changed meanwhile."""
    return Problem("conflict", "The account has changed. Sign in again.")


def sign_out_everywhere(user: Record) -> None:
    """End the sessions and tokens of a user who was changed. Sessions end now, so that
    nothing is written while Redis cannot be reached; after the commit, for a sign-in
    that came between; and by a job, if this process dies before that."""
    end_present_sessions(user.id)
    drop_tokens(user.id)
    for end in also_ends:
        end(user.id)
    after_commit(lambda: end_sessions(user.id, user.version))
    jobs.drop_sessions.later(user.id, user.version)
