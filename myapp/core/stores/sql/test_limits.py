"""A database that hangs, a locked row and a slow statement are a 503 in time."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask_migrate import upgrade
from sqlalchemy import (
    NullPool,
    create_engine,
    delete,
    insert,
    make_url,
    select,
    text,
    update,
)

from myapp import create_app
from myapp.core.http.app import App
from myapp.core.stores.sql.engine import rows, sql, write
from myapp.core.stores.sql.fixture import drop_database, make_database
from myapp.core.stores.sql.idempotency import RESPONSES
from myapp.core.testing import Client
from myapp.core.testing.planted import (
    NOTES,
    PATIENCE,
    PlantedNote,
    action,
    assert_unavailable,
    plant,
)
from myapp.core.testing.proxy import Proxy

URLS = os.environ.get("TEST_DATABASE_URLS", "").split()
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
LIMITS = {
    "DATABASE_CONNECT_TIMEOUT": 2.0,
    "DATABASE_STATEMENT_TIMEOUT": 2.0,
    "DATABASE_LOCK_TIMEOUT": 1.0,
}
SLEEP = {"postgresql": "SELECT pg_sleep(9)", "mysql": "SELECT SLEEP(9)"}


@pytest.fixture(params=URLS, ids=[url.partition(":")[0] for url in URLS])
def proxied(
    request: pytest.FixtureRequest, tmp_path: Path, redis_url: str
) -> Iterator[tuple[App, Proxy]]:
    """An application that reaches its database through a proxy."""
    database = make_database(request.param, tmp_path)
    url = make_url(database)
    port = url.port or PORTS[url.get_backend_name()]
    with Proxy(url.host or "127.0.0.1", port) as proxy:
        mine = url.set(host="127.0.0.1", port=proxy.port)
        text_of_url = mine.render_as_string(hide_password=False)
        settings = {"SQLALCHEMY_DATABASE_URI": text_of_url, "REDIS_URL": redis_url}
        app = create_app({**settings, **LIMITS})
        app.test_client_class = Client
        app.extensions["holding"] = threading.Event(), threading.Event()

        def wait_long() -> None:
            rows(text(SLEEP.get(url.get_backend_name(), SLEEP["mysql"])))

        def hold() -> None:
            began, may_end = app.extensions["holding"]
            write(update(PlantedNote).values(text="held"))
            began.set()
            may_end.wait(PATIENCE)
            rows(text("SELECT 1"))

        with app.app_context():
            upgrade()
        plant(app, wait=wait_long, hold=hold)
        yield app, proxy
        proxy.cut()
        with app.app_context():
            sql.engine.dispose()
    drop_database(request.param, database)


@pytest.mark.external
def test_a_database_that_hangs_is_503_and_then_works_again(
    proxied: tuple[App, Proxy],
) -> None:
    app, proxy = proxied
    client = app.test_client()
    note = client.post(NOTES, json={"text": "kept"}).json
    proxy.flowing.clear()
    started = time.monotonic()
    # The first one has a connection, the next ones have to connect.
    for method in ("GET", "POST", "GET"):
        response = client.open(NOTES, method=method, json={"text": "x"}, expect=503)
        assert_unavailable(response)
    assert time.monotonic() - started < PATIENCE
    proxy.flowing.set()
    assert client.get(f"{NOTES}{note['id']}").json == note
    client.post(NOTES, json={"text": "after"})


@pytest.mark.external
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slow_statement_is_ended_by_the_server(
    proxied: tuple[App, Proxy], method: str
) -> None:
    app, _ = proxied
    client = app.test_client()
    started = time.monotonic()
    assert_unavailable(client.open(action("wait"), method=method, expect=503))
    assert time.monotonic() - started < PATIENCE / 2
    client.post(NOTES, json={"text": "after"})


@pytest.mark.external
def test_a_client_that_is_gone_does_not_keep_its_locks(
    proxied: tuple[App, Proxy],
) -> None:
    app, _ = proxied
    app.test_client().post(NOTES, json={"text": "one"})
    began, may_end = app.extensions["holding"]
    other = create_engine(app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(app.test_client().post, action("hold"), expect=503)
        assert began.wait(PATIENCE)
        started = time.monotonic()
        with other.connect() as connection:
            connection.execute(update(PlantedNote).values(text="other"))
            connection.commit()
        assert time.monotonic() - started < PATIENCE / 2
        may_end.set()
        assert_unavailable(held.result())
    assert [one["text"] for one in app.test_client().get(NOTES).json["items"]] == [
        "other"
    ]


@pytest.mark.external
def test_what_is_no_request_has_no_limit(proxied: tuple[App, Proxy]) -> None:
    app, _ = proxied
    with app.app_context():
        short = {"postgresql": "SELECT pg_sleep(3.5)"}.get(
            sql.engine.dialect.name, "SELECT SLEEP(3.5)"
        )
        assert len(rows(text(short))) == 1


@pytest.mark.external
def test_a_locked_record_is_503_in_time(proxied: tuple[App, Proxy]) -> None:
    app, _ = proxied
    client = app.test_client()
    note = client.post(NOTES, json={"text": "one"}).json
    url = f"{NOTES}{note['id']}"
    other = create_engine(app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
    change = update(PlantedNote).where(PlantedNote.id == note["id"])
    with other.connect() as connection:
        connection.execute(change.values(text="other"))
        started = time.monotonic()
        assert_unavailable(client.patch(url, json={"text": "two"}, expect=503))
        assert time.monotonic() - started < PATIENCE / 2
        assert client.get(url).json == note
        connection.rollback()
    assert client.patch(url, json={"text": "two"}).json["text"] == "two"


@pytest.mark.external
def test_a_key_that_is_in_use_for_long_is_409(proxied: tuple[App, Proxy]) -> None:
    app, _ = proxied
    client = app.test_client()
    headers = {"Idempotency-Key": "mine"}
    client.post(NOTES, json={"text": "one"}, headers=headers)
    other = create_engine(app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
    with other.connect() as connection:
        (row,) = connection.execute(select(RESPONSES)).all()
        connection.execute(delete(RESPONSES))
        connection.commit()
        # As the transaction of a request that takes long.
        connection.execute(insert(RESPONSES), dict(row._mapping))
        body = {"text": "two"}
        response = client.post(NOTES, json=body, headers=headers, expect=409)
        assert response.headers["Retry-After"]
        connection.rollback()
    client.post(NOTES, json={"text": "two"}, headers=headers)
