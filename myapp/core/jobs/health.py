"""What health checks tell of jobs: whether a scheduler runs, and how old the queue is.

The scheduler says in Redis that it runs, and whether it reaches the broker; so the
processes that serve requests need no connection to the broker.
"""

import time
from typing import Any

from myapp.core.jobs.queue import queue_age
from myapp.core.stores.redis.keys import RedisKeys
from myapp.core.stores.redis.store import RedisStore
from myapp.core.stores.sql.store import SqlStore

# Seconds after which a scheduler that has said nothing is taken to be gone.
GONE_AFTER = 15.0
SCHEDULER = "scheduler"

_keys = RedisKeys("core")


def tell_of_scheduler(fault: str) -> None:
    """Say that a scheduler runs.

    :param fault: what it cannot reach; empty when it reaches everything.
    """
    try:
        _keys.set(SCHEDULER, {"fault": fault}, GONE_AFTER)
    except RedisStore.errors:
        # The health check says so: it finds nothing.
        return


def check_jobs() -> dict[str, Any]:
    """Whether jobs are started.

    :returns: ``ok``, the milliseconds of this check, the ``queue_age`` in seconds if it
        is known, and the reason where jobs are not started.
    """
    start = time.perf_counter()
    found: dict[str, Any] = {}
    warning = None
    try:
        found["queue_age"] = round(queue_age(), 3)
        told = _keys.get(SCHEDULER)
        if told is None:
            warning = "No scheduler runs, so jobs wait."
        elif told["fault"]:
            warning = f"The scheduler cannot reach {told['fault']}, so jobs wait."
    except (*SqlStore.errors, *RedisStore.errors):
        warning = "The queue cannot be read."
    if warning is not None:
        found["warning"] = warning
    duration = round((time.perf_counter() - start) * 1000, 3)
    return {"ok": warning is None, "ms": duration, **found}
