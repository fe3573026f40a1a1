"""The list query over Redis: one index is read in order (a walk), and the other
conditions are checked on each document.

An index is a sorted set with equal scores, so that its members are in the order of
their bytes. A member is a mark, the value as text that sorts like it (``sort_key`` of
:mod:`myapp.core.query.filters`), NUL, and the id. The mark is 1; for an unset field it
is 0, and there is no value. No value contains NUL, since requests with NUL are refused,
and NUL sorts before every other character.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from myapp.core.model.record import Document
from myapp.core.query.filters import Filter, sort_key
from myapp.core.query.list_query import ListQuery
from myapp.core.query.search import pattern_of
from myapp.core.stores.redis.client import LuaScript
from myapp.core.stores.redis.scripts import PRELUDE
from myapp.core.stores.redis.sorting import TypeOf, in_order, only_after

CHUNK = 100
SET, UNSET, END = b"1", b"0", b"\x00"
AFTER_END = b"\x01"

# KEYS[1]: prefix. ARGV: index, lower bound, upper bound, limit, 1 for descending order.
# Returns members and bodies alternately.
WALK = LuaScript(PRELUDE + """
local prefix = KEYS[1]
open(prefix).forget_expired()
local index, low, high = prefix .. ARGV[1], ARGV[2], ARGV[3]
local found
if ARGV[5] == '1' then
  found = redis.call('ZREVRANGEBYLEX', index, high, low, 'LIMIT', 0, ARGV[4])
else
  found = redis.call('ZRANGEBYLEX', index, low, high, 'LIMIT', 0, ARGV[4])
end
local result = {}
for number, member in ipairs(found) do
  result[2 * number - 1] = member
  local place = string.match(member, '^.*%z(.*)$') or member
  result[2 * number] = redis.call('GET', prefix .. place)
