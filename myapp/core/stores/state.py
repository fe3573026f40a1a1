"""What one request keeps while it runs: one object, as ``flask.g.state``.

It stands in this room because the transaction is the lowest part of the core that
needs it; ``http`` keeps its clock and the parsed body here, too.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from flask import g

Effect = Callable[[], object]
#: Stands for a body that has not been parsed.
UNREAD = object()


class Unit(Protocol):
    """Writes to a store that are collected until the commit."""

    def commit(self) -> None:
        """Make all of them, or none.

        :raises StaleRead: when a record is not as it was read.
        """


class RequestState:
    """The state of one request, or of one command.

    :param reads_only: whether its method may not write (GET, HEAD, OPTIONS).
    """

    __slots__ = (
        "started",
        "reads_only",
        "caller",
        "body",
        "statements",
        "lone_write",
        "units",
        "effects",
    )

    def __init__(self, reads_only: bool = False) -> None:
        #: When it began, in seconds of ``time.perf_counter``.
        self.started = time.perf_counter()
        self.reads_only = reads_only
        #: Who sends it, once that is asked.
        self.caller: Any = UNREAD
        #: The JSON of the body, once it is parsed.
        self.body: Any = UNREAD
        #: How many SQL statements it has run.
        self.statements = 0
        #: ``True`` while its only write is still to come, ``False`` after it, ``None``
        #: when it may write any number of times.
        self.lone_write: bool | None = None
        #: The collected writes, by the name of the model.
        self.units: dict[str, Unit] = {}
        #: What is to happen after the commit.
        self.effects: list[Effect] = []


def request_state() -> RequestState:
    """The state of this request, or of this command."""
    try:
        state: RequestState = g.state
    except AttributeError:
        state = g.state = RequestState()
    return state
