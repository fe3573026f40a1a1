"""The model contract over SQL: SQLite, PostgreSQL, MySQL and MariaDB.

Columns are declared as in SQLAlchemy. Records are read and written as rows: requests
create no ORM objects. Nothing here commits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, cast

from sqlalchemy import (
    BigInteger,
    Index,
    Select,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, declared_attr, mapped_column
from sqlalchemy.sql.dml import Delete, Insert, Update

from myapp.core.errors.problem import Problem
from myapp.core.model.idempotency_store import ResponseStore
from myapp.core.model.key import Key
from myapp.core.model.model import Model
from myapp.core.model.record import Document, Documents, Relation, Versioned
from myapp.core.model.references import check_references
from myapp.core.model.storage import by_id
from myapp.core.query.list_query import ListQuery
from myapp.core.stores.sql.constraints import (
    explain_delete,
    explain_write,
    read_violation,
)
from myapp.core.stores.sql.engine import rows, sql, write
from myapp.core.stores.sql.idempotency import SqlResponses
from myapp.core.stores.sql.query import (
    count_statement,
    page_statement,
    parameters_of,
    shape_of,
)
from myapp.core.stores.sql.types import Id, UtcDateTime, Varchar
from myapp.core.stores.transaction import StaleRead


class SqlModel(Model, sql.Model):  # type: ignore[name-defined,misc]  # made at run time
    """A model in a table.

    A subclass sets ``__tablename__``, its schemas, and one typed column for each
    property of the write schema; a test compares columns and schema. The column of the
    id follows the key, each field in ``indexed`` gets an index ``(field, id)``, and
    each field in ``unique`` a constraint.
    """

    __abstract__ = True
    __store__ = "sql"
    __table__: ClassVar[Any]

    created_at: Mapped[datetime] = mapped_column(UtcDateTime, sort_order=-3)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, sort_order=-2)
    version: Mapped[int] = mapped_column(sort_order=-1)

    @declared_attr
    @classmethod
    def id(cls) -> Mapped[Any]:
        """The column of the key."""
        # An integer comes from the client, and not from the database.
        is_counted = cls.key.schema["type"] == "integer"
        return mapped_column(
            key_column(cls.key),
            primary_key=True,
            autoincrement=False if is_counted else "auto",
            sort_order=-4,
        )

    # Statements are built once, with bound parameters.
    _read: ClassVar[Select[Any]]
    _read_many: ClassVar[Select[Any]]
    _insert: ClassVar[Insert]
    _update: ClassVar[Update]
    _delete: ClassVar[Delete]
    _columns: ClassVar[tuple[str, ...]]
    _shown_whole: ClassVar[bool]
    # The relations that no foreign key checks.
    _unkeyed: ClassVar[set[str]]

    @classmethod
    def compile_schemas(cls) -> None:
        """Also build the indexes and the statements."""
        super().compile_schemas()
        table = cls.table()
        missing = set(cls.stored_properties) - set(table.c.keys())
        if missing:
            names = ", ".join(sorted(missing))
            raise TypeError(f"{cls.__name__} has no column for {names}")
        for name in cls.indexed:
            Index(None, table.c[name], table.c.id)
        for name in cls.unique:
            UniqueConstraint(table.c[name])
        same = table.c.id == bindparam("_id", type_=table.c.id.type)
        same_version = table.c.version == bindparam("_version")
        ids = bindparam("_ids", expanding=True, type_=table.c.id.type)
        cls._columns = tuple(str(name) for name in table.c.keys())
        cls._shown_whole = cls._columns == cls.shown and not cls.computed
        cls._unkeyed = {
            one.field
            for one in cls.relations.values()
            if not table.c[one.field].foreign_keys
        }
        cls._read = select(table).where(same)
        cls._read_many = select(table).where(table.c.id.in_(ids))
        cls._insert = insert(table)
        known = [same, same_version]
        if cls.key.make is None:
            # The client may have deleted the record, and created it again.
            created = bindparam("_created", type_=table.c.created_at.type)
            known.append(table.c.created_at == created)
        cls._update = update(table).where(*known)
        cls._delete = delete(table).where(*known)

    @classmethod
    def table(cls) -> Table:
        """Its table."""
        return cast(Table, cls.__table__)

    @classmethod
    def show(cls, document: Document, fields: Sequence[str] | None = None) -> Document:
        """The row itself, when clients see all its columns unchanged."""
        if fields is None and cls._shown_whole:
            return document
        return super().show(document, fields)

    @classmethod
    def typed(cls, document: Document) -> Document:
        """The row; its values are already typed."""
        return document

    @classmethod
    def kept_responses(cls) -> ResponseStore:
        """The store of kept responses in the same database."""
        return SqlResponses()

    @classmethod
    def _documents(cls, found: Iterable[Any]) -> Documents:
        return [dict(zip(cls._columns, row)) for row in found]

    @classmethod
    def read_many(cls, ids: Sequence[Any]) -> Documents:
        """Rows by their ids."""
        if len(ids) == 1:
            return cls._documents(rows(cls._read, {"_id": ids[0]}))
        return cls._documents(rows(cls._read_many, {"_ids": ids}))

    @classmethod
    def find(cls, query: ListQuery, limit: int) -> Documents:
        """One run of rows; two runs when the first field of the sort may be unset."""
        found: Documents = []
        first = query.sort[0][0]
        nullable = cls.table().c[first].nullable
        in_unset = query.after is not None and query.after[0] is None
        runs = (False, True) if nullable else (None,)
        for unset in runs[1:] if in_unset else runs:
            rest = limit - len(found)
            if rest == 0:
                break
            # A page that begins in the first run reads the unset run from its start.
            reaches = bool(unset) and not in_unset
            part = replace(query, after=None) if reaches else query
            shape = shape_of(cls.table(), cls.searchable, part, unset)
            offset = cls._offset_in(query, found) if reaches else query.offset
            parameters = {**parameters_of(part), "limit": rest, "offset": offset}
            found += cls._documents(rows(page_statement(shape), parameters))
        return found

    @classmethod
    def _offset_in(cls, query: ListQuery, found: Documents) -> int:
        """The part of the offset that is left for the run of unset values."""
        if not query.offset or found:
            return 0
        return max(0, query.offset - cls._count_run(query, unset=False))

    @classmethod
    def _count_run(cls, query: ListQuery, unset: bool | None) -> int:
        plain = replace(query, after=None)
        shape = shape_of(cls.table(), cls.searchable, plain, None)
        statement = count_statement(shape)
        if unset is False:
            first = cls.table().c[query.sort[0][0]]
            statement = statement.where(first.is_not(None))
        return int(rows(statement, parameters_of(plain))[0][0])

    @classmethod
    def count(cls, query: ListQuery) -> int:
        """SELECT count(*)."""
        return cls._count_run(query, unset=None)

    @classmethod
    def add(cls, documents: Documents) -> None:
        """INSERT, as one statement for all documents."""
        check_references(cls._unchecked(), documents, cls)
        if len(documents) == 1:
            cls._insert_one(documents[0])
            return
        try:
            with sql.session.begin_nested():
                sql.session.connection().execute(cls._insert, documents)
        except DBAPIError as error:
            # A deadlock has ended the transaction, so that its savepoint is gone, too.
            before = error.__context__
            first = before if isinstance(before, DBAPIError) else error
            if read_violation(first) is None:
                raise first from None
            # Again one by one, to find the document that fails.
            for index, document in enumerate(documents):
                cls._insert_one(document, index)

    @classmethod
    def _insert_one(cls, document: Document, index: int = 0) -> None:
        try:
            write(cls._insert, document)
        except DBAPIError as error:
            raise at(index, cls._explain(error, document)) from error

    @classmethod
    def _unchecked(cls) -> list[Relation]:
        """The relations whose records no foreign key checks, or only some of which
        exist for a caller."""
        relations = cls.relations.values()
        return [
            one for one in relations if one.model.has_scope or one.field in cls._unkeyed
        ]

    @classmethod
    def _explain(cls, error: DBAPIError, document: Document) -> Exception:
        return explain_write(error, cls.table(), document, cls.shown)

    @classmethod
    def write(cls, changes: Iterable[Versioned]) -> None:
        """UPDATE, with the version in its WHERE clause."""
        relations = cls._unchecked()
        if relations:
            changes = list(changes)
            check_references(relations, [document for document, _ in changes], cls)
        for index, (document, version) in by_id(changes):
            parameters = {**document, **cls._known(document, version)}
            try:
                result = write(cls._update, parameters)
            except DBAPIError as error:
                raise at(index, cls._explain(error, document)) from error
            if result.rowcount != 1:
                raise StaleRead

    @classmethod
    def _known(cls, document: Document, version: int) -> Document:
        """The parameters that find the row of a document as it was read."""
        known = {"_id": document["id"], "_version": version}
        if cls.key.make is None:
            known["_created"] = document["created_at"]
        return known

    @classmethod
    def remove(cls, changes: Iterable[Versioned]) -> None:
        """DELETE, with the version in its WHERE clause."""
        for index, (document, version) in by_id(changes):
            try:
                result = write(cls._delete, cls._known(document, version))
            except DBAPIError as error:
                raise at(index, explain_delete(error)) from error
            if result.rowcount != 1:
                raise StaleRead


def key_column(key: Key) -> Any:
    """The column type for the ids of a key."""
    if key.is_uuid:
        return Id()
    if key.schema["type"] == "integer":
        return BigInteger()
    return Varchar(key.schema["maxLength"])


def at(index: int, error: Exception) -> Exception:
    """Store in a problem the index of the document that caused it."""
    if isinstance(error, Problem):
        error.index = index
    return error
