"""The model contract over Redis.

A record is one JSON value under ``{name}:<id>``; ``{name}:ids`` is the list, a
sorted set in the order of the ids, which is the order of time; ``{name}:expires``
holds when each record ends. The braces keep all of it in one slot of a cluster.
Each change is one Lua script: checked, atomic, and it takes expired records along.
"""

from typing import Any, ClassVar, cast

import orjson

from myapp.core.db import LuaScript, redis_store
from myapp.core.output import dumps
from myapp.core.model import Document, Documents, Model
from myapp.core.transaction import refuse_inside_transaction

# KEYS: ids, expires. ARGV[1]: the prefix of the records, with its colon.
PRELUDE = """
local ids, expires, prefix = KEYS[1], KEYS[2], ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function store(id, body, ttl)
  redis.call('SET', prefix .. id, body)
  redis.call('ZADD', ids, 0, id)
  if ttl > 0 then
    redis.call('PEXPIREAT', prefix .. id, now + ttl)
    redis.call('ZADD', expires, now + ttl, id)
  end
end
local function forget(id)
  redis.call('DEL', prefix .. id)
  redis.call('ZREM', ids, id)
  redis.call('ZREM', expires, id)
end
local function forget_expired()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', expires, '-inf', now)) do
    forget(id)
  end
end
local function is_at(id, expected)
  local body = redis.call('GET', prefix .. id)
  return body and (expected == '' or cjson.decode(body).version == tonumber(expected))
end
"""

# ARGV: prefix, id, body, milliseconds to live (0 for ever).
ADD = LuaScript(PRELUDE + """
forget_expired()
if redis.call('EXISTS', prefix .. ARGV[2]) == 1 then return 0 end
store(ARGV[2], ARGV[3], tonumber(ARGV[4]))
return 1
""")

# ARGV: prefix, id, body, milliseconds to live, expected version.
WRITE = LuaScript(PRELUDE + """
if not is_at(ARGV[2], ARGV[5]) then return 0 end
store(ARGV[2], ARGV[3], tonumber(ARGV[4]))
return 1
""")

# ARGV: prefix, id, expected version or nothing.
REMOVE = LuaScript(PRELUDE + """
if not is_at(ARGV[2], ARGV[3]) then return 0 end
forget(ARGV[2])
return 1
""")

# ARGV: prefix, limit, where to start in the order of ids.
PAGE = LuaScript(PRELUDE + """
forget_expired()
local page = redis.call('ZREVRANGEBYLEX', ids, ARGV[3], '-', 'LIMIT', 0, ARGV[2])
local bodies = {}
for number, id in ipairs(page) do
  bodies[number] = redis.call('GET', prefix .. id)
end
return bodies
""")


class RedisModel(Model):
    """A model in Redis. A subclass sets ``name`` and both schemas."""

    #: What its keys start with.
    name: ClassVar[str]

    @classmethod
    def seconds_to_live(cls) -> float | None:
        """How long a record lives after its last write; ``None`` for ever."""
        return None

    @classmethod
    def run(cls, script: LuaScript, *args: Any) -> Any:
        """Run a script on the keys of this model."""
        keys = [f"{{{cls.name}}}:ids", f"{{{cls.name}}}:expires"]
        return script(keys, [f"{{{cls.name}}}:", *args])

    @classmethod
    def _time_to_live(cls) -> int:
        return int((cls.seconds_to_live() or 0) * 1000)

    @classmethod
    def read(cls, id: str) -> Document | None:
        """One value as a document."""
        body = redis_store.get(f"{{{cls.name}}}:{id}")
        return None if body is None else cast(Document, orjson.loads(body))

    @classmethod
    def read_page(cls, limit: int, after: str | None) -> Documents:
        """Values by keyset, in one script."""
        start = "+" if after is None else f"({after}"
        return [orjson.loads(body) for body in cls.run(PAGE, limit, start) if body]

    @classmethod
    def add(cls, document: Document) -> None:
        """Store a new value; a second run with the same id changes nothing."""
        refuse_inside_transaction()
        cls.run(ADD, document["id"], dumps(document), cls._time_to_live())

    @classmethod
    def write(cls, document: Document, expected: int) -> bool:
        """Store over a value whose version is ``expected``, and renew its life."""
        refuse_inside_transaction()
        body, life = dumps(document), cls._time_to_live()
        return bool(cls.run(WRITE, document["id"], body, life, expected))

    @classmethod
    def remove(cls, id: str, expected: int | None = None) -> bool:
        """Remove a value."""
        refuse_inside_transaction()
        return bool(cls.run(REMOVE, id, "" if expected is None else expected))
