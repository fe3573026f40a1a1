"""What migrations need beside Alembic: one at a time, tables of SQLite made again that
keep their references, and a clear error where a new required column has no value."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from alembic.autogenerate import renderers
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import AddColumnOp, ModifyTableOps, UpgradeOps
from alembic.script import write_hooks
from sqlalchemy import Connection, select, table

from myapp.core.errors.startup import ConfigError

# The name of the lock, as a number for PostgreSQL; any number that no one else uses.
LOCK, LOCK_NUMBER = "myapp migrations", 0x6D796170
# Seconds that one upgrade waits for another one; a day.
LONGEST_WAIT = 24 * 3600
TAKE = {
    "postgresql": f"SELECT pg_advisory_lock({LOCK_NUMBER})",
    "mysql": f"SELECT GET_LOCK(CONCAT('{LOCK} ', DATABASE()), {LONGEST_WAIT})",
    "sqlite": f"PRAGMA busy_timeout = {LONGEST_WAIT * 1000}",
}
GIVE_BACK = {
    "postgresql": f"SELECT pg_advisory_unlock({LOCK_NUMBER})",
    "mysql": f"SELECT RELEASE_LOCK(CONCAT('{LOCK} ', DATABASE()))",
    "sqlite": "PRAGMA busy_timeout = 5000",
}
for commands in (TAKE, GIVE_BACK):
    commands["mariadb"] = commands["mysql"]


@contextmanager
def migrating(connection: Connection) -> Iterator[None]:
    """Migrate while no other process does; another one waits.

    SQLite changes a table by making it again, which would delete what refers to it, so
    its foreign keys are off meanwhile. Its lock is the transaction of the migrations.
    """
    dialect = connection.dialect.name
    run(connection, TAKE[dialect])
    try:
        if dialect == "sqlite":
            run(connection, "PRAGMA foreign_keys = OFF")
        yield
    finally:
        if dialect == "sqlite":
            run(connection, "PRAGMA foreign_keys = ON")
        run(connection, GIVE_BACK[dialect])


def run(connection: Connection, statement: str) -> None:
    """Run a statement outside transactions, which SQLAlchemy would begin."""
    cursor = connection.connection.cursor()
    cursor.execute(statement)
    cursor.fetchall() if cursor.description else None
    cursor.close()


def check_foreign_keys(connection: Connection) -> None:
    """Refuse a migration on SQLite that leaves references to nothing.

    :raises ConfigError: it names the tables.
    """
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        names = ", ".join(sorted({row[0] for row in broken}))
        raise ConfigError(
            f"the migrations would leave references to nothing in: {names}; "
            "nothing was changed"
        )


@Operations.register_operation("require_empty")
class RequireEmpty(MigrateOperation):
    """``op.require_empty(table, column)`` stands before a new required column that has
    no default. With rows in the table it stops, the same on each engine.

    :param table_name: the table; ``column``: the new column.
    """

    def __init__(self, table_name: str, column: str) -> None:
        self.table_name = table_name
        self.column = column

    @classmethod
    def require_empty(cls, operations: Operations, name: str, column: str) -> None:
        """Stop when a table has rows."""
        operations.invoke(cls(name, column))

    def reverse(self) -> MigrateOperation:
        """A downgrade needs no check."""
        return RequireEmpty(self.table_name, "")


@Operations.implementation_for(RequireEmpty)
def require_empty(operations: Operations, operation: RequireEmpty) -> None:
    """See :class:`RequireEmpty`.

    :raises ConfigError: it says what to do.
    """
    name = operation.table_name
    row = operations.get_bind().execute(select(1).select_from(table(name)).limit(1))
    if row.first() is not None:
        raise ConfigError(
            f"{name} has rows, and its new column {operation.column} is required: make "
            "the migration again by flask new-migration with "
            f"--value {name}.{operation.column}=TEXT, or add the column as nullable, "
            "fill it, and make it required then, without op.require_empty"
        )


@renderers.dispatch_for(RequireEmpty)
def render(_context: Any, operation: RequireEmpty) -> str:
    """The operation as code."""
    return f'op.require_empty("{operation.table_name}", "{operation.column}")'


def guard_required_columns(part: UpgradeOps | None) -> None:
    """Put ``require_empty`` before each new required column without a default."""
    if part is None:
        return
    guarded: list[MigrateOperation] = []
    for one in part.ops:
        added = one.ops if isinstance(one, ModifyTableOps) else [one]
        guarded += [
            RequireEmpty(new.table_name, new.column.name)
            for new in added
            if isinstance(new, AddColumnOp)
            and not new.column.nullable
            and new.column.server_default is None
        ]
        guarded.append(one)
    part.ops = guarded


@write_hooks.register("format")
def format_migration(path: str, _options: Any) -> None:
    """Let black format a new migration, where black is installed."""
    if find_spec("black") is not None:
        command: Sequence[str] = [sys.executable, "-m", "black", "--quiet", path]
        subprocess.run(command, check=True)
