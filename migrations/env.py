"""Runs the migrations on the database of the application."""

from alembic import context
from alembic.operations import MigrationScript
from alembic.operations.ops import DropTableOp, ModifyTableOps, OpContainer
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from myapp.core.stores.sql import sql
from myapp.core.stores.sql.migrating import (
    check_foreign_keys,
    guard_required_columns,
    migrating,
)
from myapp.core.stores.sql.renames import answers_of, settle


def number_revision(
    migration: MigrationContext,
    _revision: object,
    directives: list[MigrationScript],
) -> None:
    """Number a new migration, and write no file when nothing has changed."""
    if not directives:
        return
    (script,) = directives
    if script.upgrade_ops is not None and script.upgrade_ops.is_empty():
        if getattr(context.config.cmd_opts, "autogenerate", False):
            directives[:] = []
            print("No changes.")
            return
    for part in (script.upgrade_ops, script.downgrade_ops):
        if part is not None:
            drop_tables_whole(part)
    if script.upgrade_ops is not None and script.downgrade_ops is not None:
        answers = answers_of(context.get_x_argument())
        parts = (script.upgrade_ops, script.downgrade_ops)
        for line in settle(*parts, answers, migration.impl.compare_type):
            print(line)
    guard_required_columns(script.upgrade_ops)
    head = ScriptDirectory.from_config(context.config).get_current_head()
    script.rev_id = f"{int(head or 0) + 1:04d}"


def drop_tables_whole(part: OpContainer) -> None:
    """Remove the changes of tables that are dropped anyway: MariaDB refuses to drop an
    index that a foreign key needs."""
    dropped = {one.table_name for one in part.ops if isinstance(one, DropTableOp)}
    part.ops = [
        one
        for one in part.ops
        if not (isinstance(one, ModifyTableOps) and one.table_name in dropped)
    ]


def run() -> None:
    """Run on the connection of the caller, or on a connection of the engine."""
    lent = context.config.attributes.get("connection")
    if lent is not None:
        run_on(lent)
        return
    with sql.engine.connect() as connection:
        run_on(connection)


def run_on(connection: Connection) -> None:
    """Run in one transaction, where the engine has transactions for tables; on SQLite a
    changed table is created again and copied."""
    context.configure(
        connection=connection,
        target_metadata=sql.metadata,
        process_revision_directives=number_revision,
        render_as_batch=True,
        user_module_prefix="types.",
        # SQLite has such transactions, too: the engine sends its BEGIN.
        transactional_ddl=connection.dialect.name in ("sqlite", "postgresql"),
    )
    with migrating(connection), context.begin_transaction():
        context.run_migrations()
        check_foreign_keys(connection)


run()
