"""The SQL database: ``sql``, and the functions that run statements on it.

Connections are in autocommit mode, and this module sends the BEGIN of each transaction.
So a single read costs one round trip, a write transaction on SQLite takes its lock at
once (``BEGIN IMMEDIATE``), and pysqlite does not interfere with savepoints.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
from flask import Flask, current_app, has_app_context
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from psycopg.types.string import TextLoader
from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Executable,
    MetaData,
    Row,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import QueuePool

from myapp.core.errors.startup import ConfigError
from myapp.core.stores.observer import Observer
from myapp.core.stores.sql.faults import is_stale_plan
from myapp.core.stores.sql.limits import limit_requests
from myapp.core.stores.sql.observing import (
    log_statements,
    observe_connections,
    observe_transactions,
)
from myapp.core.stores.sql.replicas import Replicas
from myapp.core.stores.state import request_state
from myapp.core.stores.store import data_folder

#: Rows with any number of columns.
Rows = Sequence[Row[*tuple[Any, ...]]]
POSTGRESQL_PORT = 5432
AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}
BEGIN = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "BEGIN",
    "mysql": "BEGIN",
    "mariadb": "BEGIN",
}


class Base(DeclarativeBase):
    """The declarative base: every constraint has a predictable name."""

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
    """A session that sends no BEGIN in a request that may only read."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """The engine; in GET, HEAD and OPTIONS with an option that refuses writes."""
        bind = super().get_bind(*args, **kwargs)
        if request_state().reads_only:
            return bind.execution_options(reads_only=True)
        return bind


sql = SQLAlchemy(model_class=Base, session_options={"class_": Session})
migrate = Migrate()


def rows(
    statement: Executable,
    parameters: Mapping[str, Any] | None = None,
    newest: bool = False,
) -> Rows:
    """Read rows: in the transaction of this request when it has begun, so that the
    request sees its own writes; otherwise without a transaction.

    :param newest: whether a replica, which may be behind, is not asked.
    """
    if sql.session.registry.has() and sql.session().in_transaction():
        return sql.session.connection().execute(statement, parameters).all()
    request_state().statements += 1
    return cast(Rows, run_alone(statement, parameters, True, newest))


def write(statement: Executable, parameters: Any = None) -> CursorResult[Any]:
    """Run an INSERT, UPDATE or DELETE in the transaction of this request. In a request
    with a lone write, the statement is a transaction by itself, which saves the round
    trips of BEGIN and COMMIT.

    :raises RuntimeError: when a request with a lone write writes again.
    """
    state = request_state()
    if state.lone_write is None:
        return sql.session.connection().execute(statement, parameters)
    if not state.lone_write:
        raise RuntimeError(
            "a request that was to write one record alone has written twice"
        )
    state.lone_write = False
    state.statements += 1
    return cast(CursorResult[Any], run_alone(statement, parameters))


def run_alone(
    statement: Executable, parameters: Any, reads: bool = False, newest: bool = False
) -> Any:
    """Run a statement that is a transaction by itself.

    :param reads: whether to return all rows, instead of the result.
    :param newest: as in :func:`rows`.
    """
    extensions = current_app.extensions
    start = time.perf_counter()
    try:
        needs_newest = newest or request_state().is_fresh
        if reads and extensions["sql_replicas"] and not needs_newest:
            found = extensions["sql_replicas"].read(statement, parameters)
            if found is not None:
                return found
        with extensions["sql_autocommit"].connect() as connection:
            result = connection.execute(statement, parameters)
            return result.all() if reads else result
    finally:
        # Listeners of this engine would cost twice as much as the rest of the metrics.
        if extensions["sql_observer"] is not None:
            extensions["sql_observer"].command(time.perf_counter() - start)


def bind(app: Flask, observer: Observer | None = None) -> None:
    """Bind ``sql`` and the migrations to an application.

    :param observer: is told of each statement, each commit and each connection.
    """
    url = app.config["SQLALCHEMY_DATABASE_URI"] or sqlite_url(app)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(app, url)
    try:
        sql.init_app(app)
    except (TypeError, ArgumentError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"SQLALCHEMY_ENGINE_OPTIONS are refused: {reason}") from error
    migrate.init_app(app, sql, directory=str(Path(app.root_path).parent / "migrations"))
    with app.app_context():
        engine = sql.engine
    prepare_engine(engine)
    prepare_connections(engine, app.config["SQLITE_BUSY_TIMEOUT"])
    limit_requests(engine, app.config)
    # An engine with the same connections, which sends no BEGIN.
    autocommit = Engine(engine.pool, engine.dialect, engine.url)
    app.extensions["sql_autocommit"] = autocommit
    app.extensions["sql_replicas"] = replicas_of(app, autocommit)
    app.extensions["sql_observer"] = observer
    if app.config["LOG_SQL"]:
        log_statements(engine)
        log_statements(autocommit)
    if observer is not None:
        observe_transactions(engine, observer)
        observe_connections(engine, observer)


def replicas_of(app: Flask, primary: Engine) -> Replicas | None:
    """The replicas that the configuration names, if any."""
    engines = {}
    for text in app.config["SQLALCHEMY_READ_URIS"]:
        url = make_url(text)
        engine = create_engine(url, **app.config["SQLALCHEMY_ENGINE_OPTIONS"])
        prepare_connections(engine, app.config["SQLITE_BUSY_TIMEOUT"])
        limit_requests(engine, app.config)
        engines[f"{url.host}:{url.port or POSTGRESQL_PORT}"] = engine
    return (
        Replicas(primary, engines, app.config["REPLICA_MAX_LAG"]) if engines else None
    )


def load_json(stored: str | bytes | float) -> Any:
    """The value of a JSON column. SQLite stores a number as a number."""
    return stored if isinstance(stored, (int, float)) else orjson.loads(stored)


def sqlite_url(app: Flask) -> str:
    """The URL of the SQLite file of this machine."""
    return f"sqlite:///{data_folder(app) / 'myapp.db'}"


def engine_options(app: Flask, url: str) -> dict[str, Any]:
    """The options of the engine of this URL; the configuration adds to them, and
    overrides them one by one."""
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": load_json,
        # An error does not show the values of its statement, which logs would keep.
        "hide_parameters": app.config["ENV"] != "development",
    }
    options.update(AUTOCOMMIT)
    stated = dict(app.config["SQLALCHEMY_ENGINE_OPTIONS"])
    connect = dict(stated.pop("connect_args", {}))
    dialect: Any = make_url(url).get_dialect()
    if dialect.name == "postgresql":
        # The last one of several options with a name counts, so ours comes last.
        given = connect.get("options", "")
        connect["options"] = f"{given} -c timezone=UTC".strip()
    pool = stated.get("poolclass") or dialect.get_pool_class(make_url(url))
    if issubclass(pool, QueuePool):
        options["pool_timeout"] = app.config["DATABASE_POOL_TIMEOUT"]
    return {**options, **stated, "connect_args": connect}


def prepare_engine(engine: Engine) -> None:
    """Send BEGIN, count statements, and refuse writes in requests that only read."""
    begin = BEGIN[engine.dialect.name]

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        if not connection.get_execution_options().get("reads_only"):
            connection.exec_driver_sql(begin)

    @event.listens_for(engine, "before_cursor_execute")
    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement != begin and has_app_context():
            request_state().statements += 1

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

        @event.listens_for(engine, "handle_error")
        def leave_old_plans(context: Any) -> None:
            if is_stale_plan(context.original_exception):
                # The pool replaces all its connections, and the request runs again.
                context.is_disconnect = True

    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout * 1000)}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
