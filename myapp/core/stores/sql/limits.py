"""Time limits of PostgreSQL, MySQL and MariaDB, for connections that a request opens.

The server ends a statement that runs too long or waits too long for a lock, and a
transaction whose client says nothing for as long, such as one on a machine that has
lost its network: its locks would stop others for hours. MySQL has no such limit. A
server that does not reply at all is given up by the client a moment later. Connections
that a command or a migration opens have no limit but that on connecting; where one
process does both, a connection of the other kind is replaced when it is taken from the
pool.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import psycopg
from flask import g
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

# Seconds that the client waits longer than the server is allowed to work.
GRACE = 1.0
IN_REQUEST = "in_request"


def in_request() -> bool:
    """Whether a request runs, and not a command."""
    try:
        return bool(g.state.is_request)
    except (AttributeError, RuntimeError):
        return False


def limit_postgresql(engine: Engine, config: Mapping[str, Any]) -> None:
    """Open limited connections to PostgreSQL."""
    statement = config["DATABASE_STATEMENT_TIMEOUT"]
    limits = (
        f"-c statement_timeout={milliseconds(statement)} "
        f"-c idle_in_transaction_session_timeout={milliseconds(statement)} "
        f"-c lock_timeout={milliseconds(config['DATABASE_LOCK_TIMEOUT'])}"
    )

    @event.listens_for(engine, "do_connect")
    def limit(_dialect: Any, _record: Any, _cargs: Any, cparams: Any) -> None:
        seconds = math.ceil(config["DATABASE_CONNECT_TIMEOUT"])
        cparams.setdefault("connect_timeout", seconds)
        if in_request():
            # The options of the configuration come later and count.
            cparams["options"] = f"{limits} {cparams['options']}"

    @event.listens_for(engine, "connect")
    def limit_replies(connection: Any, _record: Any) -> None:
        if in_request():
            connection.wait = partial(connection.wait, timeout=statement + GRACE)

    @event.listens_for(engine, "handle_error")
    def give_up(context: Any) -> None:
        error, connection = context.original_exception, context.connection
        if isinstance(error, psycopg.OperationalError) and connection is not None:
            driver = connection.connection.driver_connection
            # A connection that is no part of the pool may have none any more.
            status = driver and driver.info.transaction_status
            if status == TransactionStatus.ACTIVE:
                # Nobody reads the reply of this statement when it comes.
                context.is_disconnect = True


def limit_mysql(engine: Engine, config: Mapping[str, Any]) -> None:
    """Open limited connections to MySQL and MariaDB."""
    statement = config["DATABASE_STATEMENT_TIMEOUT"]
    lock = math.ceil(config["DATABASE_LOCK_TIMEOUT"])

    @event.listens_for(engine, "do_connect")
    def limit(_dialect: Any, _record: Any, _cargs: Any, cparams: Any) -> None:
        cparams.setdefault("connect_timeout", config["DATABASE_CONNECT_TIMEOUT"])
        if in_request():
            cparams.setdefault("read_timeout", statement + GRACE)
            cparams.setdefault("write_timeout", statement + GRACE)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        if in_request():
            longest = f"max_execution_time = {milliseconds(statement)}"
            if "MariaDB" in connection.get_server_info():
                longest = (
                    f"max_statement_time = {statement}, "
                    f"idle_transaction_timeout = {math.ceil(statement)}"
                )
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SET SESSION innodb_lock_wait_timeout = {lock}, {longest}"
                )


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds, within the range of a server's setting."""
    return min(math.ceil(seconds * 1000), 2**31 - 1)


LIMITED = {
    "postgresql": limit_postgresql,
    "mysql": limit_mysql,
    "mariadb": limit_mysql,
}


def limit_requests(engine: Engine, config: Mapping[str, Any]) -> None:
    """Give time limits to the connections that requests open on an engine."""
    if engine.dialect.name not in LIMITED:
        return
    LIMITED[engine.dialect.name](engine, config)

    @event.listens_for(engine, "connect")
    def note(_connection: Any, record: Any) -> None:
        record.info[IN_REQUEST] = in_request()

    @event.listens_for(engine, "checkout")
    def choose(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info[IN_REQUEST] is not in_request():
            raise DisconnectionError("the limits of this connection are other ones")
