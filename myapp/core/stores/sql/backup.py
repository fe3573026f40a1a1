"""The part of SQL in a backup: SQLite by its backup interface, PostgreSQL, MySQL and
MariaDB by the programs that come with them."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from myapp.core.backup.part import BackupError, Facts, StoreBackup, run
from myapp.core.stores.sql.engine import migrate, rows, sql

SQLITE_FILE, POSTGRESQL_FILE = "database.db", "database.dump"
MYSQL_FILE = "database.sql"
# The last line of a dump of MySQL or MariaDB.
COMPLETED = "-- Dump completed"
# All that is ours in PostgreSQL: relations, and the types of enumerations.
DROP_ALL = """
DO $$ DECLARE one record; BEGIN
FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE relkind = 'v'
    AND relnamespace = current_schema()::regnamespace LOOP
  EXECUTE format('DROP VIEW IF EXISTS %s CASCADE', one.name);
END LOOP;
FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE relkind IN ('r', 'p')
    AND relnamespace = current_schema()::regnamespace LOOP
  EXECUTE format('DROP TABLE IF EXISTS %s CASCADE', one.name);
END LOOP;
FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE relkind = 'S'
    AND relnamespace = current_schema()::regnamespace LOOP
  EXECUTE format('DROP SEQUENCE IF EXISTS %s CASCADE', one.name);
END LOOP;
FOR one IN SELECT oid::regtype AS name FROM pg_type WHERE typtype = 'e'
    AND typnamespace = current_schema()::regnamespace LOOP
  EXECUTE format('DROP TYPE IF EXISTS %s CASCADE', one.name);
END LOOP;
END $$;
"""


def database_url() -> URL:
    """The URL of the database."""
    return sql.engine.url


def engine_kind() -> str:
    """The engine: ``sqlite``, ``postgresql`` or ``mysql``, which is MariaDB, too."""
    name = database_url().get_backend_name()
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
        """The URL without its password."""
        return database_url().render_as_string(hide_password=True)

    def create(self, folder: Path) -> Facts:
        """Write one file. No engine keeps writers waiting meanwhile."""
        kind, name = engine_kind(), database_url().database or ""
        facts = {"engine": kind, "migration": current_migration()}
        if kind == "sqlite":
            with opened(name) as source, opened(folder / SQLITE_FILE) as copy:
                # In one step: a writer between two steps would begin it again.
                source.backup(copy)
        elif kind == "postgresql":
            file = f"--file={folder / POSTGRESQL_FILE}"
            run_postgresql("pg_dump", "--format=custom", "--no-privileges", file)
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
            write_script(folder / POSTGRESQL_FILE, script)
            found, _ = count_tables(script)
            script.unlink()
        else:
            found, last = count_tables(folder / MYSQL_FILE)
            if not last.startswith(COMPLETED):
                raise BackupError(f"{MYSQL_FILE} is not complete")
        return f"{found} tables"

    def refuse(self, facts: Facts) -> None:
        """Refuse the data of another engine, and of a migration that is not known."""
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

    def restore(self, folder: Path) -> None:
        """Replace all tables; on SQLite and PostgreSQL in one transaction."""
        kind, name = engine_kind(), database_url().database or ""
        if kind == "sqlite":
            with opened(folder / SQLITE_FILE) as copy, opened(name) as target:
                copy.backup(target)
        elif kind == "postgresql":
            drop, script = folder / "drop.sql", folder / "script.sql"
            drop.write_text(DROP_ALL)
            write_script(folder / POSTGRESQL_FILE, script)
            options = ["--no-psqlrc", "--quiet", "--single-transaction"]
            files = [f"--file={drop}", f"--file={script}"]
            run_postgresql("psql", *options, "--set=ON_ERROR_STOP=1", *files)
        else:
            drop_mysql_tables()
            source = f"--execute=SOURCE {folder / MYSQL_FILE}"
            try:
                run_mysql("mariadb", "mysql", source, name)
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


def run_postgresql(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL on the database."""
    url = database_url()
    address = url.set(drivername="postgresql", password=None)
    where = f"--dbname={address.render_as_string(hide_password=False)}"
    secrets = {"PGPASSWORD": str(url.password)} if url.password else {}
    run([program, *arguments, where], "postgresql-client", secrets)


def write_script(dump: Path, script: Path) -> None:
    """Write the statements of a dump of PostgreSQL."""
    options = ["--no-owner", "--no-privileges", f"--file={script}"]
    run(["pg_restore", *options, str(dump)], "postgresql-client", {})


def count_tables(script: Path) -> tuple[int, str]:
    """The number of tables that a script makes, and its last line that has text."""
    count, last = 0, ""
    with script.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            count += line.startswith("CREATE TABLE ")
            last = line if line.strip() else last
    return count, last


def run_mysql(program: str, older: str, *arguments: str) -> None:
    """Run a program of MariaDB, or the one of MySQL.

    :param older: its name in MySQL, and in MariaDB before 10.5.
    """
    url = database_url()
    options = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "socket": url.query.get("unix_socket"),
    }
    # Only this user reads the file; a command line can be seen by all.
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:
        file.write("[client]\ndefault-character-set = utf8mb4\n")
        for name, value in options.items():
            if value is not None:
                escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
                file.write(f'{name} = "{escaped}"\n')
        file.flush()
        found = program if shutil.which(program) else older
        own = f"--defaults-extra-file={file.name}"
        run([found, own, *arguments], "mariadb-client", {})


def drop_mysql_tables() -> None:
    """Drop every table and view; MySQL and MariaDB cannot undo it."""
    found = inspect(sql.engine)
    quote = sql.engine.dialect.identifier_preparer.quote_identifier
    with current_app.extensions["sql_autocommit"].connect() as connection:
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
        for name in found.get_view_names():
            connection.execute(text(f"DROP VIEW {quote(name)}"))
        for name in found.get_table_names():
            connection.execute(text(f"DROP TABLE {quote(name)}"))
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 1"))
