"""Reads on streaming replicas of PostgreSQL: late ones, dead ones, and own writes."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask_migrate import upgrade
from sqlalchemy import text

from myapp import create_app
from myapp.core.access import public
from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.http.freshness import COOKIE
from myapp.core.http.response import respond
from myapp.core.stores.sql import replicas as replicas_module
from myapp.core.stores.sql.engine import rows
from myapp.core.stores.store import close_stores
from myapp.core.testing.callers import ToyAuthenticator, by
from myapp.core.testing.client import Client
from myapp.core.testing.postgresql import PostgreSQL
from myapp.core.testing.server import eventually

DIRECTORS = "/catalog/directors/"
ON_PRIMARY = {"Cache-Control": "no-cache"}


@pytest.fixture(scope="module")
def servers_of_postgresql() -> Iterator[tuple[PostgreSQL, PostgreSQL]]:
    """A primary and a replica."""
    with tempfile.TemporaryDirectory(prefix="myapp-pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        primary = PostgreSQL(folder / "primary")
        primary.execute("CREATE DATABASE myapp")
        replica = PostgreSQL(folder / "replica", primary)
        yield primary, replica
        for server in (primary, replica):
            server.stop()


@pytest.fixture
def primary(servers_of_postgresql: tuple[PostgreSQL, PostgreSQL]) -> PostgreSQL:
    return servers_of_postgresql[0]


@pytest.fixture
def replica(servers_of_postgresql: tuple[PostgreSQL, PostgreSQL]) -> PostgreSQL:
    return servers_of_postgresql[1]


def where() -> Any:
    """A view function that tells which server answers."""
    is_replica = rows(text("SELECT pg_is_in_recovery()"))[0][0]
    return respond("replica" if is_replica else "primary")


@pytest.fixture
def app(
    primary: PostgreSQL,
    replica: PostgreSQL,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[App]:
    """An application that reads from the replica, and looks at it often."""
    monkeypatch.setattr(replicas_module, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(replicas_module, "LEAVE_ALONE", 0.3)
    app = create_app(
        {
            "SQLALCHEMY_DATABASE_URI": primary.uri("myapp"),
            "SQLALCHEMY_READ_URIS": [replica.uri("myapp")],
            "REDIS_URL": redis_url,
            "REPLICA_MAX_LAG": 1.0,
            "DATABASE_CONNECT_TIMEOUT": 2.0,
        }
    )
    app.test_client_class = Client
    ToyAuthenticator().add_to(app)
    app.add_url_rule("/where", view_func=public(where), methods=["GET", "POST"])
    with app.app_context():
        upgrade()
    yield app
    close_stores(app)


@pytest.fixture
def client(app: App) -> Client:
    """A client that has written nothing."""
    client = reader(app)
    eventually(lambda: client.get("/where").json == "replica")
    return client


def reader(app: App) -> Client:
    """Another client."""
    client = app.test_client()
    assert isinstance(client, Client)
    client.environ_base["HTTP_AUTHORIZATION"] = by("ed", "editor")["Authorization"]
    return client


def can_read(client: Client, url: str) -> bool:
    """Whether a client gets a record."""
    try:
        client.get(url)
    except AssertionError:
        return False
    return True


@pytest.mark.external
def test_reads_go_to_the_replica_and_writes_to_the_primary(client: Client) -> None:
    assert client.get("/where").json == "replica"
    assert client.get("/where", headers=ON_PRIMARY).json == "primary"
    assert client.post("/where", expect=200).json == "primary"
    # From now on this client reads what it wrote.
    assert client.get("/where").json == "primary"


@pytest.mark.external
@pytest.mark.parametrize("sent", ["", "x", "1", "9999999999", "-1", "9" * 30, "٣"])
def test_a_cookie_that_is_none_of_ours_is_ignored(client: Client, sent: str) -> None:
    client.set_cookie(COOKIE, sent)
    assert client.get("/where").json == "replica"


@pytest.mark.external
def test_the_cookie_lasts_longer_than_a_replica_may_be_behind(client: Client) -> None:
    answer = client.post(DIRECTORS, json={"name": "one"})
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith(f"{COOKIE}=")
    assert "; HttpOnly" in cookie and "; SameSite=Lax" in cookie
    seconds = int(cookie.partition("Max-Age=")[2].partition(";")[0])
    assert 1.0 < seconds <= 3


@pytest.mark.external
def test_a_client_sees_its_own_writes_on_a_replica_that_is_late(
    app: App, replica: PostgreSQL, client: Client
) -> None:
    url = client.post(DIRECTORS, json={"name": "0"}).headers["Location"]
    other = reader(app)
    eventually(lambda: can_read(other, url))
    replica.stop()
    replica.start(recovery_min_apply_delay="200ms")
    eventually(lambda: other.get("/where").json == "replica")
    late = 0
    for number in range(1, 20):
        client.patch(url, json={"name": str(number)})
        assert client.get(url).json["name"] == str(number)
        assert other.get(url, headers=ON_PRIMARY).json["name"] == str(number)
        late += other.get(url).json["name"] != str(number)
    assert late
    replica.stop()
    replica.start()


@pytest.mark.external
def test_a_replica_that_is_too_late_is_not_asked(
    app: App, primary: PostgreSQL, replica: PostgreSQL, client: Client
) -> None:
    url = client.post(DIRECTORS, json={"name": "before"}).headers["Location"]
    other = reader(app)
    eventually(lambda: can_read(other, url))
    replica.execute("SELECT pg_wal_replay_pause()")
    client.patch(url, json={"name": "after"})
    written = time.monotonic()
    seen = "before"
    while seen == "before":
        seen = other.get(url).json["name"]
        assert time.monotonic() < written + 10
    # The limit, and the time between two looks.
    assert time.monotonic() - written > 0.5
    assert other.get("/where").json == "primary"
    ready = other.get("/health/ready").json
    assert ready["status"] == "ok"
    warning = ready["checks"]["database"]["warning"]
    assert warning.startswith(f"Not used: 127.0.0.1:{replica.port} is ")
    assert warning.endswith(" s behind.")

    replica.execute("SELECT pg_wal_replay_resume()")
    eventually(lambda: other.get("/where").json == "replica")
    assert other.get(url).json["name"] == "after"
    assert "warning" not in other.get("/health/ready").json["checks"]["database"]


@pytest.mark.external
def test_a_request_asks_one_replica(
    app: App, primary: PostgreSQL, replica: PostgreSQL, redis_url: str
) -> None:
    second = PostgreSQL(replica.folder.with_name("second"), primary)
    settings = {
        "SQLALCHEMY_DATABASE_URI": primary.uri("myapp"),
        "SQLALCHEMY_READ_URIS": [replica.uri("myapp"), second.uri("myapp")],
        "REDIS_URL": redis_url,
    }
    other = create_app(settings)

    def ports() -> Any:
        found = [rows(text("SELECT inet_server_port()"))[0][0] for _ in range(3)]
        return respond(found)

    other.add_url_rule("/ports", view_func=public(ports))
    client = other.test_client()
    try:
        seen = [client.get("/ports").json for _ in range(20)]
    finally:
        close_stores(other)
        second.stop()
    assert all(len(set(one)) == 1 for one in seen)
    assert {one[0] for one in seen} == {replica.port, second.port}


@pytest.mark.external
def test_a_replica_that_dies_is_not_seen_by_clients(
    app: App, replica: PostgreSQL, client: Client
) -> None:
    client.get("/where")
    replica.stop()
    for _ in range(10):
        assert client.get("/where").json == "primary"
    warning = client.get("/health/ready").json["checks"]["database"]["warning"]
    assert warning == f"Not used: 127.0.0.1:{replica.port} does not answer."
    replica.start()
    eventually(lambda: client.get("/where").json == "replica")


@pytest.mark.external
def test_reads_go_on_while_the_primary_is_down(
    app: App, primary: PostgreSQL, client: Client
) -> None:
    url = client.post(DIRECTORS, json={"name": "one"}).headers["Location"]
    other = reader(app)
    eventually(lambda: can_read(other, url))
    primary.stop()
    for _ in range(10):
        assert other.get(url).json["name"] == "one"
    # The one that has written must not see an old state.
    client.get(url, expect=503)
    other.post(DIRECTORS, json={"name": "two"}, expect=503)
    primary.start()
    eventually(lambda: can_read(client, url))


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"SQLALCHEMY_READ_URIS": ["sqlite:///x.db"]}, "works with PostgreSQL alone"),
        ({"SQLALCHEMY_READ_URIS": ["nothing"]}, "SQLALCHEMY_READ_URIS is not a URL"),
        (
            {
                "SQLALCHEMY_DATABASE_URI": "sqlite:///x.db",
                "SQLALCHEMY_READ_URIS": ["postgresql+psycopg://127.0.0.1/x"],
            },
            "works with PostgreSQL alone",
        ),
    ],
)
def test_replicas_of_another_engine_are_refused(
    settings: dict[str, Any], said: str
) -> None:
    usual = {"SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://127.0.0.1/x"}
    with pytest.raises(ConfigError, match=said):
        create_app({**usual, **settings})
