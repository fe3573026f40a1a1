"""One request, one transaction; only this edge commits.

Views, models and services ``flush()`` at most. What a request changes outside SQL
waits until SQL is committed: the writes to Redis, which are collected and then made
at once, and whatever is given to :func:`after_commit`.

A view may run again: when what it read has changed before it could write, or when
the database breaks a deadlock. Nothing of the earlier run is stored by then.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from flask import g
from sqlalchemy.exc import DBAPIError

from myapp.core.db import sql
from myapp.core.errors import Problem
from myapp.core.faults import is_retryable

Effect = Callable[[], object]

# How often a view runs again after a deadlock or a serialization failure.
MAX_RETRIES = 3
# How often it runs again when somebody else was faster; each time somebody was.
MAX_STALE = 60
# The longest pause before it does, in seconds, for each time that it has run.
PAUSE = 0.001
# The longest pause after the first deadlock; it doubles with each.
LONG_PAUSE = 0.01


class StaleRead(Exception):
    """A record has changed, or is gone, since this request read it."""


class Unit(Protocol):
    """Writes to a store beside SQL, collected until the commit."""

    def commit(self) -> None:
        """Make all of them, or none.

        :raises StaleRead: when a record is not as it was read.
        """


U = TypeVar("U", bound=Unit)


def in_transaction(
    view: Callable[..., Any],
    lone_write: bool = False,
    before_commit: Callable[[Any], None] | None = None,
    **kwargs: Any,
) -> Any:
    """Call a view that may write, and commit what it wrote.

    The commit is inside, so that one that fails goes through the error handlers
    like an error of the view; then nothing is stored and no effect happens.

    :param lone_write: whether the view writes one SQL statement at most.
    :param before_commit: called with the answer, inside the transaction.
    :raises Problem: 409 when others were faster, time and again.
    """
    failures = stale = 0
    while True:
        if lone_write:
            g.lone_write = True
        try:
            answer = view(**kwargs)
            if before_commit is not None:
                before_commit(answer)
            commit()
            return answer
        except StaleRead as error:
            stale += 1
            rollback()
            if stale > MAX_STALE:
                raise Problem(
                    "conflict", "Others changed this all the time."
                ) from error
        except DBAPIError as error:
            failures += 1
            rollback()
            if failures > MAX_RETRIES or not is_retryable(error):
                raise
        # Whoever was overtaken waits a random while, so as not to meet the same again.
        longest = LONG_PAUSE * 2**failures if failures else PAUSE * min(stale, 10)
        time.sleep(random.uniform(longest / 2, longest))


def commit() -> None:
    """Commit SQL, then the units beside it, then let the effects happen in the order
    in which they were given.

    :raises Problem: 409 when SQL is committed and a record in Redis has changed.
    """
    has_sql = sql.session.registry.has() and sql.session().in_transaction()
    if has_sql:
        sql.session.commit()
    try:
        commit_units()
    except StaleRead as error:
        if has_sql:
            raise Problem("conflict", "A record outside SQL changed.") from error
        raise
    for effect in g.pop("effects", ()):
        effect()
        commit_units()


def commit_units() -> None:
    """Commit what is collected beside SQL."""
    for unit in g.pop("units", {}).values():
        unit.commit()


def rollback() -> None:
    """Forget whatever this request was about to write."""
    if sql.session.registry.has():
        sql.session.rollback()
    g.pop("units", None)
    g.pop("effects", None)


def after_commit(effect: Effect) -> None:
    """Let something outside SQL happen once this request is committed, and not at
    all when it fails.

    :param effect: called without arguments; an error in it is a 500, although the
        transaction stands.
    """
    g.setdefault("effects", []).append(effect)


def unit_of(name: str, make: Callable[[], U]) -> U:
    """The unit of this request for a store, made when it is first asked for."""
    units: dict[str, U] = g.setdefault("units", {})
    if name not in units:
        units[name] = make()
    return units[name]


def known_unit(name: str) -> Any:
    """The unit of this request for a store, ``None`` while there is none."""
    return g.units.get(name) if "units" in g else None
