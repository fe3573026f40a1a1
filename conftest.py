"""Fixtures for every test in the tree. The stores are real, and made by the run.

A test that asks for ``client`` or ``app`` runs once on each database, inside a
transaction that is rolled back, on a Redis that is flushed. One that needs commits
or threads asks for ``own_app`` and gets a database of its own.
"""

import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from myapp import create_app
from myapp.core.app import App
from myapp.core.db import redis_store, sql
from myapp.core.embedded import ensure_redis

pytest.register_assert_rewrite("myapp.core.testing")

from myapp.core.testing import (  # noqa: E402  its asserts are to be rewritten
    Client,
    drop_database,
    make_database,
    migrate_database,
    roll_back_after,
)

SQLITE = "sqlite"
DATABASES = [SQLITE, *os.environ.get("TEST_DATABASE_URLS", "").split()]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOOPBACK = ("127.", "::1", "localhost")


def refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    """Let no test talk to another machine."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if not str(arguments[1][0]).startswith(LOOPBACK):
            raise RuntimeError(f"a test tried to reach {arguments[1]}")


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, the settings of this shell do not count, and the network
    ends at this machine."""
    config.addinivalue_line("filterwarnings", "error")
    config.addinivalue_line("markers", "external: run when TEST_EXTERNAL is set")
    for name in [name for name in os.environ if name.startswith("MYAPP_")]:
        del os.environ[name]
    sys.addaudithook(refuse_outside)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out the tests that need a browser, Node.js or much time, unless
    ``TEST_EXTERNAL`` asks for them; then they fail where something is missing."""
    if "TEST_EXTERNAL" not in os.environ:
        left = [item for item in items if item.get_closest_marker("external")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def engine_of(url: str) -> str:
    """The name of a test database's engine, for the ids of the tests."""
    return url.partition(":")[0].partition("+")[0]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Redis for this run alone: one of its own, or an empty database of the server
    that ``TEST_REDIS_URL`` names, or one of those before it when several processes
    share the tests."""
    url = os.environ.get("TEST_REDIS_URL")
    if not url:
        return ensure_redis(tmp_path_factory.mktemp("redis"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    url = re.sub(r"[0-9]+\Z", lambda last: str(int(last[0]) - worker), url)
    client = redis.Redis.from_url(url)
    if client.dbsize():
        pytest.exit("TEST_REDIS_URL names a database that is not empty", returncode=2)
    client.close()
    return url


@pytest.fixture(scope="session", params=DATABASES, ids=engine_of)
def database_server(request: pytest.FixtureRequest) -> str:
    """Each engine in turn: ``sqlite``, or the URL of a server."""
    return str(request.param)


@pytest.fixture(scope="session")
def migrated_app(
    database_server: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """The application on a new, migrated database."""
    folder = tmp_path_factory.mktemp("instance")
    yield from build_app(database_server, redis_url, folder)


def build_app(server: str, redis_url: str, folder: Path) -> Iterator[App]:
    """An application on a database that is made by the migrations, and dropped."""
    database = make_database(server, folder)
    try:
        app = create_app({"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis_url})
        app.test_client_class = Client
        migrate_database(app)
        yield app
        with app.app_context():
            sql.engine.dispose()
        app.extensions["redis"].close()
    finally:
        drop_database(server, database)


@pytest.fixture
def app(migrated_app: App) -> Iterator[App]:
    """The application; what a test writes is rolled back and flushed."""
    with roll_back_after(migrated_app):
        yield migrated_app
    with migrated_app.app_context():
        redis_store.flushdb()


@pytest.fixture
def client(app: App) -> Any:
    """A client that asserts the status, and each response against its schema."""
    return app.test_client()


@pytest.fixture
def own_app(database_server: str, redis_url: str, tmp_path: Path) -> Iterator[App]:
    """An application on a database of this test's own, where commits are real."""
    for app in build_app(database_server, redis_url, tmp_path):
        yield app
        with app.app_context():
            redis_store.flushdb()


@pytest.fixture
def live_server(own_app: App) -> Iterator[str]:
    """The URL of a server that answers as this application, in another thread."""
    server = make_server("127.0.0.1", 0, own_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium, the one that the system has."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "these tests need Chromium; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
