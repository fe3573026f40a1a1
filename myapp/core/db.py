"""The two stores, unbound: ``sql`` and ``redis_store``.

Connections are in autocommit, and a transaction starts with a BEGIN of our own.
So a single read costs one round trip, a write on SQLite takes its lock at once
(``BEGIN IMMEDIATE``), and pysqlite leaves our savepoints alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
from flask import Flask, current_app, g, has_app_context, has_request_context, request
from flask_migrate import Migrate
from flask_redis import FlaskRedis
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from psycopg.types.string import TextLoader
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry
from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Executable,
    MetaData,
    Row,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase

from myapp.core.embedded import ensure_redis

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}
BEGIN = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "BEGIN",
    "mysql": "BEGIN",
    "mariadb": "BEGIN",
}


class Base(DeclarativeBase):
    """The declarative base: every constraint has a name that can be predicted."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Session(FlaskSession):
    """A session that reads without a transaction in a request that may only read."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """The engine; in GET, HEAD and OPTIONS as one that refuses to write."""
        bind = super().get_bind(*args, **kwargs)
        if has_request_context() and request.method in SAFE_METHODS:
            return bind.execution_options(reads_only=True)
        return bind


class RedisStore(FlaskRedis):  # type: ignore[misc]  # flask-redis has no types
    """flask-redis with a client for each application, not one for all of them."""

    def init_app(self, app: Flask, **kwargs: Any) -> None:
        """Make the client of this application; it connects at its first command."""
        super().init_app(app, **kwargs)
        app.extensions["redis"] = self._redis_client

    def __getattr__(self, name: str) -> Any:
        return getattr(current_app.extensions["redis"], name)


class LuaScript:
    """A script that runs on the Redis server, atomically.

    :param text: Lua, with KEYS and ARGV.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run it by its digest, and send the text when the server lacks it."""
        try:
            return redis_store.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return redis_store.eval(self.text, len(keys), *keys, *args)


sql = SQLAlchemy(model_class=Base, session_options={"class_": Session})
migrate = Migrate()
redis_store = RedisStore()


def rows(
    statement: Executable, parameters: Mapping[str, Any] | None = None
) -> Sequence[Row[Any]]:
    """Read rows: in the transaction of this request when there is one, so that it
    sees its own writes, else without any.
    """
    if sql.session.registry.has() and sql.session().in_transaction():
        return sql.session.connection().execute(statement, parameters).all()
    g.sql_count = g.get("sql_count", 0) + 1
    with current_app.extensions["sql_autocommit"].connect() as connection:
        return cast(Sequence[Row[Any]], connection.execute(statement, parameters).all())


def write(statement: Executable, parameters: Any = None) -> CursorResult[Any]:
    """Run an INSERT, UPDATE or DELETE in the transaction of this request; or, when the
    request has said that it writes nothing else, by itself, which is a transaction
    of one statement and saves the round trips of BEGIN and COMMIT.

    :raises RuntimeError: when it did say so, and writes again.
    """
    lone = g.pop("lone_write", None)
    if lone is None:
        return sql.session.connection().execute(statement, parameters)
    g.lone_write = False
    if not lone:
        raise RuntimeError(
            "a second write in a request of one: set lone_writes = False"
        )
    g.sql_count = g.get("sql_count", 0) + 1
    with current_app.extensions["sql_autocommit"].connect() as connection:
        return cast(CursorResult[Any], connection.execute(statement, parameters))


def lower(text: str | None) -> str | None:
    """``lower()`` of SQLite for all of Unicode."""
    return text and text.lower()


def init_app(app: Flask) -> None:
    """Bind both stores to an application, and start our own Redis if none is named."""
    url = app.config["SQLALCHEMY_DATABASE_URI"] or sqlite_url(app)
    dialect = make_url(url).get_dialect().name
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(app, url)
    sql.init_app(app)
    migrate.init_app(app, sql, directory=str(Path(app.root_path).parent / "migrations"))
    with app.app_context():
        engine = sql.engine
    prepare_engine(engine)
    prepare_connections(engine, app.config["SQLITE_BUSY_TIMEOUT"])
    # The same connections without the listeners, which never begins a transaction.
    autocommit = Engine(engine.pool, engine.dialect, engine.url)
    app.extensions["sql_autocommit"] = autocommit if dialect in BEGIN else engine
    if not app.config["REDIS_URL"]:
        app.config["REDIS_URL"] = ensure_redis(Path(app.instance_path))
    timeout = app.config["REDIS_TIMEOUT"]
    redis_store.init_app(
        app,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        # A script that was sent may have run although its answer is lost, so the
        # client must not send it again.
        retry=Retry(NoBackoff(), 0),
    )


def sqlite_url(app: Flask) -> str:
    """The embedded database of this instance folder."""
    return f"sqlite:///{Path(app.instance_path, 'myapp.db')}"


def engine_options(app: Flask, url: str) -> dict[str, Any]:
    """What the engine of this URL needs, under what the configuration says."""
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
    }
    dialect = make_url(url).get_dialect().name
    if dialect in BEGIN:
        options.update(AUTOCOMMIT)
    if dialect == "postgresql":
        options["connect_args"] = {"options": "-c timezone=UTC"}
    return {**options, **app.config["SQLALCHEMY_ENGINE_OPTIONS"]}


def prepare_engine(engine: Engine) -> None:
    """Begin our own transactions, count statements, and refuse writes of readers."""
    begin = BEGIN.get(engine.dialect.name)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        if begin and not connection.get_execution_options().get("reads_only"):
            connection.exec_driver_sql(begin)

    @event.listens_for(engine, "before_cursor_execute")
    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement != begin and has_app_context():
            g.sql_count = g.get("sql_count", 0) + 1

    @event.listens_for(engine, "before_execute")
    def refuse_writes(connection: Connection, statement: Any, *_: Any) -> None:
        is_dml = getattr(statement, "is_dml", False)
        if is_dml and connection.get_execution_options().get("reads_only"):
            raise RuntimeError("GET, HEAD and OPTIONS do not write")


def prepare_connections(engine: Engine, busy_timeout: float) -> None:
    """Set up each new connection.

    :param busy_timeout: seconds that SQLite waits for another writer.
    """
    if engine.dialect.name == "postgresql":

        @event.listens_for(engine, "connect")
        def keep_ids_as_text(connection: Any, _record: Any) -> None:
            connection.adapters.register_loader("uuid", TextLoader)

    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, _record: Any) -> None:
            connection.create_function("lower", 1, lower, deterministic=True)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout * 1000)}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
