"""SQL databases for the tests: made by the migrations, rolled back, and dropped."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.store import SqlStore
from myapp.core.testing.fixture import Settings, StoreFixture

MADE_HERE = "myapp_test_"
SQLITE = "sqlite"


class SqlFixture(StoreFixture):
    """SQLite, and a database on each server in ``TEST_DATABASE_URLS``."""

    def __init__(self) -> None:
        urls = os.environ.get("TEST_DATABASE_URLS", "").split()
        self._urls = {engine_of(url): url for url in [SQLITE, *urls]}
        self.servers = list(self._urls)

    def start(self, server: str, folder: Path) -> str:
        """The URL of a running server; or ``sqlite``."""
        return self._urls[server]

    def make(self, server: str, folder: Path) -> Settings:
        """Make a separate database for each application."""
        return {SqlStore.setting: make_database(server, folder)}

    def drop(self, server: str, settings: Settings) -> None:
        """Drop the database."""
        drop_database(server, settings[SqlStore.setting])

    def prepare(self, app: Flask) -> None:
        """Run the migrations."""
        migrate_database(app)

    @contextmanager
    def undone(self, app: Flask) -> Iterator[None]:
        """Roll back the writes of a test."""
        with roll_back_after(app):
            yield


def engine_of(url: str) -> str:
    """The engine in a URL: ``postgresql``."""
    return url.partition(":")[0].partition("+")[0]


def make_database(server: str, folder: Path) -> str:
    """Make an empty database.

    :param server: ``sqlite``, or the URL of a server.
    :param folder: where SQLite puts its file.
    :returns: its URL.
    """
    name = MADE_HERE + secrets.token_hex(6)
    if server == "sqlite":
        return f"sqlite:///{folder / name}.db"
    execute(server, f"CREATE DATABASE {name}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def drop_database(server: str, database: str) -> None:
    """Drop a database, if :func:`make_database` made it.

    :raises ValueError: when the name is not a name of a test database.
    """
    if server == "sqlite":
        return
    name = make_url(database).database or ""
    if not name.startswith(MADE_HERE):
        raise ValueError(f"{name} was not made by the tests")
    is_postgresql = make_url(server).get_backend_name() == "postgresql"
    quote, force = ('"', " WITH (FORCE)") if is_postgresql else ("`", "")
    execute(server, f"DROP DATABASE {quote}{name}{quote}{force}")


def execute(server: str, statement: str) -> None:
    """Run one statement on a server, outside transactions."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def migrate_database(app: Flask) -> None:
    """Upgrade the database of an application to the newest migration."""
    with app.app_context():
        name = make_url(app.config["SQLALCHEMY_DATABASE_URI"]).database or ""
        assert MADE_HERE in name, f"refusing to test on {name}"
        upgrade()


class BoundEngine:
    """Replaces the engine in autocommit, on the connection of a test."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """The connection, inside a savepoint; it stays open."""
        with self.connection.begin_nested():
            yield self.connection


@contextmanager
def roll_back_after(app: Flask) -> Iterator[None]:
    """Run all SQL of an application on one connection, and roll it back at the end.

    A commit of a request becomes the release of a savepoint.
    """
    with app.app_context():
        # The mapping that the application uses; get_bind() accepts a connection too.
        engines = cast(dict[str | None, Engine | Connection], sql.engines)
        connection = sql.engine.connect()
    saved, autocommit = dict(engines), app.extensions["sql_autocommit"]
    transaction = connection.begin()
    engines[None] = connection
    app.extensions["sql_autocommit"] = BoundEngine(connection)
    sql.session.session_factory.configure(join_transaction_mode="create_savepoint")
    try:
        yield
    finally:
        with app.app_context():
            sql.session.remove()
        transaction.rollback()
        connection.close()
        engines.update(saved)
        app.extensions["sql_autocommit"] = autocommit
