"""What health checks and metrics tell of jobs: whether a scheduler runs, how old the
queue is, and how many jobs there are.

The scheduler says in Redis that it runs, and whether it reaches the broker; so the
processes that serve requests need no connection to the broker.
"""

import time
from typing import Any

from sqlalchemy import func, select

from myapp.core.jobs.queue import c, now
from myapp.core.jobs.table import FAILED, QUEUED, RUNNING
from myapp.core.stores.redis.keys import RedisKeys
from myapp.core.stores.redis.store import RedisStore
from myapp.core.stores.sql.engine import rows
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


def counts() -> dict[str, int]:
    """How many jobs are queued, running and failed."""
    seen = (QUEUED, RUNNING, FAILED)
    counted = select(c.state, func.count()).where(c.state.in_(seen)).group_by(c.state)
    return {state: 0 for state in seen} | {row[0]: row[1] for row in rows(counted)}


def queue_age() -> float:
    """How many seconds the oldest job that is due has waited; 0 without one."""
    moment = now()
    oldest = select(func.min(c.due_at)).where(c.state == QUEUED, c.due_at <= moment)
    found = rows(oldest)[0][0]
    return 0.0 if found is None else max(0.0, (moment - found).total_seconds())
