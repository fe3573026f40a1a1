"""Kept responses in Redis, in the same slot as the model's records."""

from typing import Any

import orjson

from myapp.core.model.idempotency_store import KeptResponse, RequestKey
from myapp.core.stores.redis.client import redis_store


class RedisResponses:
    """Keeps responses together with the writes of the request: the script that makes
    them lets one request with a key commit.

    :param model: the model of the route.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def name(self, key: RequestKey) -> str:
        """The name of a response in Redis, without the prefix of its model."""
        return f"idempotency:{key.id}"

    def find(self, key: RequestKey) -> KeptResponse | None:
        """Read the response; Redis deletes it when its time is over."""
        found = redis_store.get(self.model.prefix() + self.name(key))
        return None if found is None else KeptResponse(**orjson.loads(found))

    def keep(self, key: RequestKey, response: KeptResponse, life: float) -> None:
        """Give the response to the unit; its script refuses a key that exists."""
        value = orjson.dumps(response)
        self.model.unit().keep_response(self.name(key), value, int(life * 1000))
