"""The Redis store: the part of Redis in each application and each request."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
import uuid_utils
from flask import Flask
from redis import RedisError
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import NoPermissionError, RedisClusterException
from redis.retry import Retry

from myapp.core.errors.startup import ConfigError
from myapp.core.schema.json_out import dumps
from myapp.core.stores.observer import Observer
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.cluster import is_cluster, urls_of_nodes
from myapp.core.stores.redis.faults import is_redis_unavailable
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.redis.scripts import CLEAN, COMMIT, PROMISE, WITHDRAW
from myapp.core.stores.redis.server import ensure_redis
from myapp.core.stores.redis.unit import Writes, writes_of
from myapp.core.stores.state import RequestState
from myapp.core.stores.store import (
    Promise,
    Store,
    check_data_folder,
    data_folder,
    read_url,
)

log = logging.getLogger(__name__)

# Seconds in which a request that has promised its writes must make them, or have
# failed; longer than a request may take (harakiri in myapp.ini).
CLAIMED = 30.0
# Seconds in which nobody makes the writes of a promise a second time.
MARKED = 24 * 3600.0

SCHEMES = ("redis", "rediss", "unix")
CLUSTER_SCHEMES = ("redis", "rediss")


class RedisStore(Store):
    """A Redis server or cluster: the configured one, or a server that the application
    starts."""

    name = component = "redis"
    setting = "REDIS_URL"
    errors = (RedisError, RedisClusterException)
    scaffold = "myapp.core.stores.redis.scaffold:RedisScaffold"
    backup = "myapp.core.stores.redis.backup:RedisBackup"
    instrumentor = "opentelemetry.instrumentation.redis:RedisInstrumentor"
    fixture = "myapp.core.stores.redis.fixture:RedisFixture"

    def check_config(self, app: Flask) -> None:
        """Check the URL, or the folder of the server that the application starts."""
        url = app.config[self.setting]
        if not url:
            check_data_folder(app)
            return
        in_cluster = is_cluster(url)
        for node in urls_of_nodes(url) if in_cluster else [url]:
            one = read_url(app, self.setting, node)
            if in_cluster and (one.drivername not in CLUSTER_SCHEMES or not one.host):
                raise ConfigError(
                    f"{self.setting}: a cluster is written as "
                    "redis+cluster://host:port,host:port"
                )
            if one.drivername not in SCHEMES or one.port == 0:
                raise ConfigError(f"{self.setting} is not a {'/'.join(SCHEMES)} URL")
            try:
                options = parse_url(node)  # type: ignore[no-untyped-call]
            except ValueError as error:
                raise ConfigError(f"{self.setting} is not a URL of Redis") from error
            if in_cluster and options.get("db"):
                raise ConfigError(f"{self.setting}: a cluster has database 0 alone")

    def init_app(self, app: Flask, observer: Observer | None = None) -> None:
        """Start a server if no URL is configured, and make the client."""
        is_own = not app.config[self.setting]
        if is_own:
            app.config[self.setting] = ensure_redis(data_folder(app))
        timeout = app.config["REDIS_TIMEOUT"]
        redis_store.init_app(
            app,
            observer,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # The client must not repeat a script: it may have run although its reply
            # was lost.
            retry=Retry(NoBackoff(), 0),
        )
        if not is_own:
            with app.app_context(), suppress(*self.errors):
                self.check_kind()
                warning = self.warning()
                if warning is not None:
                    log.warning(warning)

    def check_kind(self) -> None:
        """Make sure that the URL of a cluster, and no other, names a cluster, and that
        the client takes its options.

        :raises ConfigError: when it does not.
        """
        try:
            found, *_ = redis_store.on_each_server("info", "cluster")
        except (TypeError, ValueError, RedisClusterException) as error:
            if "Cluster mode is not enabled" in str(error):
                said = "this server is not part of a cluster; write redis:// for it"
            elif isinstance(error.__cause__ or error, (TypeError, ValueError)):
                said = "it has a host or an option that does not work"
            else:
                raise
            raise ConfigError(f"{self.setting}: {said}") from error
        if found.get("cluster_enabled") and not redis_store.in_cluster:
            raise ConfigError(
                f"{self.setting}: this server is part of a cluster; "
                "write redis+cluster:// for it"
            )

    def promise(self, state: RequestState) -> Promise | None:
        """Check the collected writes, and claim the records."""
        if not state.units:
            return None
        writes = writes_of(state.units.values(), str(uuid_utils.uuid7()))
        writes.run(PROMISE, CLAIMED)
        state.promised = writes
        return Promise(writes.id, self.name, dumps(list(writes)))

    def keep_promise(self, promise: Promise) -> None:
        """Run the script that makes the writes, which does so once."""
        prefixes, operations, kept, id = orjson.loads(promise.payload)
        Writes(prefixes, operations, kept, id).run(COMMIT, MARKED)

    def commit(self, state: RequestState) -> bool:
        """Run the script that makes the writes."""
        if not state.units:
            return False
        units, state.units = state.units, {}
        writes, state.promised = state.promised, None
        (writes or writes_of(units.values())).run(COMMIT, MARKED)
        return True

    def rollback(self, state: RequestState) -> None:
        """Discard the collected writes, and give up their promise."""
        state.units.clear()
        writes, state.promised = state.promised, None
        if writes is not None:
            # Otherwise it ends by itself.
            with suppress(*self.errors):
                writes.run(WITHDRAW)

    def clean(self) -> None:
        """Remove the records that have expired from the indexes of each model."""
        models = RedisModel.__subclasses__()
        while models:
            model = models.pop()
            models += model.__subclasses__()
            for prefix in model.prefixes() if hasattr(model, "name") else ():
                while CLEAN([prefix], []):
                    pass

    def ping(self) -> object:
        """Run ``PING``, on each primary of a cluster."""
        return redis_store.on_each_server("ping")

    def warning(self) -> str | None:
        """Whether the server may evict records when its memory is full."""
        try:
            found = redis_store.on_each_server("info", "memory")
        except NoPermissionError:
            return None
        for memory in found:
            policy = memory.get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                return (
                    f"Redis may delete records when its memory is full "
                    f"(maxmemory-policy is {policy}); use noeviction."
                )
        return None

    def is_unavailable(self, error: Exception) -> bool:
        """Whether the server is unavailable, by the class or the text of the error."""
        return is_redis_unavailable(error)

    def close(self) -> None:
        """Close the connections of the client."""
        redis_store.close()

    def shell_names(self) -> Mapping[str, Any]:
        """``redis_store``, the client."""
        return {"redis_store": redis_store}
