"""What a new migration must not guess: whether a column that is gone has another name
now, and which value the rows that exist have in a new required column.

The answers are given to ``flask db migrate`` by ``-x``; ``flask new-migration`` asks.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from alembic.autogenerate import renderers
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import (
    AddColumnOp,
    DropColumnOp,
    ModifyTableOps,
    OpContainer,
)
from sqlalchemy import DefaultClause

from myapp.core.errors.startup import ConfigError

# How a question begins: a column that is gone, with those that are new and like it.
ASKS = "renamed or dropped?"


Differ = Callable[[Any, Any], bool]


class Answers(NamedTuple):
    """What somebody has said about the changes of a migration.

    :ivar renames: the new name of a column, by its table and its former name.
    :ivar drops: columns that are to be dropped, by table and name.
    :ivar values: the values of existing rows in new columns, by table and name.
    """

    renames: dict[str, str]
    drops: set[str]
    values: dict[str, str]


def answers_of(arguments: Iterable[str]) -> Answers:
    """The answers in the arguments ``-x`` of a command: ``rename=table.old:new``,
    ``drop=table.column`` and ``value=table.column=text``.

    :raises ConfigError: for one of another form.
    """
    found = Answers({}, set(), {})
    for argument in arguments:
        kind, _, rest = argument.partition("=")
        first, _, last = rest.partition(":" if kind == "rename" else "=")
        is_column = len(first.split(".")) == 2 and all(first.split("."))
        if kind == "rename" and is_column and last:
            found.renames[first] = last
        elif kind == "drop" and is_column and not last:
            found.drops.add(first)
        elif kind == "value" and is_column:
            found.values[first] = last
        else:
            raise ConfigError(
                f"{argument!r} is not like rename=table.old:new, drop=table.column or "
                "value=table.column=text"
            )
    return found


def settle(
    forward: OpContainer, back: OpContainer, answers: Answers, differ: Differ
) -> list[str]:
    """Put the answers into the operations of a migration, and say what is dropped.

    :param back: the operations of the downgrade.
    :param differ: whether a column of the database has another type than one of the
        models.
    :raises ConfigError: when a column may have been renamed and nobody has said so, or
        an answer fits no change.
    """
    backward = {one.table_name: one for one in changed_tables(back)}
    questions, told, used = [], [], set()
    for part in [*changed_tables(forward)]:
        table = part.table_name
        for name, other in pairs_of(part, answers.renames, differ):
            rename(forward, part, name, other)
            rename(back, backward[table], other, name)
            told.append(f"renames {table}.{name} to {other}")
            used.add(f"{table}.{name}")
        used |= give_values(part, answers.values)
        for one in columns(part, DropColumnOp):
            place = f"{table}.{one.column_name}"
            new = [added.column for added in columns(part, AddColumnOp)]
            similar = [added for added in new if not differ(one.to_column(), added)]
            if similar and place not in answers.drops:
                names = ", ".join(added.name for added in similar)
                questions.append(f"{ASKS} {place}: {names}")
            told.append(f"drops {place}, and its values")
            used.add(place)
    left = {*answers.renames, *answers.drops, *answers.values} - used
    if left:
        questions.append(f"nothing changes in {', '.join(sorted(left))}")
    if questions:
        raise ConfigError("\n".join(questions))
    return told


def give_values(part: ModifyTableOps, values: dict[str, str]) -> set[str]:
    """Let the rows that exist have values in new columns; code of before that writes
    rows without them goes on working, too.

    :returns: the columns, by table and name.
    """
    given = set()
    for one in columns(part, AddColumnOp):
        place = f"{part.table_name}.{one.column.name}"
        if place in values:
            one.column.server_default = DefaultClause(values[place])
            given.add(place)
    return given


def changed_tables(part: OpContainer) -> Iterator[ModifyTableOps]:
    """The changes of each table that stays."""
    for one in part.ops:
        if isinstance(one, ModifyTableOps):
            yield one


def columns(part: ModifyTableOps, kind: type[Any]) -> list[Any]:
    """The operations of one kind on the columns of a table."""
    return [one for one in part.ops if isinstance(one, kind)]


def pairs_of(
    part: ModifyTableOps, renames: dict[str, str], differ: Differ
) -> list[tuple[str, str]]:
    """The columns of a table that are to be renamed, with their new names.

    :raises ConfigError: for a column that cannot be.
    """
    found = []
    gone = {one.column_name: one for one in columns(part, DropColumnOp)}
    new = {one.column.name: one for one in columns(part, AddColumnOp)}
    for place, name in renames.items():
        table, _, before = place.partition(".")
        if table == part.table_name and before in gone:
            known = new.get(name)
            former = gone[before].to_column()
            if (
                known is None
                or differ(former, known.column)
                or former.nullable != known.column.nullable
            ):
                raise ConfigError(
                    f"{place} cannot be renamed to {name}: there is no new column of "
                    "this name that takes the same values; change what it takes in a "
                    "migration of its own"
                )
            found.append((before, name))
    return found


def rename(whole: OpContainer, part: ModifyTableOps, name: str, new: str) -> None:
    """Replace the drop of a column and the addition of another one by a change of the
    name, before the other changes of the table."""
    kept = [
        one
        for one in part.ops
        if not (isinstance(one, DropColumnOp) and one.column_name == name)
        and not (isinstance(one, AddColumnOp) and one.column.name == new)
    ]
    place = whole.ops.index(part)
    whole.ops[place : place + 1] = [
        RenameColumn(part.table_name, name, new),
        *([part] if kept else []),
    ]
    part.ops[:] = kept


@Operations.register_operation("rename_column")
class RenameColumn(MigrateOperation):
    """``op.rename_column(table, old, new)``: each engine has a statement for it, which
    needs no type and keeps what refers to the column."""

    def __init__(self, table_name: str, column: str, new: str) -> None:
        self.table_name, self.column, self.new = table_name, column, new

    @classmethod
    def rename_column(
        cls, operations: Operations, name: str, column: str, new: str
    ) -> None:
        """Give a column another name."""
        operations.invoke(cls(name, column, new))

    def reverse(self) -> MigrateOperation:
        """The former name again."""
        return RenameColumn(self.table_name, self.new, self.column)


@Operations.implementation_for(RenameColumn)
def rename_column(operations: Operations, operation: RenameColumn) -> None:
    """See :class:`RenameColumn`."""
    connection = operations.get_bind()
    quote = connection.dialect.identifier_preparer.quote
    names = (operation.table_name, operation.column, operation.new)
    table, column, new = map(quote, names)
    statement = f"ALTER TABLE {table} RENAME COLUMN {column} TO {new}"
    connection.exec_driver_sql(statement)


@renderers.dispatch_for(RenameColumn)
def render_rename(_context: Any, operation: RenameColumn) -> str:
    """The operation as code."""
    names = (operation.table_name, operation.column, operation.new)
    return f"op.rename_column({', '.join(map(json.dumps, names))})"
