"""Tells the scheduler that there are jobs, so that it need not wait for its next look.

A hint may be lost: then a job starts a fraction of a second later.
"""

import time

from flask import current_app

from myapp.core.stores.redis.client import LuaScript, redis_store
from myapp.core.stores.redis.keys import RedisKeys
from myapp.core.stores.redis.store import RedisStore

# The list that the scheduler waits at; one entry is enough.
HINTS = RedisKeys("core").prefix + "hints"
TELL = LuaScript("""
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('LPUSH', KEYS[1], 1) end
return 0
""")
# Seconds without hints after one that has failed, so that requests do not wait for a
# Redis that does not answer.
SILENCE = 5.0


def tell() -> None:
    """Tell that a job was committed."""
    extensions = current_app.extensions
    if time.monotonic() < extensions.get("silent_until", 0.0):
        return
    try:
        TELL([HINTS], [])
    except RedisStore.errors:
        extensions["silent_until"] = time.monotonic() + SILENCE


def wait(seconds: float) -> None:
    """Wait for a hint, at most so long."""
    # The client waits no longer than REDIS_TIMEOUT for a reply.
    longest = min(seconds, current_app.config["REDIS_TIMEOUT"] / 2)
    try:
        redis_store.blpop([HINTS], timeout=longest)
    except RedisStore.errors:
        time.sleep(seconds)
