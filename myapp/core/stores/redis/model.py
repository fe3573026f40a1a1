"""The model contract over Redis; see ``unit.py`` for the keys.

Writes are collected, and one script makes them when the request commits. The script
checks all of them first, and makes no write when one check fails.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, ClassVar

import orjson

from myapp.core.model.idempotency_store import ResponseStore
from myapp.core.model.model import Model
from myapp.core.model.record import Document, Documents, Versioned
from myapp.core.model.references import check_references
from myapp.core.query.filters import typed
from myapp.core.query.list_query import NEWEST, ListQuery
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.idempotency import RedisResponses
from myapp.core.stores.redis.query import WALK, Walked, matching, member
from myapp.core.stores.redis.unit import RedisUnit, pending_unit, unit_of


class RedisModel(Model):
    """A model in Redis. A subclass sets ``name`` and its schemas."""

    #: The name at the start of its keys.
    name: ClassVar[str]
    #: The fields that have an index.
    _indexed: ClassVar[tuple[str, ...]]

    @classmethod
    def compile_schemas(cls) -> None:
        """Also collect the fields that have an index."""
        super().compile_schemas()
        cls._indexed = tuple(
            dict.fromkeys((*cls.filterable, *cls.sortable, *cls.scoped_by))
        )

    @classmethod
    def seconds_to_live(cls) -> float | None:
        """Seconds that a record lives after its last write; ``None`` for no limit."""
        return None

    @classmethod
    def prefix(cls) -> str:
        """The start of its keys; the braces put all keys into one slot of a cluster."""
        return f"{{{cls.name}}}:"

    @classmethod
    def kept_responses(cls) -> ResponseStore:
        """The store of kept responses in the same slot of Redis."""
        return RedisResponses(cls)

    @classmethod
    def unit(cls) -> RedisUnit:
        """The writes of this request to this model."""
        return unit_of(cls.name, cls.prefix())

    @classmethod
    def _values(cls, document: Document, names: Iterable[str]) -> Document:
        """The typed values of some fields of a document."""
        properties = cls.stored_properties
        return {name: typed(document.get(name), properties[name]) for name in names}

    @classmethod
    def read_many(cls, ids: Sequence[str]) -> Documents:
        """Documents by their ids, with the writes of this request."""
        unit = pending_unit(cls.name)
        pending: dict[str, Document | None] = unit.documents if unit else {}
        stored = [id for id in ids if id not in pending]
        found = [pending[id] for id in ids if id in pending]
        if stored:
            bodies = redis_store.mget([f"{cls.prefix()}{id}" for id in stored])
            found += [orjson.loads(body) for body in bodies if body is not None]
        return [document for document in found if document is not None]

    @classmethod
    def find(cls, query: ListQuery, limit: int) -> Documents:
        """Walk one index; newest first without conditions is a single script."""
        if not query.filters and not query.words and query.sort == NEWEST:
            return cls._newest(query, limit)
        found = matching(cls._walked(), query)
        return list(islice(found, query.offset, query.offset + limit))

    @classmethod
    def _walked(cls) -> Walked:
        return Walked(cls.prefix(), cls._indexed, cls.searchable, cls._values)

    @classmethod
    def _newest(cls, query: ListQuery, limit: int) -> Documents:
        high = b"+" if query.after is None else f"({query.after[0]}".encode()
        found = WALK([cls.prefix()], ["ids", b"-", high, query.offset + limit, 1])
        bodies = found[1::2][query.offset :]
        return [orjson.loads(body) for body in bodies if body is not None]

    @classmethod
    def count(cls, query: ListQuery) -> int:
        """The size of the set of ids, or of a walk when the query has conditions."""
        if not query.filters and not query.words:
            # A walk with limit 0, which removes expired records.
            WALK([cls.prefix()], ["ids", b"-", b"+", 0, 1])
            return int(redis_store.zcard(f"{cls.prefix()}ids"))
        plain = ListQuery(filters=query.filters, words=query.words)
        found = matching(cls._walked(), plain)
        return sum(1 for _ in found)

    @classmethod
    def add(cls, documents: Documents) -> None:
        """Collect new documents."""
        check_references(cls.relations.values(), documents)
        for document in documents:
            cls._put(document, None)

    @classmethod
    def write(cls, changes: Iterable[Versioned]) -> None:
        """Collect changed documents; each write renews the time to live."""
        changes = list(changes)
        written = [document for document, _ in changes]
        check_references(cls.relations.values(), written)
        for document, expected in changes:
            cls._put(document, expected)

    @classmethod
    def remove(cls, changes: Iterable[Versioned]) -> None:
        """Collect removals."""
        for document, expected in changes:
            cls.unit().remove(document["id"], expected)

    @classmethod
    def _put(cls, document: Document, expected: int | None) -> None:
        life = int((cls.seconds_to_live() or 0) * 1000)
        members = cls._members(document) if cls._indexed else {}
        cls.unit().put(document, expected, life, members)

    @classmethod
    def _members(cls, document: Document) -> dict[str, Any]:
        values = cls._values(document, cls._indexed)
        return {name: member(values[name], document["id"]) for name in cls._indexed}
