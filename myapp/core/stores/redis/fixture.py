"""Redis for the tests: the server of the test run, or an empty database elsewhere."""

import os
import re
from pathlib import Path

import redis
from flask import Flask

from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.server import ensure_redis
from myapp.core.testing.fixture import Settings, StoreFixture


class RedisFixture(StoreFixture):
    """One database that is flushed after each test."""

    servers = [""]

    def __init__(self) -> None:
        self._url = ""

    def start(self, server: str, folder: Path) -> str:
        """A server of the test run, or the server in ``TEST_REDIS_URL``.

        The database in that URL must be empty; each further test process uses a
        database with a lower number.

        :raises RuntimeError: when the database is not empty.
        """
        if self._url:
            return self._url
        url = os.environ.get("TEST_REDIS_URL")
        if not url:
            self._url = ensure_redis(folder)
            return self._url
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        url = re.sub(r"[0-9]+\Z", lambda last: str(int(last[0]) - worker), url)
        client = redis.Redis.from_url(url)
        if client.dbsize():
            raise RuntimeError("TEST_REDIS_URL names a database that is not empty")
        client.close()
        self._url = url
        return url

    def make(self, server: str, folder: Path) -> Settings:
        """The same database for every application."""
        return {"REDIS_URL": server}

    def close(self, app: Flask) -> None:
        """Close the connections of the client."""
        app.extensions["redis"].close()

    def clean(self, app: Flask) -> None:
        """Flush the database."""
        with app.app_context():
            redis_store.flushdb()
