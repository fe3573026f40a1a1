"""What the tests make of a store: servers to run on, a clean state for each test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

Settings = dict[str, str]


class StoreFixture:
    """A store under test. The stores are real, and made by the test run."""

    #: What its servers are called in the ids of tests; the whole suite runs on each.
    servers: list[str]

    def start(self, server: str, folder: Path) -> str:
        """Start a server, or find it; called once in a test run for each.

        :param folder: where it may keep its files.
        :returns: how :meth:`make` reaches it.
        """
        return server

    def make(self, server: str, folder: Path) -> Settings:
        """Make an empty database for one application, and the settings that name it."""
        raise NotImplementedError

    def drop(self, server: str, settings: Settings) -> None:
        """Remove what :meth:`make` made."""

    def prepare(self, app: Flask) -> None:
        """Bring the database of an application to the shape that the code expects."""

    def close(self, app: Flask) -> None:
        """Close the connections of an application."""

    def clean(self, app: Flask) -> None:
        """Remove what a test with an application of its own has left elsewhere."""

    @contextmanager
    def undone(self, app: Flask) -> Iterator[None]:
        """Undo at the end whatever a test writes."""
        yield
        self.clean(app)
