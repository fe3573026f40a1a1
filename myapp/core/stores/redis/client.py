"""The Redis client of an application, and scripts that run on its server."""

import hashlib
from collections.abc import Sequence
from typing import Any

from flask import Flask, current_app
from flask_redis import FlaskRedis
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import NoScriptError

from myapp.core.stores.redis.cluster import LazyCluster, is_cluster


class RedisClient(FlaskRedis):  # type: ignore[misc]  # flask-redis has no types
    """flask-redis with one client for each application, also for a cluster."""

    def init_app(self, app: Flask, **kwargs: Any) -> None:
        """Make the client of this application; it connects at its first command."""
        in_cluster = is_cluster(app.config["REDIS_URL"])
        self.provider_class = LazyCluster if in_cluster else Redis
        super().init_app(app, **kwargs)
        app.extensions["redis"] = self._redis_client

    def __getattr__(self, name: str) -> Any:
        return getattr(current_app.extensions["redis"], name)

    @property
    def in_cluster(self) -> bool:
        """Whether this application uses a cluster."""
        return isinstance(current_app.extensions["redis"], LazyCluster)

    def on_each_server(self, command: str, *args: Any) -> list[Any]:
        """What a command answers on the server, or on each primary of the cluster."""
        run = getattr(self, command)
        if not self.in_cluster:
            return [run(*args)]
        found = run(*args, target_nodes=RedisCluster.PRIMARIES)
        return list(found.values()) if isinstance(found, dict) else [found]


class LuaScript:
    """A script that runs on the Redis server, atomically.

    :param text: Lua, with KEYS and ARGV.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run it by its digest; send the text when the server does not have it."""
        try:
            return redis_store.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return redis_store.eval(self.text, len(keys), *keys, *args)


redis_store = RedisClient()
