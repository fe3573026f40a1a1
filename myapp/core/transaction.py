"""One request, one SQL transaction; only this edge commits.

Views, models and services ``flush()`` at most. What happens outside SQL because of
a request that writes SQL, a write to Redis or a message to the outside, waits for
the commit: :func:`after_commit`.
"""

from collections.abc import Callable
from typing import Any

from flask import g

from myapp.core.db import sql

Effect = Callable[[], object]


def in_transaction(view: Callable[..., Any], **kwargs: Any) -> Any:
    """Call a view that may write, and commit what it wrote.

    The commit is inside, so that one that fails goes through the error handlers
    like an error of the view; then nothing is stored and no effect happens.
    """
    answer = view(**kwargs)
    commit()
    return answer


def commit() -> None:
    """Commit, then let the effects happen in the order in which they were given."""
    if sql.session.registry.has():
        sql.session.commit()
    for effect in g.pop("effects", ()):
        effect()


def after_commit(effect: Effect) -> None:
    """Let something outside SQL happen once this request is committed, and not at
    all when it fails.

    :param effect: called without arguments; an error in it is a 500, although the
        transaction stands.
    """
    g.setdefault("effects", []).append(effect)


def refuse_inside_transaction() -> None:
    """Stop code that writes outside SQL while a transaction is open.

    :raises RuntimeError: it has to go through :func:`after_commit`.
    """
    if sql.session.registry.has() and sql.session().in_transaction():
        raise RuntimeError(
            "this request has an open SQL transaction: write to Redis in after_commit()"
        )
