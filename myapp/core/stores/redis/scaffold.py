"""What ``flask new-feature`` writes for a model in Redis."""

from myapp.core.scaffold.store import StoreScaffold
from myapp.core.stores.redis.model import RedisModel


class RedisScaffold(StoreScaffold):
    """A class without columns: a record is one JSON value."""

    title = "Redis"
    base = RedisModel
    module = "myapp.core.stores.redis"
    place = 'name = "{one}"'
