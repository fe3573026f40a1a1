"""JSON output: orjson for every response, and how each type is written."""

from decimal import Decimal
from typing import Any

import orjson

# Date-times end in Z; a date-time without a zone is in UTC, like all stored ones.
OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC


def default(value: Any) -> str:
    """A value that orjson does not know: a decimal becomes a string, so that it is not
    rounded.

    :raises TypeError: for any other type.
    """
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def dumps(value: Any) -> bytes:
    """A value as JSON in UTF-8."""
    return orjson.dumps(value, default, OPTIONS)


def plain(value: Any) -> Any:
    """A value as a client parses it: strings for date-times, dates and decimals."""
    return orjson.loads(dumps(value))
