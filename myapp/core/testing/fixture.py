"""The stores of a test run: their servers, and a clean state for each test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

Settings = dict[str, str]


class StoreFixture:
    """A store under test. It is a real store, made by the test run."""

    #: The names of its servers in the test ids; the whole suite runs on each server.
    servers: list[str]

    def start(self, server: str, folder: Path) -> str:
        """Start a server, or find a running one; called once for each server of a run.

        :param folder: for the files of the server.
        :returns: the address of the server, for :meth:`make`.
        """
        return server

    def stop(self) -> None:
        """End the servers that this test process started."""

    def make(self, server: str, folder: Path) -> Settings:
        """Make an empty database for one application; return the settings for it."""
        raise NotImplementedError

    def drop(self, server: str, settings: Settings) -> None:
        """Drop the database that :meth:`make` made."""

    def prepare(self, app: Flask) -> None:
        """Make the tables that the code expects in the database of an application."""

    def clean(self, app: Flask) -> None:
        """Remove what a test with its own application left in a shared database."""

    @contextmanager
    def undone(self, app: Flask) -> Iterator[None]:
        """Undo everything that a test writes, at its end."""
        yield
        self.clean(app)
