"""What a store implements for its models: a handful of primitives."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from myapp.core.model.idempotency_store import ResponseStore
from myapp.core.model.record import Document, Documents, Versioned
from myapp.core.query.list_query import ListQuery


class Storage:
    """The primitives of a store. They know nothing of scope, hooks and rules: code
    calls the methods of a model that are built on them."""

    #: Fields that scope compares with one value; each has an index.
    scoped_by: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def kept_responses(cls) -> ResponseStore:
        """Where the responses to requests with an Idempotency-Key are kept."""
        raise NotImplementedError

    @classmethod
    def read_many(cls, ids: Sequence[str]) -> Documents:
        """The documents with these ids, those that exist, in any order."""
        raise NotImplementedError

    @classmethod
    def find(cls, query: ListQuery, limit: int) -> Documents:
        """At most ``limit`` documents that match, in the order of the query, after
        the place where it starts."""
        raise NotImplementedError

    @classmethod
    def count(cls, query: ListQuery) -> int:
        """How many documents match the filters and words of a query."""
        raise NotImplementedError

    @classmethod
    def add(cls, documents: Documents) -> None:
        """Store new documents, all or none.

        :raises Problem: 409 or 422, its ``index`` that of the document, when a
            constraint is violated.
        """
        raise NotImplementedError

    @classmethod
    def write(cls, changes: Iterable[Versioned]) -> None:
        """Overwrite documents whose versions are still as expected, all or none.

        :raises StaleRead: when one is not.
        :raises Problem: as :meth:`add`.
        """
        raise NotImplementedError

    @classmethod
    def remove(cls, changes: Iterable[Versioned]) -> None:
        """Delete documents whose versions are still as expected, all or none.

        :raises StaleRead: when one is not.
        :raises Problem: 409 when others refer to one.
        """
        raise NotImplementedError

    @classmethod
    def typed(cls, document: Document) -> Any:
        """A document with the values that code compares: dates, decimals, moments."""
        raise NotImplementedError
