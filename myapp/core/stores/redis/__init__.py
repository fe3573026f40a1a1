"""Models in Redis; ``redis_store`` is the client of this application."""

from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.model import RedisModel

__all__ = ["RedisModel", "redis_store"]
