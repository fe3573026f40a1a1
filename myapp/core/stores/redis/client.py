"""The Redis client of an application, and scripts that run on its server."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from flask import Flask, current_app
from flask_redis import FlaskRedis
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import NoScriptError

from myapp.core.stores.observer import Observer
from myapp.core.stores.redis.cluster import LazyCluster, is_cluster


class RedisClient(FlaskRedis):  # type: ignore[misc]  # flask-redis has no types
    """flask-redis with one client for each application, also for a cluster."""

    def init_app(
        self, app: Flask, observer: Observer | None = None, **kwargs: Any
    ) -> None:
        """Make the client of this application; it connects at its first command.

        :param observer: is told of each command.
        """
        in_cluster = is_cluster(app.config["REDIS_URL"])
        self.provider_class = LazyCluster if in_cluster else Redis
        if observer is not None and in_cluster:
            kwargs["client_class"] = observed(RedisCluster, observer)
        elif observer is not None:
            self.provider_class = observed(Redis, observer)
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


def observed(client: type, observer: Observer) -> Any:
    """A class of clients that tells an observer how long each command takes."""

    class Observed(client):  # type: ignore[misc]  # the class is computed
        def execute_command(self, *args: Any, **options: Any) -> Any:
            """Run a command."""
            start = time.perf_counter()
            try:
                return super().execute_command(*args, **options)
            finally:
                observer.command(time.perf_counter() - start)

    return Observed


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
