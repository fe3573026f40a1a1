"""Recognises the errors of SQL databases that come from the state of the database.

With some drivers SQLAlchemy raises OperationalError both for a lost connection and for
a mistake in our code, so the error codes of the drivers decide.
"""

import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# SQLSTATE classes of PostgreSQL: 08 connection, 53 resources, 57 operator's action,
# 58 system. Single states: read-only, lock not available, serialization, deadlock.
SQLSTATE_CLASSES = ("08", "53", "57", "58")
SQLSTATES = frozenset({"25006", "55P03", "40001", "40P01"})
# Error numbers of MySQL and MariaDB: too many connections, server shutdown, read-only,
# lock wait timeout, deadlock, disk full, record changed since last read, statement
# timeout (1969 of MariaDB, 3024 of MySQL). Numbers from 2000 to 2999 are errors of the
# client's connection.
MYSQL_ERRORS = frozenset(
    {1020, 1021, 1040, 1053, 1114, 1203, 1205, 1213, 1290, 1836, 1969, 3024}
)
SQLITE_ERRORS = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
# Deadlocks and serialization failures: the same transaction may succeed when it runs
# again (PostgreSQL 40001 and 40P01, MariaDB 1213 and 1020).
RETRYABLE = frozenset({"40001", "40P01", 1213, 1020})
# The lock of another transaction was not released in time.
LOCK_TIMEOUTS = frozenset({"55P03", 1205})


def codes_of(error: Exception) -> set[Any]:
    """The SQLSTATE and the number of the driver's error."""
    if not isinstance(error, DBAPIError):
        return set()
    origin: Any = error.orig
    number = origin.args[0] if origin.args else None
    return {number, getattr(origin, "sqlstate", None)}


def is_deadlock(error: Exception) -> bool:
    """Whether the database has rolled back a transaction that can be run again."""
    return not codes_of(error).isdisjoint(RETRYABLE)


def is_stale_plan(error: Any) -> bool:
    """Whether a prepared statement of PostgreSQL does not fit a table that has changed
    since; a new connection has no prepared statements.

    :param error: of the driver.
    """
    return getattr(error, "sqlstate", None) == "0A000" and "cached plan" in str(error)


def is_lock_timeout(error: Exception) -> bool:
    """Whether another transaction held a lock too long."""
    return not codes_of(error).isdisjoint(LOCK_TIMEOUTS)


def is_database_unavailable(error: Exception) -> bool:
    """Whether the database is down, full, locked or busy."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    origin: Any = error.orig
    if isinstance(origin, sqlite3.Error):
        # The low byte of an extended result code is the primary code.
        return getattr(origin, "sqlite_errorcode", 0) & 0xFF in SQLITE_ERRORS
    number = origin.args[0] if origin.args else None
    if isinstance(number, int):
        return number in MYSQL_ERRORS or 2000 <= number < 3000
    state = getattr(origin, "sqlstate", None)
    if state is None:
        # psycopg has classes of its own for a time that is over.
        names = {kind.__name__ for kind in type(origin).__mro__}
        return "OperationalError" in names
    return state in SQLSTATES or state[:2] in SQLSTATE_CLASSES
