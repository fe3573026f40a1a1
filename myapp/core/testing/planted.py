"""A feature of the tests' own, with one model on each store, so that tests of the core
need no feature of the application.

Its tables have a metadata of their own: the migrations know nothing of them.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
import pymysql
from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.resource import Resource
from myapp.core.rest.verbs import routes_from_model
from myapp.core.schema.derive import derive_read_schema
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.types import Varchar
from myapp.core.wiring import mount

PREFIX = "/planted"
NOTES, TICKETS = f"{PREFIX}/notes/", f"{PREFIX}/tickets/"
# The members that each error has.
BARE = {"type", "title", "status", "detail", "instance", "request_id"}
# Seconds after which a test gives up; none is that slow.
PATIENCE = 10.0
PLANTED = MetaData(naming_convention=sql.metadata.naming_convention)


def text_schema(name: str) -> JSON:
    """A write schema with one text."""
    return {
        "$id": f"/schemas/{name}.write.json",
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 100}},
        "required": ["text"],
        "additionalProperties": False,
    }


class PlantedNote(SqlModel):
    """A text in SQL; no two are the same."""

    __tablename__ = "planted_notes"
    metadata: ClassVar[MetaData] = PLANTED
    write_schema = text_schema("planted-note")
    read_schema = derive_read_schema(write_schema)

    text: Mapped[str] = mapped_column(Varchar(100), unique=True)


class PlantedTicket(RedisModel):
    """A text in Redis."""

    name = "planted-ticket"
    write_schema = text_schema("planted-ticket")
    read_schema = derive_read_schema(write_schema)


def plant(app: App, tables: bool = True, **actions: Callable[[], object]) -> App:
    """Mount the feature on an application that has not answered a request yet.

    :param tables: whether to make its tables, in a database of the test's own.
    :param actions: functions that :func:`action` routes to, for GET and POST; what
        they return is dropped, and the answer is a 200 without a body.
    """
    blueprint, api = feature_blueprint("planted", __name__)
    routes_from_model(api.namespace("notes"), PlantedNote)
    routes_from_model(api.namespace("tickets"), PlantedTicket)
    for name, act in actions.items():
        members = {"get": view_of(act), "post": view_of(act)}
        api.namespace(name).route("/")(type(f"Act{name}", (Resource,), members))
    mount(app, Feature("planted", PREFIX, "public"), blueprint)
    if tables:
        with app.app_context():
            PLANTED.create_all(sql.engine)
    return app


def view_of(act: Callable[[], object]) -> Callable[[Resource], None]:
    """A method of a resource that calls a function of a test."""

    @describe({200: None}, errors=(409,))
    def view(_resource: Resource) -> None:
        act()

    return view


def action(name: str) -> str:
    """The URL of an action."""
    return f"{PREFIX}/{name}/"


def driver_of(connection: Connection) -> Any:
    """The connection of the driver, below SQLAlchemy."""
    return connection.connection.driver_connection


def lose_connection(engine: Engine, driver: Any) -> None:
    """End a connection of the application behind its back, as a server that stops
    does; SQLite, which has no server, loses its file handle."""
    if engine.dialect.name == "sqlite":
        driver.close()
        return
    if engine.dialect.name == "postgresql":
        number, end = driver.info.backend_pid, "SELECT pg_terminate_backend(:id)"
        running = "SELECT count(*) FROM pg_stat_activity WHERE pid = :id"
    else:
        number, end = driver.thread_id(), "KILL :id"
        running = "SELECT count(*) FROM information_schema.processlist WHERE id = :id"
    other = create_engine(engine.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    deadline = time.monotonic() + PATIENCE
    with other.connect() as connection:
        connection.execute(text(end), {"id": number})
        while connection.scalar(text(running), {"id": number}):
            assert time.monotonic() < deadline


def assert_unavailable(answer: Any) -> None:
    """Hold a 503 against what the interface promises."""
    assert answer.json["type"] == "/problems/unavailable"
    assert set(answer.json) <= {*BARE, "checks"}
    assert int(answer.headers["Retry-After"]) >= 1


def assert_bare(answer: Any, *secrets: str) -> None:
    """Hold a 500 against the rule that it tells its request id and nothing else."""
    assert set(answer.json) == BARE
    assert answer.json["type"] == "/problems/internal-error"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert not any(secret.lower() in answer.text.lower() for secret in secrets)


def assert_ready(client: Any, **stores: bool) -> None:
    """Hold both health checks against what is up."""
    expect = 200 if all(stores.values()) else 503
    answer = client.get("/health/ready", expect=expect)
    found = {name: entry["ok"] for name, entry in answer.json["checks"].items()}
    assert found == stores
    if expect == 503:
        assert_unavailable(answer)
    assert client.get("/health/live").json == {"status": "ok"}


@contextmanager
def kept_logging() -> Iterator[None]:
    """Put back the logging that an application outside the testing class sets up."""
    root, mine = logging.getLogger(), logging.getLogger("myapp")
    handlers, levels = root.handlers[:], (root.level, mine.level)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        mine.setLevel(levels[1])


def sqlite_error(code: int) -> DBAPIError:
    """An error as the SQLite driver raises it."""
    origin = sqlite3.OperationalError("fabricated")
    origin.sqlite_errorcode = code
    return DBAPIError("SELECT 1", {}, origin)


def postgresql_error(state: str | None) -> DBAPIError:
    """An error as psycopg raises it; without a state when nobody answered."""
    kind = psycopg.errors.lookup(state) if state else psycopg.OperationalError
    return DBAPIError("SELECT 1", {}, kind("fabricated"))


def mysql_error(number: int) -> DBAPIError:
    """An error as PyMySQL raises it."""
    kind = pymysql.err.error_map.get(number, pymysql.OperationalError)
    return DBAPIError("SELECT 1", {}, kind(number, "fabricated"))
