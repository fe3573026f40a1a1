"""Callers for tests: an authenticator that believes what a request says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, request

from myapp.core.access.caller import (
    Authenticator,
    Caller,
    add_authenticator,
    authenticators_of,
    roles_up_to,
)
from myapp.core.errors.problem import Problem

CHALLENGE = 'Toy realm="tests"'


class ToyAuthenticator:
    """``Authorization: Toy NAME ROLE SCOPE...`` is a caller; nothing is checked.

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
        return caller_of(words)

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


@contextmanager
def calling(app: Flask, words: str) -> Iterator[Any]:
    """A client of an application that calls as somebody for some time.

    :param words: its name, its role, and the scopes of its token.
    """
    with ToyAuthenticator().added_to(app):
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Toy {words}"
        yield client


def caller_of(words: str) -> Caller | None:
    """A caller by its name, its role, and the scopes of its token; ``None`` for the
    empty text."""
    name, role, *scopes = (*words.split(), "", "")
    known = frozenset(filter(None, scopes))
    return Caller(name, roles_up_to(role), known or None) if name else None


def by(name: str, *words: str, **headers: str) -> dict[str, str]:
    """The headers of a request by a caller.

    :param words: its role, and the scopes of its token.
    """
    return {"Authorization": " ".join(("Toy", name, *words)), **headers}
