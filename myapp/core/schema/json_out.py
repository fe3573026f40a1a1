"""JSON out: orjson for every response, and what each type is on the wire."""

from decimal import Decimal
from typing import Any

import orjson

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
