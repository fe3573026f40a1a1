"""Callers for tests: an authenticator that believes what a request says."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, request

from myapp.core.access.caller import (
    Authenticator,
    Caller,
    add_authenticator,
    authenticators_of,
)
from myapp.core.errors.problem import Problem

CHALLENGE = 'Toy realm="tests"'


class ToyAuthenticator:
    """``Authorization: Toy NAME GRANT...`` is a caller; nothing is checked.

    :ivar asked: how often it was asked.
    """

    def __init__(self) -> None:
        self.asked = 0

    def authenticate(self) -> Caller | None:
        """The caller that the request names."""
        self.asked += 1
        scheme, _, words = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Toy":
            return None
        if not words:
            raise Problem("unauthorized", headers={"WWW-Authenticate": CHALLENGE})
        name, *grants = words.split()
        return Caller(name, frozenset(grants))

    @contextmanager
    def added_to(self, app: Flask) -> Iterator[None]:
        """Let it answer for the callers of an application for some time."""
        known = authenticators_of(app)
        before = known[:]
        self.add_to(app)
        try:
            yield
        finally:
            known[:] = before

    def add_to(self, app: Flask) -> None:
        """Let it answer for the callers of an application."""
        scheme = {"type": "http", "scheme": "toy"}
        add_authenticator(
            app, Authenticator("toy", self.authenticate, scheme, CHALLENGE)
        )


def by(name: str, *grants: str, **headers: str) -> dict[str, str]:
    """The headers of a request by a caller."""
    return {"Authorization": " ".join(("Toy", name, *grants)), **headers}
