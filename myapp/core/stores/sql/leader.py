"""One leader of several processes: who holds a lock of the database.

The lock is that of a connection: when the process ends, or its machine does, the server
closes the connection, and another process gets the lock.
"""

import fcntl
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

# Seconds without a statement after which a server closes the connection of a leader
# that has stopped, or whose machine cannot be reached.
IDLE = 15
# The number of the lock on PostgreSQL, where it belongs to the database.
LOCK_NUMBER = 7_203_411
SET_UP = {
    "postgresql": (
        f"SET idle_session_timeout = '{IDLE}s'",
        "SET tcp_keepalives_idle = 5",
        "SET tcp_keepalives_interval = 2",
        "SET tcp_keepalives_count = 3",
    ),
    "mysql": (f"SET SESSION wait_timeout = {IDLE}",),
}
TRY_LOCK = {
    "postgresql": f"SELECT pg_try_advisory_lock({LOCK_NUMBER})",
    "mysql": "SELECT GET_LOCK(CONCAT(DATABASE(), '.leader'), 0)",
}


class Leader:
    """A try to be the leader of the processes that use a database.

    :param engine: in autocommit mode.
    :param folder: of this machine, for the lock of SQLite, whose file all processes
        share.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self._connection: Connection | None = None
        self._file: IO[bytes] | None = None

    def leads(self) -> bool:
        """Whether this process is the leader now; it tries to become the leader.

        :raises SQLAlchemyError: when the database cannot be reached.
        """
        name = self.engine.dialect.name
        if name == "sqlite":
            return self._has_file()
        name = "postgresql" if name == "postgresql" else "mysql"
        try:
            if self._connection is not None:
                self._connection.exec_driver_sql("SELECT 1")
                return True
            connection = self.engine.connect()
            # Not of the pool any more: it ends with this object.
            connection.detach()
            self._connection = connection
            for statement in SET_UP[name]:
                connection.exec_driver_sql(statement)
            if connection.exec_driver_sql(TRY_LOCK[name]).scalar():
                return True
            self.resign()
            return False
        except SQLAlchemyError:
            self.resign()
            raise

    def _has_file(self) -> bool:
        if self._file is None:
            file = open(self.folder / "leader", "ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            self._file = file
        return True

    def resign(self) -> None:
        """Let another process be the leader."""
        found: list[Any] = [self._connection, self._file]
        self._connection = self._file = None
        for one in filter(None, found):
            one.close()
