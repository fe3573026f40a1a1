"""The state of one request while it runs: one object, in ``flask.g.state``.

It is in this room because the transaction is the lowest part of the core that needs it;
``http`` keeps the start time, the caller and the parsed body in it, too.
"""

import time
from collections.abc import Callable
from typing import Any

from flask import g

Effect = Callable[[], object]
#: The value of ``body`` and ``caller`` before they are read.
UNREAD = object()


class RequestState:
    """The state of one request, or of one command.

    :param reads_only: whether its method may not write (GET, HEAD, OPTIONS).
    :param is_request: whether it is a request; a command has no time limits.
    """

    __slots__ = (
        "started",
        "reads_only",
        "is_request",
        "is_fresh",
        "replica",
        "cause",
        "caller",
        "body",
        "statements",
        "lone_write",
        "units",
        "promised",
        "homes",
        "effects",
    )

    def __init__(self, reads_only: bool = False, is_request: bool = False) -> None:
        #: The start of the request, in seconds of ``time.perf_counter``.
        self.started = time.perf_counter()
        self.reads_only = reads_only
        self.is_request = is_request
        #: Whether its reads must see every write, so that no replica is asked.
        self.is_fresh = not reads_only
        #: The replica that has answered its reads, if one has.
        self.replica: Any = None
        #: The id of the request that has caused this work, when it is no request.
        self.cause: str | None = None
        #: The caller, after the first look-up.
        self.caller: Any = UNREAD
        #: The JSON of the body, after it is parsed.
        self.body: Any = UNREAD
        #: The number of SQL statements that it has run.
        self.statements = 0
        #: ``True`` while its only write is still to come, ``False`` after it, ``None``
        #: when it may write any number of times.
        self.lone_write: bool | None = None
        #: The collected writes, by the keys that they are to.
        self.units: dict[str, Any] = {}
        #: The same writes, when they were promised to a store that commits first.
        self.promised: Any = None
        #: Where new records are to be stored, by the name of the model, where the
        #: response to this request is kept beside them.
        self.homes: dict[str, str] = {}
        #: The functions to call after the commit.
        self.effects: list[Effect] = []


def request_state() -> RequestState:
    """The state of this request, or of this command."""
    try:
        state: RequestState = g.state
    except AttributeError:
        state = g.state = RequestState()
    return state
