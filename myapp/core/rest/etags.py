"""Conditional requests, RFC 9110 section 13: ETags, If-Match and If-None-Match.

The strong validator of a record is made from its version, and from the schema that it
is shown by. The version is checked before a write, and again by the write itself, which
states the version that was read. So no other change comes in between.
"""

import re

from flask import request

from myapp.core.errors.problem import Problem
from myapp.core.model.record import Record
from myapp.core.schema.json_out import plain

# Empty elements of a list do not count (RFC 9110 section 5.6.1).
TAG = re.compile(r'[\s,]*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,[\s,]*|\Z)')
#: The same for documentation: one or more tags, or a star.
TAGS_PATTERN = r'^(\*|(W/)?"[\x21\x23-\x7e]*"( *, *(W/)?"[\x21\x23-\x7e]*")*)$'


def etag(record: Record) -> str:
    """The strong validator of a record, section 8.8.3: what is stored, a hyphen, and
    the shape in which it is shown."""
    return f'"{stored_part(record)}-{record.model.shape}"'


def stored_part(record: Record) -> str:
    """The version of a record; where clients give the ids, also when it was made, since
    a client may delete a record and make another one with the same id."""
    if record.model.key.make is not None:
        return str(record.version)
    made = re.sub(r"[^0-9]", "", str(plain(record["created_at"])))
    return f"{record.version}.{made}"


def entity_tags(name: str) -> list[tuple[bool, str]] | None:
    """The tags of a header, each with whether it is weak; ``None`` for ``*``.

    :raises Problem: 400 when it is not a list of entity tags.
    """
    text = request.headers[name].strip()
    if text == "*":
        return None
    found, position = [], 0
    while position < len(text):
        match = TAG.match(text, position)
        if match is None:
            raise Problem("bad-request", f"{name} is not a list of entity tags.")
        found.append((bool(match[1]), match[2]))
        position = match.end()
    if not found:
        raise Problem("bad-request", f"{name} names no entity tag.")
    return found


def check_write(record: Record) -> None:
    """Hold a record against the conditions of a request that writes. What is stored
    counts alone, so that a new release refuses no client for another shape.

    :raises Problem: 412 when one fails, 428 when the model demands If-Match and there
        is none, 400 when a header is malformed.
    """
    environ, stored = request.environ, stored_part(record)
    if "HTTP_IF_MATCH" in environ:
        wanted = entity_tags("If-Match")
        # Strong comparison: a weak tag never matches (section 13.1.1).
        if wanted is not None and not any(
            not is_weak and is_of(tag, stored) for is_weak, tag in wanted
        ):
            raise Problem("precondition-failed")
    elif record.model.requires_if_match:
        raise Problem("precondition-required")
    if "HTTP_IF_NONE_MATCH" in environ:
        unwanted = entity_tags("If-None-Match")
        if unwanted is None or any(is_of(tag, stored) for _, tag in unwanted):
            raise Problem("precondition-failed")


def is_of(tag: str, stored: str) -> bool:
    """Whether a tag stands for what is stored, in any shape."""
    return tag.partition("-")[0] == stored


def is_unchanged(record: Record) -> bool:
    """Whether a client that reads has this version in this shape already (304): weak
    comparison with If-None-Match (section 13.1.2)."""
    if "HTTP_IF_NONE_MATCH" not in request.environ:
        return False
    known, current = entity_tags("If-None-Match"), etag(record)[1:-1]
    return known is None or any(tag == current for _, tag in known)
