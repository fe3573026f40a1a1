"""Kept responses in Redis, in the same slot as the model's records."""

from typing import Any

import orjson

from myapp.core.model.idempotency_store import Claim, KeptResponse
from myapp.core.stores.redis.client import LuaScript, redis_store

# KEYS[1]: a kept response. ARGV[1]: its owner.
RELEASE = LuaScript("""
local kept = redis.call('GET', KEYS[1])
if kept and cjson.decode(kept).owner == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
""")


class RedisResponses:
    """Keeps responses together with the writes of the request.

    :param model: the model of the route.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def key(self, claim: Claim) -> str:
        """The key of a response, without the prefix of its model."""
        return f"idempotency:{claim.id}"

    def claim(self, claim: Claim, lease: float) -> KeptResponse | None:
        """Set the key unless it exists; Redis deletes it at the end of the lease."""
        key = self.model.prefix() + self.key(claim)
        value = orjson.dumps({"fingerprint": claim.fingerprint, "owner": claim.owner})
        known = None
        while known is None:
            if redis_store.set(key, value, nx=True, px=int(lease * 1000)):
                return None
            # None, when the key has expired between the two commands.
            known = redis_store.get(key)
        kept = orjson.loads(known)
        kept.pop("owner")
        return KeptResponse(**kept)

    def keep(self, claim: Claim, response: KeptResponse, life: float) -> None:
        """Give the response to the unit; its script checks the owner."""
        value = orjson.dumps(
            {
                "fingerprint": response.fingerprint,
                "owner": claim.owner,
                "status": response.status,
                "headers": response.headers,
                "body": response.body,
            }
        )
        life_ms = int(life * 1000)
        self.model.unit().keep_response(self.key(claim), claim.owner, value, life_ms)

    def release(self, claim: Claim) -> None:
        """Delete the key if this request owns it."""
        RELEASE([self.model.prefix() + self.key(claim)], [claim.owner])
