"""Small things in Redis that are no records: values that expire, capped lists, counters
and locks, under the prefix of a feature.

Each call takes effect at once. It is not part of the transaction of the request: it
stays when the request fails. What must not, belongs into a model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from redis.exceptions import LockNotOwnedError
from redis.lock import Lock

from myapp.core.errors.problem import Problem
from myapp.core.schema.json_out import dumps
from myapp.core.stores.redis.client import LuaScript, redis_store

# Seconds between two attempts to take a lock.
RETRY_EVERY = 0.05
PUSH = LuaScript("""
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
if ARGV[3] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return redis.call('LLEN', KEYS[1])
""")
# The time to live is set when the counter begins, so that it counts a span of time.
ADD_UP = LuaScript("""
local known = redis.call('EXISTS', KEYS[1])
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if known == 0 and ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count
""")


class RedisKeys:
    """The keys of one feature, which lie in one slot of a cluster.

    :param feature: its name; two features never share a key.
    """

    def __init__(self, feature: str) -> None:
        self.prefix = f"{{{feature}:keys}}:"

    def set(self, name: str, value: Any, seconds: float | None = None) -> None:
        """Keep a value.

        :param value: anything that can be written as JSON.
        :param seconds: how long; ``None`` for ever.
        """
        redis_store.set(self.prefix + name, dumps(value), px=milliseconds_of(seconds))

    def get(self, name: str, default: Any = None) -> Any:
        """A value as it comes back from JSON; the default when there is none, or it has
        expired."""
        found = redis_store.get(self.prefix + name)
        return default if found is None else orjson.loads(found)

    def get_each(self, *names: str) -> list[Any]:
        """Several values, in one call; ``None`` for each that there is not."""
        found = redis_store.mget([self.prefix + name for name in names])
        return [None if one is None else orjson.loads(one) for one in found]

    def get_and_set(self, name: str, value: Any, seconds: float | None = None) -> Any:
        """Keep a value, and return the one before; ``None`` when there was none. Of
        callers at once each gets the value of another one."""
        text, lifetime = dumps(value), milliseconds_of(seconds)
        found = redis_store.set(self.prefix + name, text, px=lifetime, get=True)
        return None if found is None else orjson.loads(found)

    def delete(self, name: str) -> bool:
        """Remove a value, a list or a counter; return whether there was one."""
        return bool(redis_store.delete(self.prefix + name))

    def push(
        self, name: str, value: Any, most: int, seconds: float | None = None
    ) -> int:
        """Put a value before the others of a list, and drop the oldest ones.

        :param most: how many values stay.
        :param seconds: how long the list stays after the last value.
        :returns: how many values there are now.
        """
        lifetime = milliseconds_of(seconds) or 0
        return int(PUSH([self.prefix + name], [dumps(value), most, lifetime]))

    def items(self, name: str, most: int = -1) -> list[Any]:
        """The values of a list, the newest one first.

        :param most: how many; all by default.
        """
        last = most - 1 if most >= 0 else -1
        found = redis_store.lrange(self.prefix + name, 0, last) if most else []
        return [orjson.loads(one) for one in found]

    def count(self, name: str, by: int = 1, seconds: float | None = None) -> int:
        """Add to a counter, which begins at 0; return what it is now.

        :param seconds: after which it begins again, from its first count on.
        """
        return int(ADD_UP([self.prefix + name], [by, milliseconds_of(seconds) or 0]))

    @contextmanager
    def lock(self, name: str, seconds: float, wait: float = 0.0) -> Iterator[Lock]:
        """Let one caller at a time run a block, on all machines.

        :param seconds: after which the lock is free again, also when its holder has
            died: longer than the block ever takes, or call ``extend`` of the lock.
        :param wait: seconds to wait for it.
        :raises Problem: 409 when another caller holds it; 503 at the end of a block
            that has taken longer than its lock, so that its writes are rolled back.
        """
        lock: Lock = redis_store.lock(
            self.prefix + name, timeout=seconds, sleep=RETRY_EVERY
        )
        if not lock.acquire(blocking=wait > 0, blocking_timeout=wait):
            headers = {"Retry-After": "1"}
            raise Problem("conflict", "Another request does this now.", headers=headers)
        try:
            yield lock
        except BaseException:
            release(lock)
            raise
        if not release(lock):
            raise Problem("unavailable", "This took longer than its lock.")


def release(lock: Lock) -> bool:
    """Give a lock back; return whether it was still held."""
    try:
        lock.release()
    except LockNotOwnedError:
        return False
    return True


def milliseconds_of(seconds: float | None) -> int | None:
    """Seconds as whole milliseconds, one at least.

    :raises ValueError: when they are not above 0.
    """
    if seconds is None:
        return None
    if seconds <= 0:
        raise ValueError("a time to live is above 0")
    return max(round(seconds * 1000), 1)
