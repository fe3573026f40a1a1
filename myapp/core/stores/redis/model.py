"""The model contract over Redis; see ``unit.py`` for the keys.

Writes are collected, and one script makes them when the request commits. The script
checks all of them first, and makes no write when one check fails.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson

from myapp.core.model.idempotency_store import ResponseStore
from myapp.core.model.model import Model
from myapp.core.model.record import Document, Documents, Versioned
from myapp.core.model.references import check_references
from myapp.core.model.storage import by_id
from myapp.core.model.unique import taken
from myapp.core.query.filters import typed
from myapp.core.query.list_query import NEWEST, ListQuery
from myapp.core.schema.json_out import plain
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.idempotency import RedisResponses
from myapp.core.stores.redis.query import (
    CHUNK,
    COUNT,
    WALK,
    Walked,
    end_of,
    matching,
    member,
    start_of,
)
from myapp.core.stores.redis.slots import Slots
from myapp.core.stores.redis.sorting import merged
from myapp.core.stores.redis.unit import pending_unit, unit_of
from myapp.core.stores.state import request_state

# The least that is read at once of each of several slots.
LEAST_CHUNK = 10
# More documents than can have a unique value, unless many have expired.
HOLDERS = 10


class RedisModel(Slots, Model):
    """A model in Redis. A subclass sets ``name`` and its schemas."""

    __store__ = "redis"

    @classmethod
    def seconds_to_live(cls) -> float | None:
        """Seconds that a record lives after its last write; ``None`` for no limit."""
        return None

    @classmethod
    def new_id(cls, body: Mapping[str, Any]) -> Any:
        """The id of a new record; where a response is kept, one that lies beside it."""
        home = request_state().homes.get(cls.name)
        while True:
            id = super().new_id(body)
            if home is None or cls.prefix_of(cls.place(id)) == home:
                return id

    @classmethod
    def kept_responses(cls) -> ResponseStore:
        """The store of kept responses in the same slot of Redis."""
        return RedisResponses(cls)

    @classmethod
    def _values(cls, document: Document, names: Iterable[str]) -> Document:
        """The typed values of some fields of a document."""
        properties = cls.stored_properties
        return {name: typed(document.get(name), properties[name]) for name in names}

    @classmethod
    def loaded(cls, body: bytes) -> Document:
        """A document from its stored form. A field that an older release did not have
        is as in a new record that leaves it out."""
        found: Document = orjson.loads(body)
        if cls.stored_properties.keys() <= found.keys():
            return found
        return {**cls.defaults, **dict.fromkeys(cls.server_properties), **found}

    @classmethod
    def read_many(cls, ids: Sequence[Any]) -> Documents:
        """Documents by their ids, with the writes of this request."""
        found: list[Document | None] = []
        by_prefix: dict[str, list[str]] = {}
        for place in map(cls.place, ids):
            prefix = cls.prefix_of(place)
            unit = pending_unit(prefix)
            if unit is not None and place in unit.documents:
                found.append(unit.documents[place])
            else:
                by_prefix.setdefault(prefix, []).append(f"{prefix}{place}")
        for keys in by_prefix.values():
            bodies = redis_store.mget(keys)
            found += [cls.loaded(body) for body in bodies if body is not None]
        return [document for document in found if document is not None]

    @classmethod
    def find(cls, query: ListQuery, limit: int) -> Documents:
        """Walk one index; newest first without conditions is a single script."""
        if any(one.operator == "in" and not one.values for one in query.filters):
            return []
        is_plain = not query.filters and not query.words and query.sort == NEWEST
        if is_plain and cls.slots == 1:
            return cls._newest(query, limit)
        return list(islice(cls._matching(query), query.offset, query.offset + limit))

    @classmethod
    def _matching(cls, query: ListQuery) -> Iterator[Document]:
        """The documents of every slot that match, in the order of the query."""
        parts = cls.indexed, cls.searchable, cls._values, cls.place, cls.loaded
        chunk = max(CHUNK // cls.slots, LEAST_CHUNK)
        found = [
            matching(Walked(prefix, *parts, chunk), query) for prefix in cls.prefixes()
        ]
        return found[0] if len(found) == 1 else merged(found, query, cls._values)

    @classmethod
    def _newest(cls, query: ListQuery, limit: int) -> Documents:
        high = b"+" if query.after is None else f"({cls.place(query.after[0])}".encode()
        found = WALK([cls.prefix()], ["ids", b"-", high, query.offset + limit, 1])
        bodies = found[1::2]
        if None in bodies:
            # More have expired than one script removes; the walk goes on after them.
            rest = cls._matching(query)
            return list(islice(rest, query.offset, query.offset + limit))
        return [cls.loaded(body) for body in bodies[query.offset :]]

    @classmethod
    def count(cls, query: ListQuery) -> int:
        """The size of the set of ids, or of a walk when the query has conditions."""
        if not query.filters and not query.words:
            return sum(int(COUNT([prefix], [])) for prefix in cls.prefixes())
        if any(one.operator == "in" and not one.values for one in query.filters):
            return 0
        plain = ListQuery(filters=query.filters, words=query.words)
        return sum(1 for _ in cls._matching(plain))

    @classmethod
    def add(cls, documents: Documents) -> None:
        """Collect new documents."""
        if cls.key.make is None:
            cls._refuse_known(documents)
        check_references(cls.relations.values(), documents, cls)
        for index, document in enumerate(documents):
            cls._refuse_taken(document, index)
            cls._put(document, None)

    @classmethod
    def write(cls, changes: Iterable[Versioned]) -> None:
        """Collect changed documents; each write renews the time to live."""
        changes = list(changes)
        written = [document for document, _ in changes]
        check_references(cls.relations.values(), written, cls)
        for index, (document, expected) in by_id(changes):
            cls._refuse_taken(document, index)
            cls._put(document, expected)

    @classmethod
    def remove(cls, changes: Iterable[Versioned]) -> None:
        """Collect removals."""
        for document, expected in changes:
            place = cls.place(document["id"])
            unit = unit_of(cls.prefix_of(place))
            unit.remove(place, expected, cls._created(document))

    @classmethod
    def _put(cls, document: Document, expected: int | None) -> None:
        life = int((cls.seconds_to_live() or 0) * 1000)
        members = cls._members(document) if cls.indexed else {}
        place = cls.place(document["id"])
        created = cls._created(document)
        unit = unit_of(cls.prefix_of(place))
        unit.put(place, document, expected, life, members, cls.unique, created)

    @classmethod
    def _created(cls, document: Document) -> Any:
        """When a record was made, if the client may have deleted it and created it
        again, as JSON; ``False`` when its id tells."""
        return False if cls.key.make else plain(document["created_at"])

    @classmethod
    def _members(cls, document: Document) -> dict[str, Any]:
        values = cls._values(document, cls.indexed)
        place = cls.place(document["id"])
        return {name: member(values[name], place) for name in cls.indexed}

    @classmethod
    def _refuse_taken(cls, document: Document, index: int) -> None:
        """Refuse a document with a unique value of another one. The script that commits
        looks again; the reason for looking here is the place in the error.

        :param index: of the document, for the problem.
        :raises Problem: 409.
        """
        place = cls.place(document["id"])
        for name, value in cls._values(document, cls.unique).items():
            if value is not None and cls._holders(name, value) - {place}:
                problem = taken([name], cls.shown)
                problem.index = index
                raise problem

    @classmethod
    def _holders(cls, name: str, value: Any) -> set[str]:
        """The places of the documents that have a value, with the writes of this
        request."""
        bounds = [b"[" + start_of(value), b"(" + end_of(value)]
        found = WALK([cls.prefix()], [f"by:{name}", *bounds, HOLDERS, 0])
        stored = {
            place.rpartition(b"\0")[2].decode()
            for place, body in zip(found[::2], found[1::2])
            if body is not None
        }
        unit = pending_unit(cls.prefix())
        if unit is None:
            return stored
        return stored - set(unit.documents) | unit.holders(name, member(value, ""))

    @classmethod
    def _refuse_known(cls, documents: Documents) -> None:
        """Refuse ids of the clients that exist.

        :raises Problem: 409; its ``index`` is the index of the document.
        """
        known = {one["id"] for one in cls.read_many([one["id"] for one in documents])}
        for index, document in enumerate(documents):
            if document["id"] in known:
                problem = taken(["id"], cls.shown)
                problem.index = index
                raise problem
            known.add(document["id"])
