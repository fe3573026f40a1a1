"""Cursors: where a page ends, signed, and bound to what was asked and by whom."""

import hashlib
from typing import Any

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeSerializer

from myapp.core.access import caller
from myapp.core.output import plain
from myapp.core.query import ListQuery
from myapp.core.request import invalid_parameter

Parsers = dict[str, Any]


def serializer(query: ListQuery) -> URLSafeSerializer:
    """What signs the cursors of a query, and of no other.

    Resource, filters, words, sort and caller are part of the key; the limit is not,
    so that a client may change the size of its pages on the way.
    """
    bound = (request.path, caller(), query.filters, query.words, query.sort)
    digest = hashlib.sha256(repr(bound).encode()).hexdigest()
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt=f"cursor {digest}")


def make_cursor(query: ListQuery, last: Any) -> str:
    """The cursor of the page behind a document."""
    values = plain([last[name] for name, _ in query.sort])
    return str(serializer(query).dumps(values))


def read_cursor(query: ListQuery, text: str, parsers: Parsers) -> tuple[Any, ...]:
    """The values of ``sort`` where the page before ended.

    :param parsers: how the text of each field becomes a value.
    :raises Problem: 400 when this server did not make it for this query and caller.
    """
    try:
        values = serializer(query).loads(text)
    except BadSignature as error:
        raise invalid_parameter("cursor", "was not made for this query") from error
    return tuple(
        parsers[name](value) if isinstance(value, str) else value
        for value, (name, _) in zip(values, query.sort)
    )
