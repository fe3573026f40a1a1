"""A feature for tests only, with one model on each store, so that tests of the core
do not need a feature of the application.

Its tables are in a metadata of their own, which the migrations do not know.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

import psycopg
import pymysql
from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.model.context import Context
from myapp.core.model.scope import Scoped
from myapp.core.query.filters import NOTHING, equal, is_unset
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
# The members of every problem document.
BARE = {"type", "title", "status", "detail", "instance", "request_id"}
# Seconds after which a test fails; a normal run is faster.
PATIENCE = 10.0
PLANTED = MetaData(naming_convention=sql.metadata.naming_convention)


def text_schema(name: str) -> JSON:
    """A write schema with one text field."""
    return {
        "$id": f"/schemas/{name}.write.json",
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 100}},
        "required": ["text"],
        "additionalProperties": False,
    }


def body_schema(name: str, required: list[str], /, **properties: JSON) -> JSON:
    """A write schema."""
    return {
        "$id": f"/schemas/{name}.write.json",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


class Owned(Scoped):
    """Records of one owner each, which are not lost when they are deleted."""

    scoped_by = ("owner_id",)
    server_properties = {
        "owner_id": {"type": "string", "maxLength": 50},
        "deleted_at": {"type": "string", "format": "date-time"},
    }
    hidden = ("owner_id", "deleted_at")

    @classmethod
    def scope(cls, context: Context) -> Any:
        """Those of the caller, without the deleted ones."""
        if context.caller is None:
            return (NOTHING,)
        mine = (equal("owner_id", context.caller.id),)
        if "deleted" in context.including:
            return mine
        return (*mine, is_unset("deleted_at"))

    @classmethod
    def remove(cls, changes: Iterable[tuple[JSON, int]]) -> None:
        """Mark them as deleted."""
        now = datetime.now(UTC)
        cls.write(
            [
                ({**document, "deleted_at": now, "version": version + 1}, version)
                for document, version in changes
            ]
        )


class PlantedNote(SqlModel):
    """A text in SQL; each text is unique."""

    __tablename__ = "planted_notes"
    metadata: ClassVar[MetaData] = PLANTED
    write_schema = text_schema("planted-note")
    read_schema = derive_read_schema(write_schema)

    text: Mapped[str] = mapped_column(Varchar(100), unique=True)


class PlantedTicket(RedisModel):
    """A text in Redis."""

    name = "planted-ticket"
    slot = "planted"
    write_schema = text_schema("planted-ticket")
    read_schema = derive_read_schema(write_schema)


def plant(
    app: App,
    tables: bool = True,
    stores: tuple[str, ...] = (),
    **actions: Callable[[], object],
) -> App:
    """Mount the feature on an application that has not served a request yet.

    :param tables: whether to make its tables, in the database of this test.
    :param stores: what its row states.
    :param actions: functions that run for GET and POST on the URL of :func:`action`;
        their return value is ignored, and the response is a 200 without a body.
    """
    blueprint, api = feature_blueprint("planted", __name__)
    routes_from_model(api.namespace("notes"), PlantedNote)
    routes_from_model(api.namespace("tickets"), PlantedTicket)
    for name, act in actions.items():
        members = {"get": view_of(act), "post": view_of(act)}
        api.namespace(name).route("/")(type(f"Act{name}", (Resource,), members))
    mount(app, Feature("planted", PREFIX, "public", stores), blueprint)
    if tables:
        with app.app_context():
            PLANTED.create_all(sql.engine)
    return app


def view_of(act: Callable[[], object]) -> Callable[[Resource], None]:
    """A view function that calls a function of a test."""

    @describe({200: None}, errors=(409,))
    def view(_resource: Resource) -> None:
        act()

    return view


def action(name: str) -> str:
    """The URL of an action."""
    return f"{PREFIX}/{name}/"


def driver_of(connection: Connection) -> Any:
    """The connection of the database driver, below SQLAlchemy."""
    return connection.connection.driver_connection


def lose_connection(engine: Engine, driver: Any) -> None:
    """Close a connection of the application from outside, as a stopping server does;
    SQLite has no server, so there the connection itself is closed."""
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


def assert_unavailable(response: Any) -> None:
    """Check that a response is a 503 as the interface promises it."""
    assert response.json["type"] == "/problems/unavailable"
    assert set(response.json) <= {*BARE, "checks", "features"}
    assert int(response.headers["Retry-After"]) >= 1


def assert_bare(response: Any, *secrets: str) -> None:
    """Check that a 500 tells the request id and nothing else."""
    assert set(response.json) == BARE
    assert response.json["type"] == "/problems/internal-error"
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    assert not any(secret.lower() in response.text.lower() for secret in secrets)


def assert_ready(client: Any, **stores: bool) -> None:
    """Check the health checks against the stores that should be up. A feature is ready
    when all its stores are, and the whole while one feature is; each of them uses the
    database."""
    expect = 200 if stores["database"] else 503
    response = client.get("/health/ready", expect=expect)
    found = {name: entry["ok"] for name, entry in response.json["checks"].items()}
    assert found == stores
    features = response.json["features"]
    assert features["planted"] is all(stores.values())
    for feature, is_ready in features.items():
        one = client.get(f"/health/ready/{feature}", expect=200 if is_ready else 503)
        assert all(check["ok"] for check in one.json["checks"].values()) is is_ready
    if expect == 503:
        assert_unavailable(response)
    else:
        whole = all(features.values())
        assert response.json["status"] == ("ok" if whole else "degraded")
    assert client.get("/health/live").json == {"status": "ok"}


@contextmanager
def kept_logging() -> Iterator[None]:
    """Restore the logging, which an application outside TestingConfig changes."""
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
    """An error as psycopg raises it; without a state when the server did not reply."""
    kind = psycopg.errors.lookup(state) if state else psycopg.OperationalError
    return DBAPIError("SELECT 1", {}, kind("fabricated"))


def mysql_error(number: int) -> DBAPIError:
    """An error as PyMySQL raises it."""
    kind = pymysql.err.error_map.get(number, pymysql.OperationalError)
    return DBAPIError("SELECT 1", {}, kind(number, "fabricated"))
