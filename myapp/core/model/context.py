"""The context of a scope: the caller, and the path of the request."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from flask import current_app

from myapp.core.access.caller import Caller
from myapp.core.access.rules import Rule


@dataclass(frozen=True)
class Context:
    """The caller and the path of a request for records of a model.

    :param caller: ``None`` for a request without credentials.
    :param path: the variables in the path of the model's own route, without the id.
    :param including: the names that :func:`including` has set.
    :param readers: who may read records of the model; ``None`` for everybody.
    :param writers: who may call the route of the model that writes them now, likewise.
    """

    caller: Caller | None
    path: Mapping[str, str] = field(default_factory=dict)
    including: frozenset[str] = frozenset()
    readers: Rule | None = None
    writers: Rule | None = None


_including: ContextVar[frozenset[str]] = ContextVar("including", default=frozenset())
_unscoped: ContextVar[bool] = ContextVar("unscoped", default=False)


def current_context(model: Any) -> Context | None:
    """The context of this request for a model; ``None`` outside of requests and inside
    :func:`unscoped`, where every record is in scope."""
    if _unscoped.get():
        return None
    asked = current_app.extensions["current_context"](model)
    if asked is None:
        return None
    caller, path, readers, writers = asked
    return Context(caller, path, _including.get(), readers, writers)


@contextmanager
def unscoped() -> Iterator[None]:
    """Let code see every record, for work that is independent of the caller."""
    token = _unscoped.set(True)
    try:
        yield
    finally:
        _unscoped.reset(token)


@contextmanager
def including(*names: str) -> Iterator[None]:
    """Tell scopes to leave out a condition, such as one that hides deleted records.

    :param names: names that the scopes of models check in ``Context.including``.
    """
    token = _including.set(_including.get() | set(names))
    try:
        yield
    finally:
        _including.reset(token)
