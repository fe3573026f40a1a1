"""The part of SQL in a backup: SQLite by its backup interface, PostgreSQL, MySQL and
MariaDB by the programs that come with them."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import inspect, text

from myapp.core.backup.part import BackupError, Facts, StoreBackup
from myapp.core.stores.sql.backup_mysql import drop_mysql_tables, run_mysql
from myapp.core.stores.sql.backup_postgresql import (
    PATIENCE,
    POSTGRESQL_FILE,
    pg_restore,
    restore_postgresql,
    run_postgresql,
)
from myapp.core.stores.sql.engine import migrate, rows, sql

SQLITE_FILE, MYSQL_FILE = "database.db", "database.sql"
# The last line of a dump of MySQL or MariaDB.
COMPLETED = "-- Dump completed"


def engine_kind() -> str:
    """The engine: ``sqlite``, ``postgresql`` or ``mysql``, which is MariaDB, too."""
    name = sql.engine.url.get_backend_name()
    return "mysql" if name == "mariadb" else name


def current_migration() -> str:
    """The migration of the database; empty before the first one."""
    if not inspect(sql.engine).has_table("alembic_version"):
        return ""
    found = rows(text("SELECT version_num FROM alembic_version"))
    return ",".join(sorted(row[0] for row in found))


class SqlBackup(StoreBackup):
    """A dump of the whole database, of one moment."""

    def target(self) -> str:
        """The engine, the host and the name."""
        url = sql.engine.url
        return (
            f"{engine_kind()} {url.host or ''}{'/' if url.host else ''}{url.database}"
        )

    def create(self, folder: Path) -> Facts:
        """Write one file. No engine keeps writers waiting meanwhile."""
        kind, name = engine_kind(), sql.engine.url.database or ""
        facts = {"engine": kind, "migration": current_migration()}
        if not facts["migration"]:
            raise BackupError(f"{self.target()} has no tables of this application")
        if kind == "sqlite":
            with opened(name) as source, opened(folder / SQLITE_FILE) as copy:
                # In one step: a writer between two steps would begin it again.
                source.backup(copy)
        elif kind == "postgresql":
            file = f"--file={folder / POSTGRESQL_FILE}"
            run_postgresql("pg_dump", "--format=custom", file)
        else:
            options = ["--single-transaction", "--quick", "--hex-blob", "--routines"]
            file = f"--result-file={folder / MYSQL_FILE}"
            run_mysql("mariadb-dump", "mysqldump", *options, file, name)
        return facts

    def check(self, folder: Path) -> str:
        """Read the file to its end."""
        if (folder / SQLITE_FILE).exists():
            return check_sqlite(folder / SQLITE_FILE)
        if (folder / POSTGRESQL_FILE).exists():
            script = folder / "script.sql"
            pg_restore(folder / POSTGRESQL_FILE, f"--file={script}")
            found, _, _ = look_through(script)
            script.unlink()
        else:
            found, last, _ = look_through(folder / MYSQL_FILE)
            if not last.startswith(COMPLETED):
                raise BackupError(f"{MYSQL_FILE} is not complete")
        return f"{found} tables"

    def refuse(self, facts: Facts, folder: Path) -> None:
        """Refuse the data of another engine, of a migration that is not known, and a
        row that the server would not take."""
        kind, revision = facts["engine"], facts["migration"]
        if kind != engine_kind():
            raise BackupError(
                f"the backup is of {kind}, and the database here is {engine_kind()}"
            )
        script = ScriptDirectory.from_config(migrate.get_config())
        try:
            script.get_revisions(tuple(filter(None, revision.split(","))))
        except CommandError as error:
            raise BackupError(
                f"the backup is of migration {revision}, which this code does not "
                "have; restore it with the release that made it, or a later one"
            ) from error
        if kind == "mysql":
            _, _, longest = look_through(folder / MYSQL_FILE)
            most = int(rows(text("SELECT @@global.max_allowed_packet"))[0][0])
            if longest > most:
                raise BackupError(
                    f"a row has {longest:,} bytes, and the server takes {most:,}: "
                    "raise its max_allowed_packet"
                )
        else:
            rows(text("SELECT 1"))

    def restore(self, folder: Path) -> None:
        """Replace all tables; on SQLite and PostgreSQL in one transaction."""
        kind, name = engine_kind(), sql.engine.url.database or ""
        if kind == "sqlite":
            with opened(folder / SQLITE_FILE) as copy, opened(name) as target:
                copy.backup(target, progress=give_up_after(PATIENCE))
        elif kind == "postgresql":
            restore_postgresql(folder)
        else:
            drop_mysql_tables()
            try:
                dump = folder / MYSQL_FILE
                run_mysql("mariadb", "mysql", name, given=dump)
            except BackupError as error:
                told = f"{error}; the database is not complete: restore it again"
                raise BackupError(told) from error


@contextmanager
def opened(path: Path | str) -> Iterator[sqlite3.Connection]:
    """A connection to a file of SQLite.

    :raises BackupError: when SQLite cannot read or write it.
    """
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise BackupError(f"{path}: {error}") from error


def check_sqlite(path: Path) -> str:
    """Check every page of a file of SQLite, and count its tables.

    :raises BackupError: when it is damaged.
    """
    with opened(path) as copy:
        said = [row[0] for row in copy.execute("PRAGMA integrity_check")]
        if said != ["ok"]:
            raise BackupError(f"{path.name} is damaged: {said[0]}")
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
        return f"{copy.execute(query).fetchone()[0]} tables"


def give_up_after(seconds: float) -> Callable[[int, int, int], None]:
    """What SQLite calls while it copies, and while another connection writes.

    :raises BackupError: when the other one goes on for too long.
    """
    deadline = time.monotonic() + seconds

    def look(status: int, _remaining: int, _total: int) -> None:
        is_busy = status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        if is_busy and time.monotonic() > deadline:
            raise BackupError("the database is in use: stop the application")

    return look


def look_through(script: Path) -> tuple[int, str, int]:
    """The number of tables that a script makes, its last line that has text, and the
    bytes of its longest line."""
    count, last, longest = 0, b"", 0
    with script.open("rb") as lines:
        for line in lines:
            count += line.startswith(b"CREATE TABLE ")
            last = line if line.strip() else last
            longest = max(longest, len(line))
    return count, last[:100].decode(errors="replace"), longest
