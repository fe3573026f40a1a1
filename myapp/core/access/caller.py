"""The question who is calling; the application registers what answers it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, current_app


@dataclass(frozen=True)
class Caller:
    """Who sends a request.

    :param id: the same in each of its requests, and that of no other caller; cursors
        and kept responses are bound to it.
    :param roles: its role, and each lower one; see :func:`roles_up_to`.
    :param scopes: those of its token; ``None`` for a caller that has signed in itself,
        which no scope limits.
    """

    id: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None

    @property
    def is_disabled(self) -> bool:
        """Whether it has the lowest role, whose callers nobody knows."""
        return self.roles == {current_app.config["ROLES"][0]}


@dataclass(frozen=True)
class Authenticator:
    """A way in which callers say who they are.

    :param name: what documents call it, such as ``bearer``.
    :param authenticate: reads the current request; ``None`` when it carries nothing of
        this kind. It raises a problem for credentials that are wrong.
    :param scheme: OpenAPI's Security Scheme Object.
    :param challenge: the WWW-Authenticate of a 401, RFC 9110 section 11.6.1.
    :param has_scopes: whether its callers have scopes.
    """

    name: str
    authenticate: Callable[[], Caller | None]
    scheme: dict[str, Any] = field(default_factory=dict)
    challenge: str = ""
    has_scopes: bool = False


def roles_up_to(role: str) -> frozenset[str]:
    """A role, and each lower one, as the setting ``ROLES`` has them in order; none for
    a role that is not in it."""
    known: list[str] = current_app.config["ROLES"]
    return frozenset(known[: known.index(role) + 1] if role in known else ())


def add_authenticator(app: Flask, authenticator: Authenticator) -> None:
    """Let callers of an application say who they are in one more way. The first
    authenticator that knows the caller decides; those of tokens are asked first, so
    that a token counts also where a browser sends its cookie along."""
    known = authenticators_of(app)
    known.insert(0 if authenticator.has_scopes else len(known), authenticator)


def authenticators_of(app: Flask) -> list[Authenticator]:
    """The authenticators of an application, in order; none by default."""
    found: list[Authenticator] = app.extensions.setdefault("authenticators", [])
    return found


def current_caller() -> Caller | None:
    """Who sends this request; ``None`` for a caller that has not said so, and outside
    of requests."""
    caller: Caller | None = current_app.extensions["current_caller"]()
    return caller


def caller_id() -> str:
    """The id of the caller of this request; empty without one."""
    caller = current_caller()
    return caller.id if caller is not None else ""
