"""Models and small things in Redis; ``redis_store`` is the client of the app, a
``LuaScript`` runs on its server, and a ``Limiter`` counts how often something happens.
"""

from myapp.core.stores.redis.client import LuaScript, redis_store
from myapp.core.stores.redis.keys import RedisKeys
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.redis.rate import Limiter, Rate, Taken, parse_rate

__all__ = [
    "Limiter",
    "LuaScript",
    "Rate",
    "RedisKeys",
    "RedisModel",
    "Taken",
    "parse_rate",
    "redis_store",
]
