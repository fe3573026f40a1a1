"""The base class of a store: everything that the other rooms need from a database.

A store is a folder next to this file with a subclass of :class:`Store`, and one entry
in ``STORES`` of ``wiring.py``. Its models derive from a base class of its own.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from flask import Flask, current_app
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from myapp.core.errors.startup import ConfigError
from myapp.core.model.idempotency_store import KeptResponse, RequestKey, ResponseStore
from myapp.core.stores.observer import Observer
from myapp.core.stores.state import RequestState

DEFAULT_PASSWORDS = frozenset(
    "admin changeme guest mysql password postgres redis root secret test".split()
)


class Promise(NamedTuple):
    """Writes that a store makes after another store has committed.

    :param id: it is kept once.
    :param store: the name of the store that makes them.
    :param payload: what the store needs for it.
    """

    id: str
    store: str
    payload: bytes


class Store:
    """A database for models, and its part of each request."""

    #: The name of its folder, and its name for ``flask new-feature --store``.
    name: ClassVar[str]
    #: Its name in ``/health/ready``.
    component: ClassVar[str]
    #: The setting that holds the URL of its server.
    setting: ClassVar[str]
    #: The errors of its client library.
    errors: ClassVar[tuple[type[Exception], ...]]
    #: Its part of ``flask new-feature``, as ``module:name`` of a
    #: :class:`myapp.core.scaffold.store.StoreScaffold`.
    scaffold: ClassVar[str]
    #: Its part of ``flask backup``, as ``module:name`` of a
    #: :class:`myapp.core.backup.part.StoreBackup`.
    backup: ClassVar[str]
    #: What makes spans of its commands, as ``module:name`` of an instrumentor of
    #: OpenTelemetry.
    instrumentor: ClassVar[str]
    #: Its part of the tests, as ``module:name`` of a
    #: :class:`myapp.core.testing.fixture.StoreFixture`.
    fixture: ClassVar[str]

    def check_config(self, app: Flask) -> None:
        """Refuse settings that make it unsafe or impossible to use this store.

        :raises ConfigError: its text is one line.
        """

    def init_app(self, app: Flask, observer: Observer | None = None) -> None:
        """Bind the store to an application.

        :param observer: is told of the work of the store, where somebody measures it.
        """

    def traced(self, app: Flask) -> dict[str, Any]:
        """The keyword arguments for its instrumentor."""
        return {}

    def create(self) -> str:
        """Make the database that the URL names, when it is missing.

        :returns: what was done, in one line; empty when the store needs no such step.
        :raises Exception: one of ``errors``.
        """
        return ""

    def upgrade(self) -> None:
        """Bring the stored data to the format that the code expects."""

    def begin(self, state: RequestState, lone_write: bool) -> None:
        """Begin a request that may write.

        :param lone_write: whether it writes one statement at most.
        """

    def commit(self, state: RequestState) -> bool:
        """Store the writes of the request.

        :returns: whether there were writes.
        :raises StaleRead: when a record has changed since it was read; then nothing is
            stored.
        """
        return False

    def guard(
        self, own: ResponseStore, key: RequestKey, response: KeptResponse
    ) -> None:
        """Let one request with a key commit its writes here, for some time, when its
        response is kept in a store that commits later.

        :param own: where the response is kept.
        :raises KeyTaken: when another request has committed with this key.
        """

    def rollback(self, state: RequestState) -> None:
        """Discard the writes of the request."""

    def promise(self, state: RequestState) -> Promise | None:
        """Make sure that the writes of the request can be made here after another store
        has committed its own, and describe them, so that another process can make them
        when this one dies meanwhile.

        :returns: ``None`` when there are no writes.
        :raises StaleRead: when a record has changed since it was read.
        """
        return None

    def keep_promise(self, promise: Promise) -> None:
        """Make the writes of a request, unless they were made."""

    def complete(self) -> None:
        """Make the writes that were promised to this store and left to do."""

    def clean(self) -> None:
        """Delete what has expired and is still stored."""

    def ping(self) -> object:
        """Reach the database; raises one of ``errors`` when it cannot be reached."""

    def staleness(self, app: Flask) -> float:
        """Seconds that a read may be behind the writes of before; 0 when a read sees
        every write."""
        return 0.0

    def warning(self) -> str | None:
        """What in the configuration of the server may lose data, in one sentence."""
        return None

    def is_retryable(self, error: Exception) -> bool:
        """Whether the store has rolled back a transaction that may succeed when it runs
        again, such as after a deadlock."""
        return False

    def is_unavailable(self, error: Exception) -> bool:
        """Whether an error says that the store is down, full, locked or busy, and does
        not come from our code."""
        return False

    def close(self) -> None:
        """Close the connections that are not in use."""

    def shell_names(self) -> Mapping[str, Any]:
        """The names that ``flask shell`` offers for this store."""
        return {}


def registered_stores() -> tuple[Store, ...]:
    """The stores of this application, in the order in which they commit."""
    stores: tuple[Store, ...] = current_app.extensions["stores"]
    return stores


def close_stores(app: Flask) -> None:
    """Close the connections of an application that are not in use."""
    with app.app_context():
        for store in registered_stores():
            store.close()


def data_folder(app: Flask) -> Path:
    """Where stores keep their files: a folder of its own in development, so that it has
    other data than production on the same machine."""
    is_ours = app.config["ENV"] != "development"
    return Path(app.instance_path, "" if is_ours else "development")


def check_data_folder(app: Flask) -> None:
    """Make sure that a store can keep its files here.

    :raises ConfigError: when it cannot be written.
    """
    folder = data_folder(app)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"the folder of the data cannot be written: {error.strerror}: {folder}"
        ) from error


def read_url(app: Flask, setting: str, text: str = "") -> URL:
    """The URL in a setting.

    :param text: the URL, when the setting names several.
    :raises ConfigError: when it is not a URL; in production, also when it has a default
        password.
    """
    try:
        url = make_url(text or app.config[setting])
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            f"{setting} is not a URL, or its driver is missing"
        ) from error
    password = str(url.password).lower() if url.password else None
    is_default = password in DEFAULT_PASSWORDS or password == url.username
    if app.config["ENV"] == "production" and password and is_default:
        raise ConfigError(f"{setting} carries a default password")
    return url
