"""Signing out everywhere: all that a user is signed in with ends at once."""

from collections.abc import Callable
from typing import Any

from myapp.accounts import jobs
from myapp.accounts.sessions import end_present_sessions, end_sessions
from myapp.accounts.tokens import drop_tokens
from myapp.core.model import Record
from myapp.core.stores import after_commit

#: What else ends; :func:`myapp.accounts.door.when_signed_out` adds to it.
also_ends: list[Callable[[str], Any]] = []


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
