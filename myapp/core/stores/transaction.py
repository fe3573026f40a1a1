"""One request is one transaction; only this module commits.

View functions, models and services ``flush()`` at most. The stores commit in the order
in which they are registered: SQL first, then the writes to Redis, which are collected
until then. The functions given to :func:`after_commit` are called last, each in a
transaction of its own.

A view function may run again: when a record has changed between its read and its write,
or when a database ends a deadlock. Nothing of the earlier run is stored then.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import Any

from myapp.core.errors.problem import Problem
from myapp.core.stores.faults import is_retryable
from myapp.core.stores.state import Effect, request_state
from myapp.core.stores.store import registered_stores

log = logging.getLogger(__name__)

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
    """Call a view function that may write, commit its writes, and call the effects.

    The commit is inside, so that a failed commit goes through the error handlers like
    an error of the view function; then nothing is stored and no effect is called.

    :param lone_write: whether the view function runs one writing SQL statement at most.
    :param before_commit: called with the response, inside the transaction.
    :raises Problem: 409 when other requests changed the record each time.
    """
    response = run_and_commit(view, lone_write, before_commit, **kwargs)
    call_effects()
    return response


def reading(view: Callable[..., Any], **kwargs: Any) -> Any:
    """Call a view function that only reads; once more when a store says that it may
    succeed then."""
    try:
        response = view(**kwargs)
    except Exception as error:
        if not is_retryable(error):
            raise
        rollback()
        response = view(**kwargs)
    if request_state().effects:
        call_effects()
    return response


def run_and_commit(
    view: Callable[..., Any],
    lone_write: bool = False,
    before_commit: Callable[[Any], None] | None = None,
    **kwargs: Any,
) -> Any:
    """Call a function and commit its writes; see :func:`in_transaction`."""
    failures = stale = 0
    stores, state = registered_stores(), request_state()
    while True:
        for store in stores:
            store.begin(state, lone_write)
        try:
            response = view(**kwargs)
            if before_commit is not None:
                before_commit(response)
            commit_stores()
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
    """Commit what a command has written so far, then call the effects.

    :raises Problem: 409 when a store is committed, and a record in the next store has
        changed.
    """
    commit_stores()
    call_effects()


def commit_stores() -> None:
    """Commit each store in turn.

    :raises Problem: 409 when a store is committed, and the next one refuses: nothing
        runs again after a commit.
    """
    is_committed, state = False, request_state()
    for store in registered_stores():
        try:
            is_committed = store.commit(state) or is_committed
        except Exception as error:
            if is_committed and (isinstance(error, StaleRead) or is_retryable(error)):
                raise Problem(
                    "conflict", "A record in another store has changed."
                ) from error
            raise


def call_effects() -> None:
    """Call the effects in the order in which they were given, each in a transaction of
    its own, so that one that fails undoes and stops no other.

    :raises Exception: the first error of an effect.
    """
    state, failed = request_state(), None
    while state.effects:
        effects, state.effects = state.effects, []
        for effect in effects:
            later, state.effects = state.effects, []
            try:
                run_and_commit(effect)
            except Exception as error:
                if not isinstance(error, Problem):
                    log.error("an effect after the commit failed", exc_info=error)
                failed = failed or error
            state.effects = later + state.effects
    if failed is not None:
        raise failed


def rollback() -> None:
    """Discard the writes and the effects of this request."""
    state = request_state()
    for store in registered_stores():
        store.rollback(state)
    state.effects.clear()


def after_commit(effect: Effect) -> None:
    """Call a function after the commit of this request, and not when the request fails.
    Use it for effects outside the stores.

    :param effect: called without arguments, in a transaction of its own. It runs again
        when what it writes collides with other requests. An error in it is a 500,
        although the transaction of the request is committed.
    """
    request_state().effects.append(effect)
