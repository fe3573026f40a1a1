"""The writes of a request to a model in Redis: collected, then made by one script.

The keys of a model, in one slot of a cluster because of the braces; where the model
states a ``slot``, they begin with ``{slot}name:`` instead, and where it states the
number of its ``slots``, with ``{name/<number>}:``, each with the records there:

- ``{name}:<id>``: a record, one JSON value; an id that is no UUID is written as
  ``=<id>``, an integer so that it sorts as text;
- ``{name}:ids``: every id, a sorted set in the order of ids, which is that of time;
- ``{name}:by:<field>``: for each declared field a sorted set of its values, see
  ``query.py``;
- ``{name}:entries``: a hash of the members of each record in those sets, without the
  id;
- ``{name}:expires``: a sorted set of the times when records expire, in milliseconds;
- ``{name}:idempotency:<digest>``: a kept response;
- ``{name}:claim:<id>``: for a short time, the promise of a request that also writes
  SQL, and will write this record; ``{name}:claim:<field> <value>`` that of a value;
- ``{name}:promise:<id>``: whether a promise was kept.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from redis.crc import key_slot

from myapp.core.model.idempotency_store import KeyTaken
from myapp.core.model.record import Document
from myapp.core.schema.json_out import dumps
from myapp.core.stores.redis.client import LuaScript, redis_store
from myapp.core.stores.redis.slots import is_spread, name_of_model
from myapp.core.stores.state import request_state
from myapp.core.stores.transaction import StaleRead


class RedisUnit:
    """The writes of one request to one model.

    :param prefix: the prefix of the model's keys, with the colon.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        #: Each written document by the text of its id; ``None`` when it was removed.
        self.documents: dict[str, Document | None] = {}
        self._found: dict[str, tuple[int | None, Any]] = {}
        self._written: dict[str, tuple[bytes, int, dict[str, str], tuple[str, ...]]] = (
            {}
        )
        #: The key of a response to keep, its value, and its milliseconds to live.
        self.response: tuple[str, bytes, int] = ("", b"", 0)

    def put(
        self,
        place: str,
        document: Document,
        expected: int | None,
        life: int,
        members: dict[str, str],
        unique: tuple[str, ...] = (),
        created: Any = False,
    ) -> None:
        """Write a document at the commit.

        :param place: the text of its id.
        :param expected: the stored version; ``None`` for a new document.
        :param life: milliseconds to live; 0 for no limit.
        :param members: its member in each index, by field.
        :param unique: the fields whose value no other document may have.
        :param created: when the stored document must have been made, as JSON.
        """
        self._note(place, expected, created)
        self.documents[place] = document
        self._written[place] = (dumps(document), life, members, unique)

    def remove(self, place: str, expected: int, created: Any = False) -> None:
        """Remove a document at the commit; see :meth:`put`."""
        self._note(place, expected, created)
        self.documents[place] = None
        self._written.pop(place, None)

    def holders(self, field: str, start: str) -> set[str]:
        """The places of the written documents that have a value.

        :param start: the member of the value in the index of the field, without id.
        """
        return {
            place
            for place, (_, _, members, _) in self._written.items()
            if members.get(field, "").startswith(start)
        }

    def keep_response(self, key: str, value: bytes, life: int) -> None:
        """Keep a response for retries, together with the writes."""
        self.response = (self.prefix + key, value, life)

    def _note(self, place: str, expected: int | None, created: Any) -> None:
        known = self.documents.get(place)
        is_known = place in self.documents
        if is_known and (known is None or known["version"] != expected):
            raise StaleRead
        # Of several writes to a record, the first one states the stored version.
        self._found.setdefault(place, (expected, created))

    def operations(self) -> bytes:
        """The writes, for the script."""
        return dumps([self._operation(place) for place in self._found])

    def _operation(self, place: str) -> list[Any]:
        expected, created = self._found[place]
        body, life, members, unique = self._written.get(place, (None, 0, {}, ()))
        text = body.decode() if body is not None else False
        return [place, expected or False, text, life, members, unique, created]


class Writes(NamedTuple):
    """The writes of a request as the scripts take them, and as they are kept until they
    are made.

    :param prefixes: of each model.
    :param operations: of each model, JSON.
    :param kept: the key of a response to keep, its value, and its milliseconds to live.
    :param id: of the promise; empty when they are made at once.
    """

    prefixes: list[str]
    operations: list[str]
    kept: tuple[str, str, int]
    id: str = ""

    def run(self, script: LuaScript, lasts: float = 0) -> None:
        """Run a script with these writes.

        :param lasts: seconds that a claim is held, or that a promise that was kept is
            remembered.
        :raises StaleRead: when a record has changed since it was read, or a value was
            taken since it was looked for.
        :raises KeyTaken: when another request with the key was first.
        """
        arguments = [*self.operations, *self.kept, self.id, int(lasts * 1000)]
        result = script(self.prefixes, arguments)
        if result == -1:
            raise KeyTaken
        if result == -2:
            raise StaleRead


def writes_of(units: Iterable[RedisUnit], id: str = "") -> Writes:
    """The writes of a request, to all models.

    :param id: of the promise, when they are made later.
    """
    units = list(units)
    if len(units) > 1 and (
        redis_store.in_cluster or any(is_spread(unit.prefix) for unit in units)
    ):
        refuse_slots(units)
    responses = [unit.response for unit in units if unit.response[0]]
    kept = (responses or [("", b"", 0)])[0]
    operations = [unit.operations().decode() for unit in units]
    return Writes(
        [unit.prefix for unit in units],
        operations,
        (kept[0], kept[1].decode(), kept[2]),
        id,
    )


def refuse_slots(units: list[RedisUnit]) -> None:
    """Refuse writes in several slots of a cluster: no script can make all of them.

    :raises RuntimeError: with the names of the models.
    """
    if len({key_slot(unit.prefix.encode()) for unit in units}) > 1:
        names = ", ".join(sorted({name_of_model(unit.prefix) for unit in units}))
        raise RuntimeError(
            f"one request writes to models in several slots ({names}); state the same "
            "`slot` on them, or write one record of a model with several `slots`"
        )


def pending_unit(prefix: str) -> RedisUnit | None:
    """The writes of this request to keys with a prefix so far; ``None`` when there are
    no writes."""
    unit = request_state().units.get(prefix)
    return unit if isinstance(unit, RedisUnit) else None


def unit_of(prefix: str) -> RedisUnit:
    """The writes of this request to keys with a prefix.

    :param prefix: of the keys of a model, with the colon.
    :raises RuntimeError: in a request that may only read.
    """
    unit = pending_unit(prefix)
    if unit is None:
        if request_state().reads_only:
            raise RuntimeError("GET, HEAD and OPTIONS do not write")
        unit = request_state().units[prefix] = RedisUnit(prefix)
    return unit
