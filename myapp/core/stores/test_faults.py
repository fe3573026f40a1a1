"""A store that is down, slow, full or locked is a 503, only for requests that need it;
a bug is a 500 without details."""

import os
import secrets
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from myapp import create_app
from myapp.core.http.app import App
from myapp.core.stores.redis.fixture import flush
from myapp.core.stores.redis.server import ensure_redis
from myapp.core.stores.redis.store import RedisStore
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.fixture import make_database
from myapp.core.stores.sql.store import SqlStore
from myapp.core.stores.store import close_stores
from myapp.core.testing import Client
from myapp.core.testing.planted import (
    NOTES,
    PATIENCE,
    TICKETS,
    PlantedNote,
    action,
    assert_bare,
    assert_ready,
    assert_unavailable,
    driver_of,
    kept_logging,
    lose_connection,
    mysql_error,
    plant,
    postgresql_error,
    sqlite_error,
)

# No server listens on the port of tcpmux.
CLOSED = "127.0.0.1:1"
BODY = {"text": "one"}


@pytest.fixture(scope="module")
def fragile_redis(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Redis that the tests of this module may stop or fill."""
    return ensure_redis(tmp_path_factory.mktemp("fragile"))


@pytest.fixture
def build(tmp_path: Path, redis_url: str) -> Iterator[Any]:
    """A function that builds an application with the planted feature, on a new SQLite
    database unless the settings name another database."""
    built: list[App] = []

    def make(fail: Callable[[], object] = dict, **settings: Any) -> App:
        own = {"SQLALCHEMY_DATABASE_URI": make_database("sqlite", tmp_path)}
        built.append(create_app({**own, "REDIS_URL": redis_url, **settings}))
        built[-1].test_client_class = Client
        return plant(built[-1], "SQLALCHEMY_DATABASE_URI" not in settings, fail=fail)

    with kept_logging():
        yield make
    for app in built:
        close_stores(app)
    flush(redis_url)


@pytest.mark.parametrize("url", [f"redis://{CLOSED}/0", "unix:///nonexistent/no.sock"])
def test_redis_down_is_503_for_redis_alone(build: Any, url: str) -> None:
    client = build(REDIS_URL=url, RETRY_AFTER=7).test_client()
    for method in ("GET", "POST"):
        response = client.open(TICKETS, method=method, json=BODY, expect=503)
        assert_unavailable(response)
        assert response.headers["Retry-After"] == "7"
    client.post(NOTES, json=BODY)
    assert len(client.get(NOTES).json["items"]) == 1
    assert_ready(client, database=True, redis=False)


def test_redis_that_hangs_is_503_within_the_timeout(
    build: Any, fragile_redis: str
) -> None:
    app = build(REDIS_URL=fragile_redis, REDIS_TIMEOUT=0.2)
    client = app.test_client()
    server = app.extensions["redis"].info("server")["process_id"]
    os.kill(server, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert_unavailable(client.get(TICKETS, expect=503))
        assert_unavailable(client.post(TICKETS, json=BODY, expect=503))
        assert_ready(client, database=True, redis=False)
        assert time.monotonic() - started < PATIENCE
        client.post(NOTES, json=BODY)
    finally:
        os.kill(server, signal.SIGCONT)
    assert_ready(client, database=True, redis=True)


def test_full_redis_is_read_and_not_written(build: Any, fragile_redis: str) -> None:
    app = build(REDIS_URL=fragile_redis)
    client, store = app.test_client(), app.extensions["redis"]
    kept = client.post(TICKETS, json=BODY).json
    store.config_set("maxmemory-policy", "noeviction")
    store.config_set("maxmemory", 1)
    try:
        assert_unavailable(client.post(TICKETS, json=BODY, expect=503))
        full = client.put(f"{TICKETS}{kept['id']}", json={"text": "two"}, expect=503)
        assert_unavailable(full)
        assert client.get(f"{TICKETS}{kept['id']}").json == kept
        assert client.get(TICKETS).json["items"][0] == kept
    finally:
        store.config_set("maxmemory", 0)
    client.put(f"{TICKETS}{kept['id']}", json={"text": "two"})


def test_a_redis_that_may_evict_is_told(
    build: Any, fragile_redis: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = build(REDIS_URL=fragile_redis).extensions["redis"]
    assert "maxmemory" not in caplog.text
    store.config_set("maxmemory-policy", "allkeys-lru")
    try:
        client = build(REDIS_URL=fragile_redis).test_client()
        said = client.get("/health/ready").json["checks"]["redis"]["warning"]
    finally:
        store.config_set("maxmemory-policy", "noeviction")
    assert said.startswith("Redis may delete records when its memory is full")
    assert said in caplog.text
    assert "warning" not in client.get("/health/ready").json["checks"]["redis"]


@pytest.mark.parametrize("down", ["database", "redis", "both"])
def test_ready_counts_the_stores_that_features_use(
    build: Any, tmp_path: Path, down: str
) -> None:
    urls = {
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'no-such' / 'none.db'}",
        "REDIS_URL": f"redis://{CLOSED}/0",
    }
    names = {"database": ["SQLALCHEMY_DATABASE_URI"], "redis": ["REDIS_URL"]}
    chosen = {name: urls[name] for name in names.get(down, list(urls))}
    nothing = create_app({**urls, "ENABLED_FEATURES": []}).test_client()
    assert nothing.get("/health/ready").json["checks"] == {}
    # Each feature uses the database.
    expect = 200 if down == "redis" else 503
    found = build(**chosen).test_client().get("/health/ready", expect=expect)
    if down == "redis":
        assert found.json["status"] == "degraded"
    used = {"catalog": ["database"], "carts": ["database", "redis"]}
    for feature, stores in used.items():
        assert found.json["features"][feature] is (down not in (*stores, "both"))
        alone = create_app({**urls, "ENABLED_FEATURES": feature}).test_client()
        assert list(alone.get("/health/ready").json["checks"]) == stores


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mysql+pymysql", "sqlite"])
def test_database_down_is_503_for_sql_alone(
    build: Any, tmp_path: Path, scheme: str
) -> None:
    url = f"{scheme}://nobody@{CLOSED}/none"
    if scheme == "sqlite":
        url = f"sqlite:///{tmp_path / 'no-such-folder' / 'none.db'}"
    client = build(SQLALCHEMY_DATABASE_URI=url).test_client()
    assert_unavailable(client.get(NOTES, expect=503))
    assert_unavailable(client.post(NOTES, json=BODY, expect=503))
    record = client.post(TICKETS, json=BODY).json
    assert client.get(f"{TICKETS}{record['id']}").json == record
    client.delete(f"{TICKETS}{record['id']}")
    assert_ready(client, database=False, redis=True)


def test_locked_sqlite_is_read_and_not_written(build: Any) -> None:
    app = build(SQLITE_BUSY_TIMEOUT=0.2)
    client = app.test_client()
    kept = client.post(NOTES, json=BODY).json
    file = app.config["SQLALCHEMY_DATABASE_URI"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert_unavailable(client.post(NOTES, json={"text": "two"}, expect=503))
        assert client.get(NOTES).json["items"] == [kept]
        assert_ready(client, database=True, redis=True)
        other.execute("ROLLBACK")
    client.post(NOTES, json={"text": "two"})


def test_a_full_pool_is_503_for_sql_alone(build: Any) -> None:
    pool = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    app = build(SQLALCHEMY_ENGINE_OPTIONS=pool)
    client = app.test_client()
    with closing(app.extensions["sql_autocommit"].connect()):
        assert_unavailable(client.get(NOTES, expect=503))
        assert_unavailable(client.post(NOTES, json=BODY, expect=503))
        assert client.get(TICKETS).json["items"] == []
        assert_ready(client, database=False, redis=True)
    client.post(NOTES, json=BODY)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_lost_connection_costs_one_503_at_most(own_app: App, method: str) -> None:
    """After a restart of the database server the pool heals by itself."""
    plant(own_app)
    own_app.test_client().post(NOTES, json=BODY)
    with own_app.app_context():
        with sql.engine.connect() as pooled:
            driver = driver_of(pooled)
        lose_connection(sql.engine, driver)
    client = FlaskClient(own_app, own_app.response_class)
    bodies = [{"text": str(number)} for number in range(3)]
    responses = [client.open(NOTES, method=method, json=body) for body in bodies]
    good = 201 if method == "POST" else 200
    assert [response.status_code for response in responses[1:]] == [good] * 2
    assert responses[0].status_code in (good, 503)


def test_a_missing_table_is_a_500_without_sql(own_app: App) -> None:
    client: Any = plant(own_app, tables=False).test_client()
    hidden = (PlantedNote.__tablename__, "select", "insert", "sqlalchemy")
    assert_bare(client.get(NOTES, expect=500), *hidden)
    assert_bare(client.post(NOTES, json=BODY, expect=500), *hidden)
    assert_ready(client, database=True, redis=True)


@pytest.mark.parametrize("env", ["testing", "development", "production"])
def test_a_bug_is_a_500_that_tells_its_request_id_alone(build: Any, env: str) -> None:
    def fail() -> None:
        raise RuntimeError("the password is hunter2")

    client = build(fail, ENV=env, SECRET_KEY=secrets.token_urlsafe(48)).test_client()
    for method in ("GET", "POST"):
        response = client.open(action("fail"), method=method, expect=500)
        assert_bare(response, "hunter2", "RuntimeError", "Traceback", "File")


# By driver: the errors of a store that is down, full, locked or busy, and the errors of
# a bug in the application.
FABRICATED: list[tuple[Any, bool, list[Any]]] = [
    # Busy, locked, read-only, I/O, full, cannot open; then extended result codes.
    (sqlite_error, True, [5, 6, 8, 10, 13, 14, 5 | 2 << 8, 8 | 4 << 8, 10 | 3 << 8]),
    # No such table, too big, constraint, misuse.
    (sqlite_error, False, [1, 18, 19, 19 | 8 << 8, 21]),
    (postgresql_error, True, ["08006", "53300", "53100", "57P01", "57P03", "58030"]),
    (postgresql_error, True, ["25006", "55P03", "40001", "40P01", None]),
    (postgresql_error, False, ["42P01", "42601", "23505", "22021", "25P02"]),
    # Too many connections, lock wait, deadlock, table full, read-only, shutdown; then
    # cannot connect, gone away, lost during a query.
    (mysql_error, True, [1040, 1205, 1213, 1114, 1290, 1053, 2003, 2006, 2013]),
    # No such table, syntax, duplicate, too long; a broken rule on MySQL, on MariaDB.
    (mysql_error, False, [1146, 1064, 1062, 1406, 3819, 4025]),
]
REPLIES = [
    (True, "OOM command not allowed when used memory > 'maxmemory'."),
    (True, "READONLY You can't write against a read only replica."),
    (True, "LOADING Redis is loading the dataset in memory"),
    # The disk under its append-only file is full.
    (True, "MISCONF Errors writing to the AOF file: No space left on device"),
    (True, "MASTERDOWN Link with MASTER is down"),
    (True, "CLUSTERDOWN The cluster is down"),
    (True, "BUSY Redis is busy running a script."),
    # Redis 6 has the reply to a command inside the error of the script.
    (True, "ERR Error running script (call to f_1): @user_script:7: -OOM command not"),
    # A slot that moves, in the words of Redis 7 and of Redis 6.
    (True, "ERR Script attempted to access a non local key in a cluster node script"),
    (
        True,
        "ERR Error running script (call to f_1): @user_script:10: @user_script: 10: "
        "Lua script attempted to access a non local key in a cluster node",
    ),
    (False, "WRONGTYPE Operation against a key holding the wrong kind of value"),
    (False, "ERR unknown command 'NONE'"),
    (False, "ERR Error running script (call to f_1): @user_script:7: a nil value"),
]


@pytest.mark.parametrize(
    ("make", "code", "expected"),
    [(make, code, known) for make, known, codes in FABRICATED for code in codes],
)
def test_the_code_of_a_driver_tells_its_state_from_our_mistake(
    make: Any, code: Any, expected: bool
) -> None:
    assert SqlStore().is_unavailable(make(code)) is expected


@pytest.mark.parametrize(("expected", "reply"), REPLIES)
def test_the_reply_of_redis_tells_its_state_from_our_mistake(
    fragile_redis: str, expected: bool, reply: str
) -> None:
    store = redis.Redis.from_url(fragile_redis, retry=Retry(NoBackoff(), 0))
    with closing(store), pytest.raises(redis.RedisError) as caught:
        store.eval("return {err = ARGV[1]}", 0, reply)
    assert RedisStore().is_unavailable(caught.value) is expected
