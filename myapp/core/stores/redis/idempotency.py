"""Kept responses in Redis, in the same slot as the model's records."""

from typing import Any

import orjson

from myapp.core.model.idempotency_store import KeptResponse, RequestKey
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.unit import unit_of


class RedisResponses:
    """Keeps responses together with the writes of the request: the script that makes
    them lets one request with a key commit.

    :param model: the model of the route.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def find(self, key: RequestKey) -> KeptResponse | None:
        """Read the response; Redis deletes it when its time is over."""
        found = redis_store.get(self.model.home_of(key) + name_of(key))
        return None if found is None else KeptResponse(**orjson.loads(found))

    def keep(self, key: RequestKey, response: KeptResponse, life: float) -> None:
        """Give the response to the unit; its script refuses a key that exists."""
        value, unit = orjson.dumps(response), unit_of(self.model.home_of(key))
        unit.keep_response(name_of(key), value, int(life * 1000))


def name_of(key: RequestKey) -> str:
    """The name of a response in Redis, without the prefix of its model."""
    return f"idempotency:{key.id}"
