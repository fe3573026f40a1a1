"""Fixtures for every test in the tree. The stores are real, and made by the test run.

A test that asks for ``client`` or ``app`` runs once on each database, inside a
transaction that is rolled back, on a Redis that is flushed. A test that needs commits
or threads asks for ``own_app`` and gets its own database.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from myapp import create_app
from myapp.core.http import App
from myapp.core.loading import import_when_used
from myapp.core.stores.store import close_stores
from myapp.core.wiring import STORES

pytest.register_assert_rewrite("myapp.core.testing", "myapp.core.stores.sql.fixture")

from myapp.core.testing import Client  # noqa: E402  its asserts are to be rewritten
from myapp.core.testing.server import Server  # noqa: E402

FIXTURES = {store.name: import_when_used(store.fixture)() for store in STORES}
# Each combination of servers, one of each store.
SERVERS = list(product(*(fixture.servers for fixture in FIXTURES.values())))
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NOT_COPIED = shutil.ignore_patterns(
    *("instance", "bench", ".git", ".venv", ".*_cache"),
    # Those of other processes, which come and go meanwhile.
    ".coverage.*",
)
LOOPBACK = ("127.", "::1", "localhost")


def refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse connections to other machines."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if not str(arguments[1][0]).startswith(LOOPBACK):
            raise RuntimeError(f"a test tried to reach {arguments[1]}")


def pytest_configure(config: pytest.Config) -> None:
    """Make warnings errors, ignore the settings of this shell, and refuse connections
    to other machines."""
    config.addinivalue_line("filterwarnings", "error")
    config.addinivalue_line("markers", "external: run when TEST_EXTERNAL is set")
    for name in [name for name in os.environ if name.startswith("MYAPP_")]:
        del os.environ[name]
    sys.addaudithook(refuse_outside)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Skip the tests that need a browser, Node.js or much time, unless
    ``TEST_EXTERNAL`` is set; then they fail if a tool is missing. Skip the contract of
    a model on all but one of the servers that it does not use."""
    external = [item for item in items if item.get_closest_marker("external")]
    left = [item for item in items if meets_another_server(item)]
    if "TEST_EXTERNAL" in os.environ:
        # They are the longest ones, so no process is left with one at the end.
        items.sort(key=lambda item: item not in external)
    else:
        left += external
    config.hook.pytest_deselected(items=left)
    gone = set(left)
    items[:] = [item for item in items if item not in gone]


def meets_another_server(item: pytest.Item) -> bool:
    """Whether a test of a model runs on another server than the first one of a store
    that is not the store of the model."""
    model = getattr(getattr(item, "cls", None), "model", None)
    chosen = getattr(item, "callspec", None) and item.callspec.params.get("servers")
    if model is None or not chosen:
        return False
    pairs = zip(FIXTURES.items(), chosen)
    return any(
        name != model.__store__ and server != fixture.servers[0]
        for (name, fixture), server in pairs
    )


def pytest_unconfigure() -> None:
    """End the servers of this test process."""
    for fixture in FIXTURES.values():
        fixture.stop()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Redis of this run."""
    fixture = FIXTURES["redis"]
    return str(fixture.start(*fixture.servers, tmp_path_factory.mktemp("redis")))


@pytest.fixture(
    scope="session",
    params=SERVERS,
    ids=["-".join(filter(None, servers)) for servers in SERVERS],
)
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """A running server of each store, in the order of the stores."""
    folder = tmp_path_factory.mktemp("servers")
    pairs = zip(FIXTURES.values(), request.param)
    try:
        return [str(fixture.start(server, folder)) for fixture, server in pairs]
    except RuntimeError as error:
        # No other test can pass, so the run ends, after this one has told why.
        request.session.shouldfail = str(error)
        raise


@pytest.fixture(scope="session")
def migrated_app(
    servers: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """The application on new, migrated databases."""
    yield from build_app(servers, tmp_path_factory.mktemp("instance"))


def build_app(servers: list[str], folder: Path) -> Iterator[App]:
    """An application on databases that are made by the migrations, and dropped."""
    with ExitStack() as stack:
        settings: dict[str, str] = {}
        for fixture, server in zip(FIXTURES.values(), servers):
            made = fixture.make(server, folder)
            stack.callback(fixture.drop, server, made)
            settings |= made
        app = create_app(settings)
        app.test_client_class = Client
        for fixture in FIXTURES.values():
            fixture.prepare(app)
        yield app
        close_stores(app)


def undone(app: App) -> Iterator[App]:
    """An application; what a test writes to its stores is undone."""
    with ExitStack() as stack:
        for fixture in FIXTURES.values():
            stack.enter_context(fixture.undone(app))
        yield app


@pytest.fixture
def app(migrated_app: App) -> Iterator[App]:
    """The application; the writes of a test are undone."""
    yield from undone(migrated_app)


@pytest.fixture
def client(app: App) -> Any:
    """A client that asserts the status and checks each response against its schema."""
    return app.test_client()


@pytest.fixture
def own_app(servers: list[str], tmp_path: Path) -> Iterator[App]:
    """An application on a database for this test alone, where commits are real."""
    yield from build_app(servers, tmp_path)


@pytest.fixture
def live_server(own_app: App) -> Iterator[str]:
    """The URL of a server of this application, in another thread."""
    server = make_server("127.0.0.1", 0, own_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts a server in a copy of the tree, and ends it at the end."""
    tree = tmp_path / "tree"
    shutil.copytree(Path(__file__).parent, tree, ignore=NOT_COPIED)
    tree.joinpath("instance").mkdir()
    started: list[Server] = []

    def serve(*command: str, **settings: Any) -> Server:
        started.append(Server(tree, *command, **settings))
        return started[-1]

    yield serve
    for server in started:
        if server.process.poll() is None:
            server.signal_all(signal.SIGKILL)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The Chromium of the system, headless."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "these tests need Chromium; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
