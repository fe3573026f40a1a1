"""Cookies that no script reads, that no other site sends with a write, and that stay
with this host."""

from flask import Response, current_app, request


def full_name(name: str) -> str:
    """The name of a cookie; in production the prefix makes browsers keep it for this
    host and for TLS alone (RFC 6265bis section 4.1.3.2)."""
    return f"__Host-{name}" if is_in_production() else name


def is_in_production() -> bool:
    """Whether cookies are for TLS alone."""
    return bool(current_app.config["ENV"] == "production")


def sent_value(name: str) -> str:
    """The value of a cookie of this request; empty without one.

    :param name: without a prefix.
    """
    return request.cookies.get(full_name(name), "")


def write_cookie(
    response: Response, name: str, value: str, max_age: int | None
) -> None:
    """Set a cookie.

    :param name: without a prefix.
    :param max_age: in seconds; ``None`` until the browser closes, 0 removes it.
    """
    response.set_cookie(
        full_name(name),
        value,
        max_age=max_age,
        secure=is_in_production(),
        httponly=True,
        samesite="Lax",
        path="/",
    )
    response.headers["Cache-Control"] = "no-store"
