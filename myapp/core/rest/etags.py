"""Conditional requests, RFC 9110 section 13: ETags, If-Match and If-None-Match.

The strong validator of a record is made from its version. It is checked before a
write, and again by the write itself, which states the version that was read. So no
other change comes in between.
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
    """The strong validator of a record, section 8.8.3."""
    return f'"{validator_of(record)}"'


def validator_of(record: Record) -> str:
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
    """Hold a record against the conditions of a request that writes.

    :raises Problem: 412 when one fails, 428 when the model demands If-Match and there
        is none, 400 when a header is malformed.
    """
    environ = request.environ
    if "HTTP_IF_MATCH" in environ:
        wanted = entity_tags("If-Match")
        # Strong comparison: a weak tag never matches (section 13.1.1).
        if wanted is not None and (False, validator_of(record)) not in wanted:
            raise Problem("precondition-failed")
    elif record.model.requires_if_match:
        raise Problem("precondition-required")
    if "HTTP_IF_NONE_MATCH" in environ and matches_none_match(record):
        raise Problem("precondition-failed")


def is_unchanged(record: Record) -> bool:
    """Whether a client that reads has this version already (304)."""
    return "HTTP_IF_NONE_MATCH" in request.environ and matches_none_match(record)


def matches_none_match(record: Record) -> bool:
    """Weak comparison with If-None-Match (section 13.1.2)."""
    known = entity_tags("If-None-Match")
    return known is None or any(tag == validator_of(record) for _, tag in known)
