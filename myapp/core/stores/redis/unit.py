"""The writes of a request to a model in Redis: collected, then made by one script.

The keys of a model, in one slot of a cluster because of the braces:

- ``{name}:<id>``: a record, one JSON value; an id that is no UUID is written as
  ``=<id>``, an integer so that it sorts as text;
- ``{name}:ids``: every id, a sorted set in the order of ids, which is that of time;
- ``{name}:by:<field>``: for each declared field a sorted set of its values, see
  ``query.py``;
- ``{name}:entries``: a hash of the members of each record in those sets;
- ``{name}:expires``: a sorted set of the times when records expire, in milliseconds;
- ``{name}:idempotency:<digest>``: a kept response.
"""

from typing import Any

from myapp.core.model.idempotency_store import KeyTaken
from myapp.core.model.record import Document
from myapp.core.schema.json_out import dumps
from myapp.core.stores.redis.client import LuaScript
from myapp.core.stores.state import request_state
from myapp.core.stores.transaction import StaleRead

# KEYS[1]: the prefix of all keys with its colon; it decides the slot.
PRELUDE = """
local prefix = KEYS[1]
local ids, entries, expires = prefix .. 'ids', prefix .. 'entries', prefix .. 'expires'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function leave_indexes(id)
  local known = redis.call('HGET', entries, id)
  if known then
    for field, member in pairs(cjson.decode(known)) do
      redis.call('ZREM', prefix .. 'by:' .. field, member)
    end
    redis.call('HDEL', entries, id)
  end
end
local function forget(id)
  leave_indexes(id)
  redis.call('DEL', prefix .. id)
  redis.call('ZREM', ids, id)
  redis.call('ZREM', expires, id)
end
local function forget_expired()
  local ended = redis.call('ZRANGEBYSCORE', expires, '-inf', now, 'LIMIT', 0, 1000)
  for _, id in ipairs(ended) do forget(id) end
end
"""

# ARGV[1]: the operations, each [id, expected version or false, body or false,
# milliseconds to live, members of the indexes, unique fields]. ARGV[2..4]: a response
# to keep: its key or an empty string, its value, its milliseconds to live.
# Returns 0; -1 when there is a response for the key, or -2 when a record has changed
# since it was read or a value is taken, and then nothing is written.
COMMIT = LuaScript(PRELUDE + """
local operations = cjson.decode(ARGV[1])
forget_expired()
local written, used = {}, {}
for _, operation in ipairs(operations) do written[operation[1]] = true end
local function is_taken(field, member)
  local value = string.match(member, '^(1.*%z)')
  if not value then return false end
  local mine = field .. ' ' .. value
  if used[mine] then return true end
  used[mine] = true
  local low, high = '[' .. value, '(' .. string.sub(value, 1, -2) .. '\1'
  local index = prefix .. 'by:' .. field
  for _, found in ipairs(redis.call('ZRANGEBYLEX', index, low, high)) do
    local other = string.match(found, '^.*%z(.*)$')
    if not written[other] and redis.call('EXISTS', prefix .. other) == 1 then
      return true
    end
  end
  return false
end
if ARGV[2] ~= '' and redis.call('EXISTS', prefix .. ARGV[2]) == 1 then return -1 end
for _, operation in ipairs(operations) do
  local body = redis.call('GET', prefix .. operation[1])
  if operation[2] then
    if not body or cjson.decode(body).version ~= operation[2] then return -2 end
  elseif body then
    return -2
  end
  for _, field in ipairs(operation[6]) do
    if operation[3] and is_taken(field, operation[5][field]) then
      return -2
    end
  end
end
for _, operation in ipairs(operations) do
  local id, body, life, members = operation[1], operation[3], operation[4], operation[5]
  if not body then
    forget(id)
  else
    -- The first write, because Redis refuses only the first one when it is full.
    redis.call('SET', prefix .. id, body)
    leave_indexes(id)
    redis.call('ZADD', ids, 0, id)
    local indexed = false
    for field, member in pairs(members) do
      redis.call('ZADD', prefix .. 'by:' .. field, 0, member)
      indexed = true
    end
    if indexed then redis.call('HSET', entries, id, cjson.encode(members)) end
    if life > 0 then
      redis.call('PEXPIREAT', prefix .. id, now + life)
      redis.call('ZADD', expires, now + life, id)
    end
  end
end
if ARGV[2] ~= '' then
  redis.call('SET', prefix .. ARGV[2], ARGV[3], 'PX', ARGV[4])
end
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
        self._found: dict[str, int | None] = {}
        self._written: dict[str, tuple[bytes, int, dict[str, str], tuple[str, ...]]] = (
            {}
        )
        self._response: tuple[str, bytes, int] = ("", b"", 0)

    def put(
        self,
        place: str,
        document: Document,
        expected: int | None,
        life: int,
        members: dict[str, str],
        unique: tuple[str, ...] = (),
    ) -> None:
        """Write a document at the commit.

        :param place: the text of its id.
        :param expected: the stored version; ``None`` for a new document.
        :param life: milliseconds to live; 0 for no limit.
        :param members: its member in each index, by field.
        :param unique: the fields whose value no other document may have.
        """
        self._note(place, expected)
        self.documents[place] = document
        self._written[place] = (dumps(document), life, members, unique)

    def remove(self, place: str, expected: int) -> None:
        """Remove a document at the commit."""
        self._note(place, expected)
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
        self._response = (key, value, life)

    def _note(self, place: str, expected: int | None) -> None:
        known = self.documents.get(place)
        is_known = place in self.documents
        if is_known and (known is None or known["version"] != expected):
            raise StaleRead
        # Of several writes to a record, the first one states the stored version.
        self._found.setdefault(place, expected)

    def commit(self) -> None:
        """Run the script.

        :raises StaleRead: when a record has changed since it was read, or a value was
            taken since it was looked for.
        :raises KeyTaken: when another request with the key was first.
        """
        operations = [self._operation(id, found) for id, found in self._found.items()]
        result = COMMIT([self.prefix], [dumps(operations), *self._response])
        if result == -1:
            raise KeyTaken
        if result == -2:
            raise StaleRead

    def _operation(self, id: str, found: int | None) -> list[Any]:
        body, life, members, unique = self._written.get(id, (None, 0, {}, ()))
        text = body.decode() if body is not None else False
        return [id, found or False, text, life, members, unique]


def pending_unit(name: str) -> RedisUnit | None:
    """The writes of this request to a model so far; ``None`` when there are no writes.

    :param name: the name of the model.
    """
    unit = request_state().units.get(name)
    return unit if isinstance(unit, RedisUnit) else None


def unit_of(name: str, prefix: str) -> RedisUnit:
    """The writes of this request to a model.

    :param prefix: the prefix of the model's keys, with the colon.
    """
    unit = pending_unit(name)
    if unit is None:
        unit = request_state().units[name] = RedisUnit(prefix)
    return unit
