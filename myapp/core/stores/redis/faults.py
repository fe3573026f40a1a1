"""Recognises the errors of Redis that come from the state of the server."""

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
# Redis marks these errors only by their first word. Redis 6 puts that word inside the
# text when the error occurs in a script.
STATES = re.compile(
    r"(MISCONF|BUSY|MASTERDOWN) |(ERR )?Error running script .*-(OOM|READONLY|MISCONF) "
)


def is_redis_unavailable(error: Exception) -> bool:
    """Whether the server is down, full, read-only, loading or busy."""
    if not isinstance(error, redis.RedisError):
        return False
    return isinstance(error, ERRORS) or STATES.match(str(error)) is not None
