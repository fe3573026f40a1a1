"""The list query: what a client may ask of a collection, and where a page ends."""

import re
from dataclasses import dataclass

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeSerializer

from myapp.core.formats import UUID
from myapp.core.request import invalid_parameter

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)


@dataclass(frozen=True)
class ListQuery:
    """One page of a collection, newest first.

    :param limit: records on the page.
    :param after: the id of the last record of the page before, ``None`` at the start.
    """

    limit: int = DEFAULT_LIMIT
    after: str | None = None


def parse_query(resource: str) -> ListQuery:
    """The query of this request.

    :param resource: what the cursor is bound to.
    :raises Problem: 400 for an unknown, repeated or invalid parameter.
    """
    known = ("limit", "cursor")
    for name, values in request.args.lists():
        if name not in known:
            raise invalid_parameter(name, f"is unknown; known are {', '.join(known)}")
        if len(values) > 1:
            raise invalid_parameter(name, "is given more than once")
    cursor = request.args.get("cursor")
    return ListQuery(
        limit=parse_limit(request.args.get("limit")),
        after=None if cursor is None else read_cursor(resource, cursor),
    )


def parse_limit(text: str | None) -> int:
    """How many records a page holds, 1 to 100."""
    if text is None:
        return DEFAULT_LIMIT
    if not NUMBER.match(text) or not 1 <= int(text) <= MAX_LIMIT:
        raise invalid_parameter("limit", f"must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def serializer(resource: str) -> URLSafeSerializer:
    """What signs the cursors of one resource."""
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt=f"cursor{resource}")


def make_cursor(resource: str, after: str) -> str:
    """The signed cursor of the page that follows a record."""
    return str(serializer(resource).dumps(after))


def read_cursor(resource: str, cursor: str) -> str:
    """The record that a cursor stands for.

    :raises Problem: 400 when this server did not make it for this resource.
    """
    try:
        after = serializer(resource).loads(cursor)
    except BadSignature as error:
        raise invalid_parameter("cursor", "was not made here, for this list") from error
    if not isinstance(after, str) or not UUID.match(after):
        raise invalid_parameter("cursor", "was not made here, for this list")
    return after
