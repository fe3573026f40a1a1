"""The primitives that a store implements for its models."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from myapp.core.model.idempotency_store import ResponseStore
from myapp.core.model.record import Document, Documents, Versioned
from myapp.core.query.list_query import ListQuery


class Storage:
    """The primitives of a store. They know no scope, hooks and rules: code calls the
    methods of a model that are built on them."""

    #: The name of its store.
    __store__: ClassVar[str]
    #: Fields that the scope compares with one value; each has an index.
    scoped_by: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def kept_responses(cls) -> ResponseStore:
        """The store of the kept responses of its routes."""
        raise NotImplementedError

    @classmethod
    def read_many(cls, ids: Sequence[Any]) -> Documents:
        """The documents that exist among these ids, in any order."""
        raise NotImplementedError

    @classmethod
    def find(cls, query: ListQuery, limit: int) -> Documents:
        """At most ``limit`` documents that match, in the order of the query, starting
        after ``query.after``."""
        raise NotImplementedError

    @classmethod
    def count(cls, query: ListQuery) -> int:
        """How many documents match the filters and words of a query."""
        raise NotImplementedError

    @classmethod
    def add(cls, documents: Documents) -> None:
        """Store new documents, all or none.

        :raises Problem: 409 or 422 when a constraint is violated; its ``index`` is the
            index of the document.
        """
        raise NotImplementedError

    @classmethod
    def write(cls, changes: Iterable[Versioned]) -> None:
        """Overwrite documents that still have the expected versions, all or none.

        :raises StaleRead: when a document has another version.
        :raises Problem: as :meth:`add`.
        """
        raise NotImplementedError

    @classmethod
    def remove(cls, changes: Iterable[Versioned]) -> None:
        """Delete documents that still have the expected versions, all or none.

        :raises StaleRead: when a document has another version.
        :raises Problem: 409 when other records refer to a document.
        """
        raise NotImplementedError

    @classmethod
    def typed(cls, document: Document) -> Any:
        """A document with typed values: dates, decimals, date-times."""
        raise NotImplementedError


def by_id(changes: Iterable[Versioned]) -> list[tuple[int, Versioned]]:
    """Changes with their indexes, sorted by id: transactions that lock rows in the same
    order do not cause deadlocks."""
    return sorted(enumerate(changes), key=lambda one: str(one[1][0]["id"]))
