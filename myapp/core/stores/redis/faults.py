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
    # Redirected too often, while the slots of a cluster move.
    redis.exceptions.ClusterError,
)
# Redis marks these errors only by their first word. Redis 6 puts that word inside the
# text when the error occurs in a script. A key that is not local belongs to a slot that
# moves to another node of the cluster.
STATES = re.compile(
    r"(MISCONF|BUSY|MASTERDOWN) |(ERR )?Error running script .*-(OOM|READONLY|MISCONF) "
    r"|.*[Ss]cript attempted to access a non local key"
)


def is_redis_unavailable(error: Exception) -> bool:
    """Whether the server is down, full, read-only, loading or busy, or no node of the
    cluster can be reached."""
    if isinstance(error, redis.exceptions.RedisClusterException):
        is_lost = isinstance(error, redis.exceptions.SlotNotCoveredError)
        return is_lost or isinstance(error.__cause__, redis.RedisError)
    if not isinstance(error, redis.RedisError):
        return False
    return isinstance(error, ERRORS) or STATES.match(str(error)) is not None
