"""Violated constraints of the database, reported as a 409 or a 422.

PostgreSQL and MariaDB name the constraint. SQLite names the columns of a unique
constraint, and gives no details of a foreign key. The names follow the naming
convention in ``engine.py``.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Table, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import ColumnCollectionConstraint

from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem
from myapp.core.model.references import refers_to_nothing
from myapp.core.model.unique import taken
from myapp.core.stores.sql.engine import rows


class Violation(NamedTuple):
    """A violated constraint, as the engine reports it.

    :param kind: ``unique``, ``foreign key``, ``check`` or ``not null``.
    :param name: the name of the constraint; ``None`` when the engine does not give it.
    :param columns: the columns, when the engine gives them instead of the name.
    """

    kind: str
    name: str | None = None
    columns: tuple[str, ...] = ()


# SQLSTATE codes of class 23 in PostgreSQL.
POSTGRESQL_VIOLATIONS = {
    "23001": "foreign key",
    "23502": "not null",
    "23503": "foreign key",
    "23505": "unique",
    "23514": "check",
}
# Error numbers of MySQL and MariaDB, each with a pattern that finds the name.
MYSQL_VIOLATIONS = {
    1048: ("not null", r"(?!)"),
    1062: ("unique", r"(?s).*for key '(?:\w+\.)?(\w+)'"),
    1451: ("foreign key", r"CONSTRAINT `(\w+)`"),
    1452: ("foreign key", r"CONSTRAINT `(\w+)`"),
    3819: ("check", r"constraint '(\w+)'"),
    4025: ("check", r"CONSTRAINT `(?:\w+`?\.`?)?(\w+)`"),
}


def read_violation(error: DBAPIError) -> Violation | None:
    """The violation in an engine's error; ``None`` for any other error."""
    origin: Any = error.orig
    number = origin.args[0] if origin.args else None
    if isinstance(number, int):
        kind, pattern = MYSQL_VIOLATIONS.get(number, ("", ""))
        match = re.search(pattern, str(origin))
        return Violation(kind, match and match.group(1)) if kind else None
    if hasattr(origin, "diag"):
        kind = POSTGRESQL_VIOLATIONS.get(origin.sqlstate, "")
        return Violation(kind, origin.diag.constraint_name) if kind else None
    return read_sqlite(str(origin))


def read_sqlite(text: str) -> Violation | None:
    """The violation in an error of SQLite, which gives only a text."""
    kind, found, rest = text.partition(" constraint failed")
    if not found:
        return None
    rest = rest.removeprefix(": ")
    if kind == "CHECK":
        return Violation("check", rest)
    columns = tuple(name.rpartition(".")[2] for name in rest.split(", ") if name)
    return Violation(kind.lower(), None, columns)


def explain_write(
    error: DBAPIError, table: Table, document: Any, shown: Collection[str]
) -> Exception:
    """The problem of an INSERT or UPDATE that the database refused.

    :param document: the values that were written.
    :param shown: the fields that clients may know of.
    :returns: a 422 for a reference to a record that does not exist, a 409 for another
        violated constraint, or the error itself when it is a server error.
    """
    violation = read_violation(error)
    if violation is None or violation.kind == "not null":
        return error
    if violation.kind == "foreign key":
        return refers_to_nothing(dangling(violation, table, document))
    columns = violation.columns or constrained(violation.name, table)
    if violation.kind == "unique":
        return taken(columns, shown)
    # A CHECK constraint that is written as text has no columns: its error points at the
    # whole body.
    places = [pointer(column) for column in columns] or [""]
    detail = f"violates the constraint {violation.name}"
    return Problem(
        "conflict",
        "A database constraint was violated.",
        errors=[problem_at(place, detail, violation.kind) for place in places],
    )


def explain_delete(error: DBAPIError) -> Exception:
    """The problem of a DELETE that the database refused: rows refer to this row."""
    violation = read_violation(error)
    if violation is None or violation.kind != "foreign key":
        return error
    return Problem("conflict", "Other records refer to this one.")


def constrained(name: str | None, table: Table) -> tuple[str, ...]:
    """The columns of a constraint or unique index of a table, by its name."""
    if name == "PRIMARY":
        # MySQL and MariaDB ignore the name of a primary key.
        return tuple(column.name for column in table.primary_key.columns)
    for constraint in table.constraints:
        if isinstance(constraint, ColumnCollectionConstraint):
            if constraint.name == name:
                return tuple(column.name for column in constraint.columns)
    for index in table.indexes:
        if index.name == name:
            return tuple(column.name for column in index.columns)
    return ()


def dangling(
    violation: Violation, table: Table, document: Mapping[str, Any]
) -> tuple[str, ...]:
    """The columns that refer to a record that does not exist."""
    if violation.name:
        return constrained(violation.name, table)
    found = []
    for constraint in table.foreign_key_constraints:
        for key in constraint.elements:
            value = document.get(key.parent.name)
            if value is not None:
                target = select(key.column).where(key.column == value)
                if not rows(target):
                    found.append(key.parent.name)
    return tuple(found)
