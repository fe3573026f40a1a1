"""Redis for the tests: a server of the test run, a cluster of the test process, or an
empty database elsewhere.
"""

import os
from pathlib import Path

import redis
from flask import Flask

from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.cluster import LazyCluster, is_cluster
from myapp.core.stores.redis.nodes import Nodes
from myapp.core.stores.redis.server import ensure_redis
from myapp.core.testing.fixture import Settings, StoreFixture


class RedisFixture(StoreFixture):
    """One database that is flushed after each test."""

    servers = [""]

    def __init__(self) -> None:
        self._url = ""
        self._nodes: Nodes | None = None

    def start(self, server: str, folder: Path) -> str:
        """A server of the test run, or the server in ``TEST_REDIS_URL``; when this is
        ``cluster``, a cluster of the test process.

        A test process uses the first empty database, from the one in that URL down.

        :raises RuntimeError: when each of them holds keys, which a test would remove.
        """
        if not self._url:
            url = os.environ.get("TEST_REDIS_URL")
            if url == "cluster":
                self._nodes = Nodes(folder)
                self._nodes.start()
                self._url = self._nodes.url
            else:
                self._url = empty_database(url) if url else ensure_redis(folder)
        return self._url

    def stop(self) -> None:
        """End the cluster."""
        if self._nodes is not None:
            self._nodes.stop()

    def make(self, server: str, folder: Path) -> Settings:
        """The same database for every application."""
        return {"REDIS_URL": server}

    def drop(self, server: str, settings: Settings) -> None:
        """Flush the database, so that the next test run finds it empty."""
        flush(server)

    def clean(self, app: Flask) -> None:
        """Flush the database."""
        with app.app_context():
            redis_store.flushdb()


def flush(url: str) -> None:
    """Remove every key of a server or a cluster."""
    client = (LazyCluster if is_cluster(url) else redis.Redis).from_url(url)
    client.flushdb()
    client.close()


def empty_database(url: str) -> str:
    """Choose the database of this test process.

    :param url: a server, and the highest number of a database that may be used.
    :returns: the URL with the number of an empty database.
    :raises RuntimeError: when there is none.
    """
    base, _, highest = url.rpartition("/")
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    # Each process has numbers of its own, so two never choose the same database.
    for number in range(int(highest) - worker, -1, -workers):
        with redis.Redis.from_url(f"{base}/{number}") as client:
            if not client.dbsize():
                return f"{base}/{number}"
    raise RuntimeError("TEST_REDIS_URL: no database up to this number is empty")
