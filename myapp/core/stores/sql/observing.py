"""Tells an observer of the statements and the commit of each transaction, and of each
connection."""

import logging
import time
from typing import Any

from sqlalchemy import Connection, Engine, event

from myapp.core.stores.observer import Observer

#: Where a connection keeps when its statement or its commit began.
STARTED, COMMITTING = "observed_start", "observed_commit"
LOGGED = "logged_start"
log = logging.getLogger(__name__)


def log_statements(engine: Engine) -> None:
    """Log each statement with its time, without the values, which may be secret."""

    @event.listens_for(engine, "before_cursor_execute")
    def start(connection: Connection, *_: Any) -> None:
        connection.info[LOGGED] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def end(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        milliseconds = (time.perf_counter() - connection.info.pop(LOGGED)) * 1000
        log.info("%.2f ms  %s", milliseconds, " ".join(statement.split()))


def observe_transactions(engine: Engine, observer: Observer) -> None:
    """Tell an observer how long each statement takes, failed ones included, and each
    commit."""

    @event.listens_for(engine, "before_cursor_execute")
    def start(connection: Connection, *_: Any) -> None:
        connection.info[STARTED] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def end(connection: Connection, *_: Any) -> None:
        observer.command(time.perf_counter() - connection.info.pop(STARTED))

    @event.listens_for(engine, "handle_error")
    def fail(context: Any) -> None:
        info = context.connection.info if context.connection else {}
        started = info.pop(STARTED, None)
        if started is not None:
            observer.command(time.perf_counter() - started)

    @event.listens_for(engine, "commit")
    def start_commit(connection: Connection) -> None:
        connection.info[COMMITTING] = time.perf_counter()

    @event.listens_for(engine.pool, "checkin")
    def end_commit(_connection: Any, record: Any) -> None:
        # A connection is given back right after the commit.
        committing = record.info.pop(COMMITTING, None)
        if committing is not None:
            observer.command(time.perf_counter() - committing)


def observe_connections(engine: Engine, observer: Observer) -> None:
    """Tell an observer of each connection that is opened or closed."""

    @event.listens_for(engine.pool, "connect")
    def opened(*_: Any) -> None:
        observer.connections(1)

    @event.listens_for(engine.pool, "close")
    def closed(*_: Any) -> None:
        observer.connections(-1)
