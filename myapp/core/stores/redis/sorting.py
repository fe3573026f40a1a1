"""The order of a list query over Redis, where it is more than that of one index."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import cmp_to_key

from myapp.core.model.record import Document, Documents
from myapp.core.query.list_query import ListQuery

TypeOf = Callable[[Document, Iterable[str]], Document]


def merged(
    parts: Iterable[Iterator[Document]], query: ListQuery, typed: TypeOf
) -> Iterator[Document]:
    """The documents of several walks, each in the order of the query, in that order."""
    names = [name for name, _ in query.sort]

    def compare(one: Document, other: Document) -> int:
        values, places = typed(one, names), typed(other, names)
        after = ListQuery(sort=query.sort, after=tuple(places.values()))
        return 1 if is_after(values, after) else -1

    return heapq.merge(*parts, key=cmp_to_key(compare))


def in_order(documents: Documents, query: ListQuery, typed: TypeOf) -> Documents:
    """Documents in the order of the query: a stable sort by each field, from the last
    field to the first."""
    for name, down in reversed(query.sort):
        values = {one["id"]: typed(one, [name])[name] for one in documents}
        known = [one for one in documents if values[one["id"]] is not None]
        unset = [one for one in documents if values[one["id"]] is None]
        known.sort(key=lambda one: values[one["id"]], reverse=down)
        documents = known + unset
    return documents


def only_after(
    documents: Documents, query: ListQuery, typed: TypeOf
) -> Iterator[Document]:
    """The documents of a sorted group that come after the cursor."""
    for document in documents:
        names = [name for name, _ in query.sort]
        if query.after is None or is_after(typed(document, names), query):
            yield document


def is_after(values: Document, query: ListQuery) -> bool:
    """Whether values come after the cursor of a query."""
    for (name, down), place in zip(query.sort, query.after or ()):
        value = values[name]
        if value == place:
            continue
        if value is None or place is None:
            return value is None
        return bool(value < place if down else value > place)
    return False
