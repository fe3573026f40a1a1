"""The Redis client of an application, and scripts that run on its server."""

import hashlib
from collections.abc import Sequence
from typing import Any

from flask import Flask, current_app
from flask_redis import FlaskRedis
from redis.exceptions import NoScriptError


class RedisClient(FlaskRedis):  # type: ignore[misc]  # flask-redis has no types
    """flask-redis with one client for each application."""

    def init_app(self, app: Flask, **kwargs: Any) -> None:
        """Make the client of this application; it connects at its first command."""
        super().init_app(app, **kwargs)
        app.extensions["redis"] = self._redis_client

    def __getattr__(self, name: str) -> Any:
        return getattr(current_app.extensions["redis"], name)


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
