"""Which errors of Redis come from its state."""

import re

import redis

ERRORS = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
)
# Redis tells these by the first word alone, and Redis 6 by a word inside when the
# error is met in a script.
STATES = re.compile(
    r"(MISCONF|BUSY|MASTERDOWN) |(ERR )?Error running script .*-(OOM|READONLY|MISCONF) "
)


def is_redis_unavailable(error: Exception) -> bool:
    """Whether the server is down, full, read-only, loading or busy."""
    if not isinstance(error, redis.RedisError):
        return False
    return isinstance(error, ERRORS) or STATES.match(str(error)) is not None
