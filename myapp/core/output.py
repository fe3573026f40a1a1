"""Fast JSON out: orjson for every response, and its types on the wire."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson
from flask import Response, current_app
from flask.json.provider import JSONProvider

from myapp.core import strict_json

# Moments end in Z; one without a zone is in UTC, as all that we store.
OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC


def default(value: Any) -> str:
    """What orjson does not know: decimals travel as strings, so that none is rounded.

    :raises TypeError: for anything else.
    """
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def dumps(value: Any) -> bytes:
    """A value as JSON in UTF-8."""
    return orjson.dumps(value, default, OPTIONS)


def plain(value: Any) -> Any:
    """A value as a client would parse it: strings for moments, days and decimals."""
    return orjson.loads(dumps(value))


class StrictProvider(JSONProvider):
    """orjson out and strict JSON in, for what goes through Flask's own functions."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        """JSON as a string, for Flask."""
        return dumps(obj).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        """Parse what a client sent.

        :raises strict_json.JSONRefused: for what is not accepted.
        """
        return strict_json.loads(s.encode() if isinstance(s, str) else s)


def respond(
    value: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """A JSON response.

    :param value: what the body holds; ``None`` for no body at all.
    :param headers: names and values, such as the ETag.
    """
    body = b"" if value is None else dumps(value)
    response = current_app.response_class(body, status, list(headers))
    if value is None:
        del response.headers["Content-Type"]
    return response
