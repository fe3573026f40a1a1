"""What ``flask new-feature`` writes for a model in SQL: its columns, and a migration.

The migration is made on a temporary database, so that the database of this machine
may be in any state.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from alembic.runtime.migration import MigrationContext
from flask import current_app
from flask_migrate import downgrade
from sqlalchemy import inspect, select, table

from myapp.core.scaffold.fields import DIGITS, FieldError, Fields
from myapp.core.scaffold.store import Imports, StoreScaffold
from myapp.core.scaffold.tree import Tree
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.store import registered_stores

SA, OURS = "sqlalchemy", "myapp.core.stores.sql"

REVISION = re.compile(r'^revision = "(\d+)"$', re.MULTILINE)
DOWN_REVISION = re.compile(r'^down_revision = "(\d+)"$', re.MULTILINE)


class SqlScaffold(StoreScaffold):
    """A class with typed columns."""

    title = "SQL"
    base = SqlModel
    module = OURS
    place = '__tablename__ = "{feature}"'
    gives_values = True

    def columns(self, fields: Fields) -> dict[str, str]:
        """``Mapped[...]`` and ``mapped_column(...)``."""
        found = {}
        for name, field in fields.properties.items():
            column = column_of(fields, name)
            settled = name in fields.required or field.get("default") is not None
            annotation = column.annotation if settled else f"{column.annotation} | None"
            relation = fields.references.get(name.removesuffix("_id"))
            key = foreign_key(relation) if relation else ""
            inside = ", ".join(part for part in (column.type, key) if part)
            value = f" = mapped_column({inside})" if inside else ""
            found[name] = f"Mapped[{annotation}]{value}"
        return found

    def owner_column(self, most: int) -> tuple[dict[str, str], Imports]:
        """A text; records of before have no owner."""
        column = f"Mapped[str | None] = mapped_column(Varchar({most}))"
        orm = "sqlalchemy.orm"
        needed = {(OURS, "Varchar"), (orm, "Mapped"), (orm, "mapped_column")}
        return {"owner_id": column}, needed

    def imports(self, fields: Fields) -> Imports:
        """The types of the columns."""
        found = {("sqlalchemy.orm", "Mapped")}
        for name in fields.properties:
            column = column_of(fields, name)
            found.update(column.imports)
            if column.type:
                found.add(("sqlalchemy.orm", "mapped_column"))
        if any(foreign_key(model) for model in fields.references.values()):
            found |= {(SA, "ForeignKey"), ("sqlalchemy.orm", "mapped_column")}
        return found

    def is_taken(self, feature: str) -> bool:
        """Whether there is a table of this name."""
        return feature in sql.metadata.tables

    def users(self, feature: str) -> set[str]:
        """The other tables with a foreign key to a table of this feature."""
        mine = tables_of(feature)
        return {
            table.name
            for table in sql.metadata.tables.values()
            if table.name not in mine
            and any(key.column.table.name in mine for key in table.foreign_keys)
        }

    def add(self, tree: Tree, feature: str) -> list[Path]:
        """Write the migration that creates the tables."""
        return write_migration(tree, feature)

    def change(self, tree: Tree, message: str, answers: Sequence[str]) -> list[Path]:
        """Write the migration for new columns."""
        return write_migration(tree, message, answers)

    def filled(self, feature: str) -> list[str]:
        """The tables with rows."""
        with sql.engine.connect() as connection:
            known = set(inspect(connection).get_table_names())
            return [
                f"the rows of {name}"
                for name in sorted(tables_of(feature) & known)
                if connection.execute(select(1).select_from(table(name)).limit(1)).all()
            ]

    def undo(self, tree: Tree, feature: str) -> bool:
        """Undo and delete the migration, if only this checkout has it."""
        return not tables_of(feature) or undo_migration(tree, feature)

    def drop(self, tree: Tree, feature: str) -> list[Path]:
        """Write a migration that drops the tables."""
        written = write_migration(tree, f"drop {feature}")
        click.echo("run flask db upgrade to drop its tables")
        return written


def tables_of(feature: str) -> set[str]:
    """The names of the tables of a feature."""
    package = f"myapp.{feature}."
    mapped: list[Any] = [mapper.class_ for mapper in SqlModel.registry.mappers]
    return {one.__tablename__ for one in mapped if one.__module__.startswith(package)}


class Column(NamedTuple):
    """A column.

    :param annotation: the type of its value, in ``Mapped``.
    :param type: the column's type as code; empty where the annotation is enough.
    :param imports: pairs of module and name.
    """

    annotation: str
    type: str = ""
    imports: tuple[tuple[str, str], ...] = ()


COLUMNS_BY_FORMAT = {
    "date": Column("date", "Date", (("datetime", "date"), (SA, "Date"))),
    "date-time": Column(
        "datetime", "UtcDateTime", (("datetime", "datetime"), (OURS, "UtcDateTime"))
    ),
    "uuid": Column("str", "Id", ((OURS, "Id"),)),
}
COLUMNS_BY_TYPE = {
    "boolean": Column("bool"),
    "number": Column("float", "Double", ((SA, "Double"),)),
    "array": Column("list[Any]", "JSON", (("typing", "Any"), (SA, "JSON"))),
    "object": Column("dict[str, Any]", "JSON", (("typing", "Any"), (SA, "JSON"))),
}
BITS_32 = 2**31


def column_of(fields: Fields, name: str) -> Column:
    """The column for the values that the schema of a field allows.

    :raises FieldError: when there is no such column.
    """
    field = fields.properties[name]
    types = field.get("type", [])
    plain = {types} if isinstance(types, str) else set(types) - {"null"}
    kind = plain.pop() if len(plain) == 1 else ""
    if name in fields.required and "null" in types:
        raise FieldError(f"{name} is required, but may be null: make it optional")
    if kind == "string" and "format" in field and field["format"] in COLUMNS_BY_FORMAT:
        return COLUMNS_BY_FORMAT[field["format"]]
    if kind == "string" and field.get("format") == "decimal":
        return decimal_column(fields, name)
    if kind == "string":
        if "maxLength" not in field:
            raise FieldError(f"{name} needs a maxLength, the length of its column")
        return Column("str", f"Varchar({field['maxLength']})", ((OURS, "Varchar"),))
    if kind == "integer":
        least, most = field.get("minimum", -BITS_32 - 1), field.get("maximum", BITS_32)
        if least >= -BITS_32 and most < BITS_32:
            return Column("int")
        return Column("int", "BigInteger", ((SA, "BigInteger"),))
    if kind not in COLUMNS_BY_TYPE:
        raise FieldError(f"no column type fits {name}: {field}")
    return COLUMNS_BY_TYPE[kind]


def decimal_column(fields: Fields, name: str) -> Column:
    """The column of a decimal.

    :raises FieldError: when the number of its digits is not known.
    """
    if name not in fields.digits:
        raise FieldError(f'{name} needs numbers of digits, such as "{DIGITS}": [12, 2]')
    precision, scale = fields.digits[name]
    imports = (("decimal", "Decimal"), (OURS, "ExactDecimal"))
    return Column("Decimal", f"ExactDecimal({precision}, {scale})", imports)


def foreign_key(model: Any) -> str:
    """The foreign key to a model in SQL, as code; empty for one in Redis."""
    if not issubclass(model, SqlModel):
        return ""
    return f'ForeignKey("{model.__tablename__}.id")'


def write_migration(
    tree: Tree, message: str, answers: Sequence[str] = ()
) -> list[Path]:
    """Write the migration that makes the tables equal to the models.

    :param answers: to what cannot be seen in the models; see
        :mod:`myapp.core.stores.sql.renames`.
    :returns: its file; an empty list when there is nothing to change.
    """
    before = set(versions(tree))
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            f"MYAPP_{store.setting}": str(current_app.config[store.setting])
            for store in registered_stores()
        }
        settings["MYAPP_SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/empty.db"
        said = [part for answer in answers for part in ("-x", answer)]
        for command in (["upgrade"], ["migrate", "-m", message, *said]):
            told = run_flask(tree, ["db", *command], settings)
        for line in told.splitlines():
            if line.startswith(("renames ", "drops ")):
                click.echo(line)
    for path in set(versions(tree)) - before:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "# ###" not in line))
        tree.format([path])
        return [path]
    return []


def run_flask(tree: Tree, arguments: list[str], settings: dict[str, str]) -> str:
    """Run a flask command in a new process, which reads the tree as it is now; return
    what it prints.

    :raises ClickException: with its error output, when it fails.
    """
    told = subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=tree.root,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    if told.returncode:
        raise click.ClickException(
            f"flask {' '.join(arguments)}: {told.stderr[-2000:]}"
        )
    return told.stdout


def versions(tree: Tree) -> list[Path]:
    """The migrations in the order of their numbers."""
    return sorted(tree.root.glob("migrations/versions/[0-9]*.py"))


def undo_migration(tree: Tree, feature: str) -> bool:
    """Undo and delete the migration of a feature, if it is the newest migration and git
    does not track it, so that it cannot have run elsewhere.

    :returns: False when it must stay.
    """
    known = versions(tree)
    if not known or known[-1].stem[5:] != feature or tree.is_tracked(known[-1]):
        return False
    text = known[-1].read_text()
    mine, before = REVISION.search(text), DOWN_REVISION.search(text)
    if mine is None or before is None:
        return False
    with sql.engine.connect() as connection:
        is_here = MigrationContext.configure(connection).get_current_revision()
    if is_here == mine[1]:
        downgrade(revision=before[1])
    known[-1].unlink()
    return True
