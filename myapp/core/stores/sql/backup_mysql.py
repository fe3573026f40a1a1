"""Backups of MySQL and MariaDB: what their programs need."""

import os
import shutil
import tempfile
from pathlib import Path

from flask import current_app
from sqlalchemy import inspect, text

from myapp.core.backup.part import run
from myapp.core.stores.sql.backup_postgresql import PATIENCE
from myapp.core.stores.sql.engine import sql


def run_mysql(
    program: str, older: str, *arguments: str, given: Path = Path(os.devnull)
) -> None:
    """Run a program of MariaDB, or the one of MySQL.

    :param older: its name in MySQL, and in MariaDB before 10.5.
    :param given: the file that it reads.
    """
    url = sql.engine.url
    options = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "socket": url.query.get("unix_socket"),
        "max-allowed-packet": "1G",
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
        run([found, own, *arguments], "mariadb-client", given=given)


def drop_mysql_tables() -> None:
    """Drop every table and view; MySQL and MariaDB cannot undo it."""
    found = inspect(sql.engine)
    quote = sql.engine.dialect.identifier_preparer.quote_identifier
    with current_app.extensions["sql_autocommit"].connect() as connection:
        connection.execute(text(f"SET lock_wait_timeout = {PATIENCE}"))
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
        for name in found.get_view_names():
            connection.execute(text(f"DROP VIEW {quote(name)}"))
        for name in found.get_table_names():
            connection.execute(text(f"DROP TABLE {quote(name)}"))
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 1"))
