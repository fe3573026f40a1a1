"""Cursors: where a page ends, signed, and bound to what was asked and by whom."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from flask import current_app, request
from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode

from myapp.core.access.caller import caller_id
from myapp.core.errors.problem import invalid_parameter
from myapp.core.query.filters import typed
from myapp.core.query.list_query import ListQuery
from myapp.core.schema.json_out import dumps
from myapp.core.schema.strict_json import JSON


def signer(query: ListQuery) -> Signer:
    """What signs the cursors of a query, and of no other.

    Resource, filters, words, sort and caller are part of the salt; the limit is not,
    so that a client may change the size of its pages on the way.
    """
    bound = (request.path, caller_id(), query.filters, query.words, query.sort)
    # The last secret signs; each of them is taken.
    former = current_app.config["SECRET_KEY_FALLBACKS"]
    secrets = [*former, current_app.config["SECRET_KEY"]]
    return Signer(secrets, salt=f"cursor {bound!r}", digest_method=hashlib.sha256)


def make_cursor(query: ListQuery, last: Any) -> str:
    """The cursor of the page after a document."""
    values = dumps([last[name] for name, _ in query.sort])
    return signer(query).sign(base64_encode(values)).decode()


def read_cursor(
    query: ListQuery, text: str, properties: Mapping[str, JSON]
) -> tuple[Any, ...]:
    """The values of ``sort`` where the previous page ended.

    :param properties: the schema of each field, which says what its value is.
    :raises Problem: 400 when this server did not make it for this query and caller.
    """
    try:
        values = orjson.loads(base64_decode(signer(query).unsign(text)))
    except BadData as error:
        raise invalid_parameter("cursor", "was not made for this query") from error
    pairs = zip(values, query.sort)
    return tuple(typed(value, properties[name]) for value, (name, _) in pairs)