end
return result
""")

# KEYS[1]: prefix. Returns the number of records that have not expired.
COUNT = LuaScript(PRELUDE + """
local model = open(KEYS[1])
model.forget_expired()
local ended = redis.call('ZCOUNT', KEYS[1] .. 'expires', '-inf', now)
return redis.call('ZCARD', model.ids) - ended
""")


class Walked(NamedTuple):
    """The parts of a model that a walk needs.

    :param prefix: the prefix of its keys, with the colon.
    :param indexed: the fields that have an index.
    :param typed: returns the typed values of some fields of a document.
    :param place: returns the text of an id, which sorts as the ids do.
    :param load: returns a document from its stored form.
    :param chunk: how many members are read at once.
    """

    prefix: str
    indexed: tuple[str, ...]
    searchable: tuple[str, ...]
    typed: TypeOf
    place: Callable[[Any], str]
    load: Callable[[bytes], Document]
    chunk: int = CHUNK


@dataclass
class Range:
    """Members of an index from ``low`` up to, but not including, ``high``; an empty
    value is no bound.

    :param unset: whether its members are the records whose field is unset.
    """

    index: str
    low: bytes = b""
    high: bytes = b""
    unset: bool = False

    def narrow(self, low: bytes = b"", high: bytes = b"") -> None:
        """Reduce the range to its intersection with other bounds."""
        self.low = max(self.low, low)
        self.high = min(self.high, high) if self.high and high else self.high or high


def member(value: Any, place: str) -> str:
    """The member of a record in the index of a field.

    :param place: the text of its id.
    """
    if value is None:
        return f"0\x00{place}"
    return f"1{sort_key(value)}\x00{place}"


def start_of(value: Any) -> bytes:
    """The first member that a value can have."""
    return SET + sort_key(value).encode() + END


def end_of(value: Any) -> bytes:
    """A text that sorts after every member of a value."""
    return SET + sort_key(value).encode() + AFTER_END


def bounds(condition: Filter) -> tuple[bytes, bytes] | None:
    """The range of an index that a filter selects; ``None`` if it is not one range."""
    if condition.operator in ("in", "ne"):
        return None
    value = condition.values[0]
    if condition.operator == "null":
        return (UNSET + END, UNSET + AFTER_END) if value else (SET, SET + b"\xff")
    if condition.operator == "prefix":
        # The byte 0xFF does not occur in UTF-8.
        text = SET + str(value).encode()
        return text, text + b"\xff"
    return {
        "eq": lambda: (start_of(value), end_of(value)),
        "gt": lambda: (end_of(value), SET + b"\xff"),
        "gte": lambda: (start_of(value), SET + b"\xff"),
        "lt": lambda: (SET, start_of(value)),
        "lte": lambda: (SET, end_of(value)),
    }.get(condition.operator, lambda: None)()


def ranges(query: ListQuery, model: Walked) -> list[Range]:
    """The ranges to walk, in order: the index of the first sort field, unset values
    last. When the query sorts by id: the index of ids, or one value of an index with a
    filter for that value."""
    first, _ = query.sort[0]
    after = query.after
    if first == "id":
        return [range_of_ids(query, model)]
    index = f"by:{first}"
    parts = [Range(index, SET, SET + b"\xff"), Range(index, UNSET, SET, unset=True)]
    for condition in query.filters:
        limits = bounds(condition) if condition.field == first else None
        if limits is not None:
            unset = condition.operator == "null" and condition.values[0]
            parts = [part for part in parts if part.unset == unset]
            for part in parts:
                part.narrow(*limits)
    return start_after(parts, query, model) if after is not None else parts


def range_of_ids(query: ListQuery, model: Walked) -> Range:
    """The range to walk in the order of ids."""
    part = Range("ids")
    for one in query.filters:
        is_value = one.operator == "eq" or one.operator == "null" and one.values[0]
        if is_value and one.field in model.indexed:
            low, high = bounds(one) or (b"", b"")
            part = Range(f"by:{one.field}", low, high)
            break
    # Each member is the first bound of the value, if there is one, and then the id.
    start = part.low
    for one in query.filters:
        if one.field == "id" and one.operator in ("gte", "lt"):
            limit = start + model.place(one.values[0]).encode()
            part.narrow(**{"low" if one.operator == "gte" else "high": limit})
    if query.after is not None:
        place = start + model.place(query.after[0]).encode()
        bound_after(part, place, query.sort[0][1])
    return part


def bound_after(part: Range, place: bytes, down: bool) -> None:
    """Begin a range after a member."""
    if down:
        part.narrow(high=place)
    else:
        part.narrow(low=place + END)


def start_after(parts: list[Range], query: ListQuery, model: Walked) -> list[Range]:
    """Begin at the group of equal values that contains the cursor; or after the member
    of the cursor, when the order of members is the order of the query."""
    after = query.after or ()
    value, down = after[0], query.sort[0][1]
    if value is None:
        parts = [part for part in parts if part.unset]
    if parts and len(query.sort) == 2 and query.sort[1][1] == down:
        bound_after(parts[0], member(value, model.place(after[1])).encode(), down)
    elif parts and value is not None:
        if down:
            parts[0].narrow(high=end_of(value))
        else:
            parts[0].narrow(low=start_of(value))
    return parts


def walk(model: Walked, part: Range, down: bool) -> Iterator[tuple[bytes, Document]]:
    """The documents of a range of an index, with their values in it, read in chunks."""
    low, high = part.low, part.high
    while not high or low < high:
        arguments = [
            part.index,
            b"[" + low if low else b"-",
            b"(" + high if high else b"+",
            model.chunk,
            int(down),
        ]
        found = WALK([model.prefix], arguments)
        for place, body in zip(found[::2], found[1::2]):
            if body is not None:
                yield place.rpartition(END)[0], model.load(body)
        if len(found) < 2 * model.chunk:
            return
        low, high = (low, found[-2]) if down else (found[-2] + END, high)


def matching(model: Walked, query: ListQuery) -> Iterator[Document]:
    """The documents that match, in the order of the query."""
    down = query.sort[0][1]
    simple = len(query.sort) == 1 or (len(query.sort) == 2 and query.sort[1][1] == down)
    for part in ranges(query, model):
        found = walk(model, part, down)
        passing = (
            (place, document)
            for place, document in found
            if passes(document, query, model)
        )
        if simple:
            yield from (document for _, document in passing)
            continue
        for _, group in groupby(passing, key=lambda pair: pair[0]):
            documents = in_order([pair[1] for pair in group], query, model.typed)
            yield from only_after(documents, query, model.typed)


def passes(document: Document, query: ListQuery, model: Walked) -> bool:
    """Whether a document matches filters and words."""
    if query.filters:
        values = model.typed(document, [one.field for one in query.filters])
        if not all(condition.matches(values) for condition in query.filters):
            return False
    texts = [str(document[name] or "") for name in model.searchable]
    patterns = [pattern_of(word) for word in query.words]
    return all(any(re.search(one, text) for text in texts) for one in patterns)
