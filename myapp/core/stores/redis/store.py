"""What Redis registers as a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from myapp.core.errors.startup import ConfigError
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.faults import is_redis_unavailable
from myapp.core.stores.redis.server import ensure_redis
from myapp.core.stores.state import request_state
from myapp.core.stores.store import Store, check_instance_folder, read_url

SCHEMES = ("redis", "rediss", "unix")


class RedisStore(Store):
    """A Redis server: the one that is named, or one of our own."""

    name = component = "redis"
    setting = "REDIS_URL"
    errors = (RedisError,)
    scaffold = "myapp.core.stores.redis.scaffold:RedisScaffold"
    fixture = "myapp.core.stores.redis.fixture:RedisFixture"

    def check_config(self, app: Flask) -> None:
        """A URL of Redis, or else a folder for a server of our own."""
        if not app.config[self.setting]:
            check_instance_folder(app)
        elif read_url(app, self.setting).drivername not in SCHEMES:
            raise ConfigError(f"{self.setting} is none of {', '.join(SCHEMES)}")

    def init_app(self, app: Flask) -> None:
        """Start our own server if none is named, and make the client."""
        if not app.config[self.setting]:
            app.config[self.setting] = ensure_redis(Path(app.instance_path))
        timeout = app.config["REDIS_TIMEOUT"]
        redis_store.init_app(
            app,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # A script that was sent may have run although its reply is lost, so the
            # client must not send it again.
            retry=Retry(NoBackoff(), 0),
        )

    def commit(self) -> bool:
        """Run the script of each model that was written."""
        state = request_state()
        units, state.units = state.units, {}
        for unit in units.values():
            unit.commit()
        return bool(units)

    def rollback(self) -> None:
        """Drop what was collected."""
        request_state().units.clear()

    def ping(self) -> object:
        """PING."""
        return redis_store.ping()

    def is_unavailable(self, error: Exception) -> bool:
        """By the class of the error, or its first word."""
        return is_redis_unavailable(error)

    def shell_names(self) -> Mapping[str, Any]:
        """``redis_store``, the client."""
        return {"redis_store": redis_store}
