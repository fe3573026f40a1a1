"""The SQL store: the part of SQL in each application and each request."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Flask, current_app
from flask_migrate import upgrade
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from myapp.core.errors.startup import ConfigError
from myapp.core.model.idempotency_store import KeptResponse, RequestKey, ResponseStore
from myapp.core.stores.observer import Observer
from myapp.core.stores.sql.database import make_missing_database
from myapp.core.stores.sql.engine import BEGIN, bind, rows, sql
from myapp.core.stores.sql.faults import (
    is_database_unavailable,
    is_deadlock,
    is_stale_plan,
)
from myapp.core.stores.sql.idempotency import (
    CLEAN_AT_MOST,
    SqlResponses,
    delete_expired,
    guard,
)
from myapp.core.stores.sql.outbox import AT_ONCE, add_promise, keep_promises
from myapp.core.stores.sql.replicas import LOOK_EVERY, Replicas
from myapp.core.stores.sql.revision import difference_of_time, is_ahead
from myapp.core.stores.state import RequestState, request_state
from myapp.core.stores.store import (
    Store,
    check_data_folder,
    read_url,
    registered_stores,
)

# Seconds in which a request with writes in two stores must commit the second one, or
# have failed; longer than a request may take (harakiri in myapp.ini).
GUARDED = 30
# The setting that names the replicas.
REPLICAS = "SQLALCHEMY_READ_URIS"


def is_writing() -> bool:
    """Whether the transaction of this request has begun."""
    return bool(sql.session.registry.has() and sql.session().in_transaction())


def dialect_of(app: Flask, setting: str, url: str = "") -> str:
    """The name of the dialect of a URL.

    :raises ConfigError: when it is no URL, or its driver is missing.
    """
    try:
        dialect = read_url(app, setting, url).get_dialect()
        dialect.import_dbapi()
    except (ArgumentError, ImportError) as error:
        raise ConfigError(
            f"{setting} is not a URL, or its driver is missing"
        ) from error
    return str(dialect.name)


class SqlStore(Store):
    """SQLite, PostgreSQL, MySQL or MariaDB, through SQLAlchemy."""

    name = "sql"
    component = "database"
    setting = "SQLALCHEMY_DATABASE_URI"
    errors = (SQLAlchemyError,)
    scaffold = "myapp.core.stores.sql.scaffold:SqlScaffold"
    backup = "myapp.core.stores.sql.backup:SqlBackup"
    instrumentor = "opentelemetry.instrumentation.sqlalchemy:SQLAlchemyInstrumentor"
    fixture = "myapp.core.stores.sql.fixture:SqlFixture"

    def check_config(self, app: Flask) -> None:
        """Check the options, and the URL and its driver, or the folder of the SQLite
        file."""
        if "isolation_level" in app.config["SQLALCHEMY_ENGINE_OPTIONS"]:
            raise ConfigError(
                "SQLALCHEMY_ENGINE_OPTIONS must not set isolation_level: the "
                "application begins and ends its transactions itself"
            )
        if app.config[self.setting]:
            name = dialect_of(app, self.setting)
            if name not in BEGIN:
                raise ConfigError(
                    f"{self.setting} names {name}; use one of: {', '.join(BEGIN)}"
                )
        else:
            name = "sqlite"
            check_data_folder(app)
        for replica in app.config[REPLICAS]:
            if {name, dialect_of(app, REPLICAS, replica)} != {"postgresql"}:
                raise ConfigError(f"{REPLICAS} works with PostgreSQL alone")

    def init_app(self, app: Flask, observer: Observer | None = None) -> None:
        """Make the engine; it connects at its first statement."""
        bind(app, observer)

    def traced(self, app: Flask) -> dict[str, Any]:
        """Both engines; their spans have the statements without the values."""
        with app.app_context():
            return {"engines": [sql.engine, app.extensions["sql_autocommit"]]}

    def create(self) -> str:
        """Make the database on its server; SQLite makes its file itself."""
        url = sql.engine.url
        if url.get_backend_name() == "sqlite":
            return ""
        made = make_missing_database(url)
        return f"the database {url.database} {'is made' if made else 'exists'}"

    def upgrade(self) -> None:
        """Run the missing migrations.

        :raises ConfigError: when the database has migrations that this code has not.
        """
        if is_ahead():
            raise ConfigError(difference_of_time())
        upgrade()

    def begin(self, state: RequestState, lone_write: bool) -> None:
        """Note whether the request has a lone write, which needs no BEGIN; otherwise
        BEGIN is sent with the first write."""
        state.lone_write = True if lone_write else None

    def guard(
        self, own: ResponseStore, key: RequestKey, response: KeptResponse
    ) -> None:
        """Insert the key into the transaction, when one has begun."""
        if not isinstance(own, SqlResponses) and is_writing():
            life = min(GUARDED, current_app.config["IDEMPOTENCY_TTL"])
            guard(key, response, life)

    def commit(self, state: RequestState) -> bool:
        """COMMIT, when a transaction has begun."""
        if not is_writing():
            return False
        for store in registered_stores():
            promise = store.promise(state)
            if promise is not None:
                add_promise(promise)
        sql.session.commit()
        return True

    def rollback(self, state: RequestState) -> None:
        """ROLLBACK, when the request has used a session."""
        if sql.session.registry.has():
            sql.session.rollback()

    def complete(self) -> None:
        """Make the writes in the outbox."""
        stores = {store.name: store for store in registered_stores()}
        while keep_promises(stores) == AT_ONCE:
            pass

    def clean(self) -> None:
        """Delete the kept responses that have expired."""
        while delete_expired(datetime.now(UTC)) == CLEAN_AT_MOST:
            pass

    def ping(self) -> object:
        """Run ``SELECT 1``."""
        # No replica answers for the primary.
        request_state().is_fresh = True
        return rows(text("SELECT 1"))

    def staleness(self, app: Flask) -> float:
        """How far a replica may be behind when it is asked: the limit at one look, and
        the time until the next one."""
        behind: float = app.config["REPLICA_MAX_LAG"] + LOOK_EVERY
        return behind if app.config[REPLICAS] else 0.0

    def warning(self) -> str | None:
        """Which replicas are not used, and why; whether migrations are missing."""
        replicas: Replicas | None = current_app.extensions["sql_replicas"]
        told = [
            replicas.warning() if replicas is not None else None,
            difference_of_time(),
        ]
        return "; ".join(filter(None, told)) or None

    def is_retryable(self, error: Exception) -> bool:
        """Whether the error is a deadlock, a serialization failure, or a prepared
        statement of before a migration."""
        return is_deadlock(error) or is_stale_plan(getattr(error, "orig", None))

    def is_unavailable(self, error: Exception) -> bool:
        """Whether the database is unavailable, by the error codes of the drivers."""
        return is_database_unavailable(error)

    def close(self) -> None:
        """Empty the pool, which both engines share."""
        sql.engine.pool.dispose()
        if current_app.extensions["sql_replicas"] is not None:
            current_app.extensions["sql_replicas"].close()

    def shell_names(self) -> Mapping[str, Any]:
        """``sql``, the Flask-SQLAlchemy object."""
        return {"sql": sql}
