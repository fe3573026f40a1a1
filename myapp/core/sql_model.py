"""The model contract over SQL: SQLite, PostgreSQL, MySQL and MariaDB.

Columns are declared as SQLAlchemy does it, and read and written as rows: no entity
is built for a request. It flushes, in a transaction that the edge commits.
"""

from datetime import datetime
from typing import Any, ClassVar, cast

from sqlalchemy import Select, Table, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.dml import Delete, Insert, Update

from myapp.core.constraints import explain_delete, explain_write
from myapp.core.db import rows, sql
from myapp.core.model import Document, Documents, Model
from myapp.core.columns import Id, UtcDateTime


class SqlModel(Model, sql.Model):  # type: ignore[name-defined,misc]  # made at run time
    """A model in a table.

    A subclass sets ``__tablename__``, both schemas, and one typed column for each
    property of the write schema; a test holds columns against schema.
    """

    __abstract__ = True
    __table__: ClassVar[Any]

    id: Mapped[str] = mapped_column(Id, primary_key=True, sort_order=-4)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, sort_order=-3)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, sort_order=-2)
    version: Mapped[int] = mapped_column(sort_order=-1)

    # Statements are built once, with bound parameters.
    _read: ClassVar[Select[Any]]
    _first_page: ClassVar[Select[Any]]
    _next_page: ClassVar[Select[Any]]
    _insert: ClassVar[Insert]
    _update: ClassVar[Update]
    _delete: ClassVar[Delete]
    _columns: ClassVar[tuple[str, ...]]

    @classmethod
    def compile_schemas(cls) -> None:
        """Build the statements beside what the schemas give."""
        super().compile_schemas()
        table = cls.table()
        id, version = table.c.id, table.c.version
        same_id = id == bindparam("_id", type_=Id())
        same_version = version == bindparam("_version")
        newest = select(table).order_by(id.desc()).limit(bindparam("_limit"))
        cls._columns = tuple(table.c.keys())
        cls._read = select(table).where(same_id)
        cls._first_page = newest
        cls._next_page = newest.where(id < bindparam("_after", type_=Id()))
        cls._insert = insert(table)
        cls._update = update(table).where(same_id, same_version)
        cls._delete = delete(table).where(same_id)

    @classmethod
    def table(cls) -> Table:
        """Its table."""
        return cast(Table, cls.__table__)

    @classmethod
    def read(cls, id: str) -> Document | None:
        """One row as a document."""
        found = rows(cls._read, {"_id": id})
        return dict(zip(cls._columns, found[0])) if found else None

    @classmethod
    def read_page(cls, limit: int, after: str | None) -> Documents:
        """Rows by keyset: the cost does not depend on how deep the page is."""
        statement = cls._first_page if after is None else cls._next_page
        parameters = {"_limit": limit, "_after": after}
        if after is None:
            del parameters["_after"]
        return [dict(zip(cls._columns, row)) for row in rows(statement, parameters)]

    @classmethod
    def add(cls, document: Document) -> None:
        """INSERT.

        :raises Problem: 409 or 422 when a constraint is against it.
        """
        try:
            sql.session.connection().execute(cls._insert, document)
        except IntegrityError as error:
            raise explain_write(error, cls.table(), document) from error

    @classmethod
    def write(cls, document: Document, expected: int) -> bool:
        """UPDATE, with the version in its WHERE.

        :raises Problem: 409 or 422 when a constraint is against it.
        """
        parameters = {**document, "_id": document["id"], "_version": expected}
        try:
            result = sql.session.connection().execute(cls._update, parameters)
        except IntegrityError as error:
            raise explain_write(error, cls.table(), document) from error
        return result.rowcount == 1

    @classmethod
    def remove(cls, id: str, expected: int | None = None) -> bool:
        """DELETE.

        :raises Problem: 409 when other rows refer to it.
        """
        statement = cls._delete
        if expected is not None:
            statement = statement.where(cls.table().c.version == expected)
        try:
            result = sql.session.connection().execute(statement, {"_id": id})
        except IntegrityError as error:
            raise explain_delete(error) from error
        return result.rowcount == 1
