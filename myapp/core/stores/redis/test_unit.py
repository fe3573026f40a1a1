"""The keys of a model in Redis: what is kept of a record in the indexes."""

import json
from typing import Any

import pytest

from myapp.core.http.app import App
from myapp.core.stores.redis.client import redis_store
from myapp.core.testing.planted import TICKETS, PlantedTicket, plant

PREFIX = PlantedTicket.prefix()


@pytest.mark.parametrize("is_old", [False, True])
def test_a_record_has_one_place_in_an_index(own_app: App, is_old: bool) -> None:
    """Also one that was written when the entries held the whole members."""
    client: Any = plant(own_app).test_client()
    id = client.post(TICKETS, json={"text": "one"}).json["id"]
    with own_app.app_context():
        (entry,) = redis_store.hvals(f"{PREFIX}entries")
        assert id not in entry.decode()
        if is_old:
            members = redis_store.zrange(f"{PREFIX}by:updated_at", 0, -1)
            old = json.dumps({"updated_at": members[0].decode()})
            redis_store.hset(f"{PREFIX}entries", id, old)
        client.patch(f"{TICKETS}{id}", json={"text": "two"})
        assert redis_store.zcard(f"{PREFIX}by:updated_at") == 1
        client.delete(f"{TICKETS}{id}")
        left = [key for key in redis_store.keys() if key.startswith(PREFIX.encode())]
        assert left == []
