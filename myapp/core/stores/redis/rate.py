"""Limits of how often something happens, counted in Redis by the generic cell rate
algorithm (ITU-T I.371, annex A): one key and one script call for each count.

Of any span of ``seconds`` that begins without earlier counts, ``most`` are taken; then
one more each ``seconds / most``. The clock is that of the Redis server.
"""

import math
import re
from typing import NamedTuple

from myapp.core.stores.redis.client import LuaScript

RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", re.ASCII)
# KEYS: one for each limit. ARGV: of each the milliseconds between two counts and the
# milliseconds that may be taken in advance. Nothing is counted when one limit refuses.
COUNT_ONCE = LuaScript("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found, next_times = {}, {}
for i, key in ipairs(KEYS) do
    local step, span = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local next_time = math.max(tonumber(redis.call('GET', key) or 0), now) + step
    if next_time - now > span then
        return {i, math.ceil(next_time - span - now)}
    end
    next_times[i] = next_time
    found[i] = math.floor((span - (next_time - now)) / step + 0.0001)
end
for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.3f', next_times[i]), 'PX',
        math.ceil(next_times[i] - now))
end
return {0, found[1], math.ceil(next_times[1] - now)}
""")
UNDO_COUNT = LuaScript("""
for i, key in ipairs(KEYS) do
    local known = redis.call('GET', key)
    if known then
        redis.call('SET', key, string.format('%.3f', known - ARGV[2 * i - 1]),
            'KEEPTTL')
    end
end
return 1
""")


class Rate(NamedTuple):
    """How often something may happen.

    :param most: how many times.
    :param seconds: in so many seconds.
    """

    most: int
    seconds: int


class Taken(NamedTuple):
    """What became of a count.

    :param refused: the index of the limit that has refused it; -1 when none has.
    :param left: how many more the first limit takes now.
    :param wait: seconds until the limit takes the next one, or is as at its beginning.
    """

    refused: int
    left: int
    wait: int


def parse_rate(text: str) -> Rate:
    """A rate from its text, such as ``10/300``: ten times in 300 seconds.

    :raises ValueError: when it is no rate.
    """
    match = RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no rate; 10/300 is ten times in 300 seconds")
    return Rate(int(match[1]), int(match[2]))


class Limiter:
    """Limits whose keys lie in one slot of a cluster.

    :param name: of what is limited; two limiters never share a key.
    """

    def __init__(self, name: str) -> None:
        self.prefix = f"{{rate:{name}}}:"

    def take(self, limits: dict[str, Rate]) -> Taken:
        """Count once in each limit, or in none when one refuses.

        :param limits: the rate of each key.
        """
        keys, values = self._script_arguments(limits)
        refused, first, *rest = COUNT_ONCE(keys, values)
        if refused:
            return Taken(refused - 1, 0, math.ceil(first / 1000))
        return Taken(-1, first, math.ceil(rest[0] / 1000))

    def give_back(self, limits: dict[str, Rate]) -> None:
        """Undo one count in each limit."""
        UNDO_COUNT(*self._script_arguments(limits))

    def _script_arguments(self, limits: dict[str, Rate]) -> tuple[list[str], list[str]]:
        values: list[str] = []
        for rate in limits.values():
            step = rate.seconds * 1000 / rate.most
            values += [f"{step:.3f}", str(rate.seconds * 1000)]
        return [self.prefix + key for key in limits], values
