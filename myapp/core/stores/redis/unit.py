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
- ``{name}:idempotency:<digest>``: a kept response.
"""

from collections.abc import Iterable
from typing import Any

from redis.crc import key_slot

from myapp.core.model.idempotency_store import KeyTaken
from myapp.core.model.record import Document
from myapp.core.schema.json_out import dumps
from myapp.core.stores.redis.client import LuaScript, redis_store
from myapp.core.stores.redis.slots import is_spread, name_of_model
from myapp.core.stores.state import request_state
from myapp.core.stores.transaction import StaleRead

# A model: its prefix, with the colon, and the functions on its keys.
PRELUDE = """
local clock = redis.call('TIME')
local NUL = string.char(0)
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function open(prefix)
  local model = {prefix = prefix, ids = prefix .. 'ids'}
  -- While a cluster moves this slot, each of two nodes has a part of the keys, and a
  -- command on several keys is refused when one is missing. No key ends in 'moving',
  -- so the script ends here, before it reads or writes a part.
  redis.call('EXISTS', model.ids, prefix .. 'moving')
  local entries, expires = prefix .. 'entries', prefix .. 'expires'
  function model.leave_indexes(id)
    local known = redis.call('HGET', entries, id)
    if known then
      for field, start in pairs(cjson.decode(known)) do
        -- Older entries hold the whole member.
        local member = string.find(start, '%z') and start or start .. NUL .. id
        redis.call('ZREM', prefix .. 'by:' .. field, member)
      end
      redis.call('HDEL', entries, id)
    end
  end
  function model.forget(id)
    model.leave_indexes(id)
    redis.call('DEL', prefix .. id)
    redis.call('ZREM', model.ids, id)
    redis.call('ZREM', expires, id)
  end
  function model.forget_expired()
    local ended = redis.call('ZRANGEBYSCORE', expires, '-inf', now, 'LIMIT', 0, 1000)
    for _, id in ipairs(ended) do model.forget(id) end
  end
  function model.enter_indexes(id, members)
    redis.call('ZADD', model.ids, 0, id)
    if next(members) then
      local starts = {}
      for field, member in pairs(members) do
        redis.call('ZADD', prefix .. 'by:' .. field, 0, member)
        starts[field] = string.sub(member, 1, -2 - #id)
      end
      redis.call('HSET', entries, id, cjson.encode(starts))
    end
  end
  function model.live(id, life)
    if life > 0 then
      redis.call('PEXPIREAT', prefix .. id, now + life)
      redis.call('ZADD', expires, now + life, id)
    else
      redis.call('ZREM', expires, id)
    end
  end
  return model
end
"""

# KEYS: the prefix of each model that is written. ARGV: the operations of each model, in
# JSON: a list of [id, expected version or false, body or false, milliseconds to live,
# members of the indexes, unique fields, time of creation or false]; then a
# response to keep: its key or an empty string, its value, its milliseconds to live.
# Returns 0; -1 when there is a response for the key, or -2 when a record has changed
# since it was read or a value is taken, and then nothing is written.
COMMIT = LuaScript(PRELUDE + """
local kept, value, life = ARGV[#KEYS + 1], ARGV[#KEYS + 2], ARGV[#KEYS + 3]
local function is_taken(model, field, member)
  local start = string.match(member, '^(1.*%z)')
  if not start then return false end
  local mine = field .. ' ' .. start
  if model.used[mine] then return true end
  model.used[mine] = true
  local low, high = '[' .. start, '(' .. string.sub(start, 1, -2) .. '\1'
  local index = model.prefix .. 'by:' .. field
  for _, found in ipairs(redis.call('ZRANGEBYLEX', index, low, high)) do
    local other = string.match(found, '^.*%z(.*)$')
    if not model.written[other] then
      if redis.call('EXISTS', model.prefix .. other) == 1 then return true end
    end
  end
  return false
end
local function is_stale(model, operation)
  local version, unique = operation[2], operation[3] and operation[6] or {}
  local body = redis.call('GET', model.prefix .. operation[1])
  if not version and body then return true end
  if version and not body then return true end
  if version then
    local stored, created = cjson.decode(body), operation[7]
    if stored.version ~= version then return true end
    if created and stored.created_at ~= created then return true end
  end
  for _, field in ipairs(unique) do
    if is_taken(model, field, operation[5][field]) then return true end
  end
  return false
end
local models = {}
for number, prefix in ipairs(KEYS) do
  local model = open(prefix)
  model.operations, model.written, model.used = cjson.decode(ARGV[number]), {}, {}
  for _, operation in ipairs(model.operations) do model.written[operation[1]] = true end
  models[number] = model
end
for _, model in ipairs(models) do model.forget_expired() end
if kept ~= '' and redis.call('EXISTS', kept) == 1 then return -1 end
for _, model in ipairs(models) do
  for _, operation in ipairs(model.operations) do
    if is_stale(model, operation) then return -2 end
  end
end
for _, model in ipairs(models) do
  for _, operation in ipairs(model.operations) do
    local id, body = operation[1], operation[3]
    if body then
      -- The first write, because Redis refuses only the first one when it is full.
      redis.call('SET', model.prefix .. id, body)
      model.leave_indexes(id)
      model.enter_indexes(id, operation[5])
      model.live(id, operation[4])
    else
      model.forget(id)
    end
  end
end
if kept ~= '' then redis.call('SET', kept, value, 'PX', life) end
return 0
""")


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


def commit_units(units: Iterable[RedisUnit]) -> None:
    """Make the writes of a request, to all models in one script.

    :raises StaleRead: when a record has changed since it was read, or a value was taken
        since it was looked for.
    :raises KeyTaken: when another request with the key was first.
    """
    units = list(units)
    if len(units) > 1 and (
        redis_store.in_cluster or any(is_spread(unit.prefix) for unit in units)
    ):
        refuse_slots(units)
    responses = [unit.response for unit in units if unit.response[0]]
    arguments = [unit.operations() for unit in units]
    kept = (responses or [("", b"", 0)])[0]
    result = COMMIT([unit.prefix for unit in units], [*arguments, *kept])
    if result == -1:
        raise KeyTaken
    if result == -2:
        raise StaleRead


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
