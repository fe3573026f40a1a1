"""One request is one transaction; only this module commits.

View functions, models and services ``flush()`` at most. The stores commit in the order
in which they are registered: SQL first, then the writes to Redis, which are collected
until then. The functions given to :func:`after_commit` are called last.

A view function may run again: when a record has changed between its read and its write,
or when a database ends a deadlock. Nothing of the earlier run is stored then.
"""

import random
import time
from collections.abc import Callable
from typing import Any

from myapp.core.errors.problem import Problem
from myapp.core.stores.faults import is_retryable
from myapp.core.stores.state import Effect, RequestState, request_state
from myapp.core.stores.store import registered_stores

# How often a view function runs again after a deadlock or serialization error.
MAX_RETRIES = 3
# How many times it runs again after a stale read: then another request has succeeded.
MAX_STALE = 60
# The longest pause before the next run, in seconds, times the number of runs.
PAUSE = 0.001
# The longest pause after the first deadlock, in seconds; it doubles with each.
LONG_PAUSE = 0.01


class StaleRead(Exception):
    """A record has been changed or deleted since this request read it."""


def in_transaction(
    view: Callable[..., Any],
    lone_write: bool = False,
    before_commit: Callable[[Any], None] | None = None,
    **kwargs: Any,
) -> Any:
    """Call a view function that may write, and commit its writes.

    The commit is inside, so that a failed commit goes through the error handlers like
    an error of the view function; then nothing is stored and no effect is called.

    :param lone_write: whether the view function runs one writing SQL statement at most.
    :param before_commit: called with the response, inside the transaction.
    :raises Problem: 409 when other requests changed the record each time.
    """
    failures = stale = 0
    stores, state = registered_stores(), request_state()
    while True:
        for store in stores:
            store.begin(state, lone_write)
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
        # A random pause, so that the same requests do not collide again.
        longest = LONG_PAUSE * 2**failures if failures else PAUSE * min(stale, 10)
        time.sleep(random.uniform(longest / 2, longest))


def commit() -> None:
    """Commit each store in turn, then call the effects in the order in which they were
    given.

    :raises Problem: 409 when a store is committed, and a record in the next store has
        changed.
    """
    state = request_state()
    commit_stores(state)
    effects, state.effects = state.effects, []
    for effect in effects:
        effect()
        commit_stores(state)


def commit_stores(state: RequestState) -> None:
    """Commit what this request has written so far."""
    is_committed = False
    for store in registered_stores():
        try:
            is_committed = store.commit(state) or is_committed
        except StaleRead as error:
            if is_committed:
                raise Problem(
                    "conflict", "A record in another store has changed."
                ) from error
            raise


def rollback() -> None:
    """Discard the writes and the effects of this request."""
    state = request_state()
    for store in registered_stores():
        store.rollback(state)
    state.effects.clear()


def after_commit(effect: Effect) -> None:
    """Call a function after the commit of this request, and not when the request fails.
    Use it for effects outside the stores.

    :param effect: called without arguments; an error in it is a 500, although the
        transaction is committed.
    """
    request_state().effects.append(effect)
