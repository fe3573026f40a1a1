"""One request, one transaction; only this edge commits.

Views, models and services ``flush()`` at most. The stores commit in the order in which
they are registered: SQL first, then the writes to Redis, which are collected until
then. Whatever is given to :func:`after_commit` comes last.

A view function may run again: when what it read has changed before it could write, or
when a database breaks a deadlock. Nothing of the earlier run is stored by then.
"""

import random
import time
from collections.abc import Callable
from typing import Any

from myapp.core.errors.problem import Problem
from myapp.core.stores.faults import is_retryable
from myapp.core.stores.state import Effect, request_state
from myapp.core.stores.store import registered_stores

# How many times a view function runs again after a deadlock or a serialization failure.
MAX_RETRIES = 3
# How many times it runs again after a stale read; each time another request succeeded.
MAX_STALE = 60
# The longest pause before the next run, in seconds, times the number of runs.
PAUSE = 0.001
# The longest pause after the first deadlock, in seconds; it doubles with each.
LONG_PAUSE = 0.01


class StaleRead(Exception):
    """A record has changed, or is gone, since this request read it."""


def in_transaction(
    view: Callable[..., Any],
    lone_write: bool = False,
    before_commit: Callable[[Any], None] | None = None,
    **kwargs: Any,
) -> Any:
    """Call a view function that may write, and commit what it wrote.

    The commit is inside, so that one that fails goes through the error handlers
    like an error of the view function; then nothing is stored and no effect happens.

    :param lone_write: whether the view function writes one SQL statement at most.
    :param before_commit: called with the response, inside the transaction.
    :raises Problem: 409 when other requests changed the record each time.
    """
    failures = stale = 0
    while True:
        for store in registered_stores():
            store.begin(lone_write)
        try:
            response = view(**kwargs)
            if before_commit is not None:
                before_commit(response)
            commit()
            return response
        except StaleRead as error:
            stale += 1
            rollback()
            if stale > MAX_STALE:
                raise Problem(
                    "conflict",
                    "The record kept changing while this request was retried.",
                ) from error
        except Exception as error:
            failures += 1
            rollback()
            if failures > MAX_RETRIES or not is_retryable(error):
                raise
        # A random pause, so that the same requests do not meet again.
        longest = LONG_PAUSE * 2**failures if failures else PAUSE * min(stale, 10)
        time.sleep(random.uniform(longest / 2, longest))


def commit() -> None:
    """Commit each store in turn, then let the effects happen in the order in which
    they were given.

    :raises Problem: 409 when one store is committed and a record in the next one has
        changed.
    """
    commit_stores()
    state = request_state()
    effects, state.effects = state.effects, []
    for effect in effects:
        effect()
        commit_stores()


def commit_stores() -> None:
    """Commit what this request has written so far."""
    is_committed = False
    for store in registered_stores():
        try:
            is_committed = store.commit() or is_committed
        except StaleRead as error:
            if is_committed:
                raise Problem(
                    "conflict", "A record in another store has changed."
                ) from error
            raise


def rollback() -> None:
    """Forget whatever this request was about to write, and its effects."""
    for store in registered_stores():
        store.rollback()
    request_state().effects.clear()


def after_commit(effect: Effect) -> None:
    """Let something outside the stores happen once this request is committed, and not
    at all when it fails.

    :param effect: called without arguments; an error in it is a 500, although the
        transaction stands.
    """
    request_state().effects.append(effect)
