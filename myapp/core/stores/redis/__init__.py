"""Models and small things in Redis; ``redis_store`` is the client of the app."""

from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.keys import RedisKeys
from myapp.core.stores.redis.model import RedisModel

__all__ = ["RedisKeys", "RedisModel", "redis_store"]
