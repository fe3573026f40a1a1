"""Clients and consents that are over, for tokens that no table holds: encrypted ones.

A mark in Redis is kept as long as a token lives that was made before.
"""

from flask import current_app

from myapp.core.jobs import job
from myapp.core.stores import after_commit
from myapp.core.stores.redis import RedisKeys

keys = RedisKeys("oauth")


@job
def mark_ended(id: str) -> None:
    """Mark a client or a consent that is over."""
    keys.set(f"ended:{id}", True, seconds=current_app.config["OAUTH_ACCESS_LIFETIME"])


def end_sealed(id: str) -> None:
    """End the encrypted tokens of a client or a consent after the commit of this
    request; the job does it when this process dies before that."""
    after_commit(lambda: mark_ended(id))
    mark_ended.later(id)


def is_ended(*ids: str) -> bool:
    """Whether one of these clients and consents is over."""
    return any(keys.get_each(*(f"ended:{id}" for id in ids)))
