"""The error class for everything that a client is told about: problems, RFC 9457."""

from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.exceptions import HTTPException

from myapp.core.errors.kinds import KINDS, Slug

PROBLEM_SCHEMA: dict[str, Any] = {
    "$id": "/schemas/problem.json",
    "title": "Problem details, RFC 9457",
    "examples": [
        {
            "type": "/problems/not-found",
            "title": "Not found",
            "status": 404,
            "detail": "There is nothing at this URL.",
            "instance": "/nowhere",
            "request_id": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        }
    ],
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string"},
                    "parameter": {"type": "string"},
                    "detail": {"type": "string"},
                    "keyword": {"type": "string"},
                },
                "required": ["detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}


class Problem(HTTPException):
    """An error that is sent to the client as a problem document.

    :param slug: its kind, which gives status and title; a key of
        :data:`myapp.core.errors.kinds.KINDS`.
    :param detail: one sentence about this occurrence.
    :param errors: for bad input, one ``{"pointer" or "parameter", "detail",
        "keyword"}`` for each mistake.
    :param headers: further response headers, such as ``Allow``.
    """

    def __init__(
        self,
        slug: Slug,
        detail: str = "",
        errors: Iterable[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        kind = KINDS[slug]
        super().__init__(detail or kind.meaning)
        self.slug = slug
        self.code = kind.status
        self.errors = list(errors)
        self.extra_headers = dict(headers or {})
        #: In a batch, the index of the item that caused the problem.
        self.index = 0
        #: The index of the item of each error, when there are errors of several items.
        self.indexes: list[int] = []


def problem_body(
    slug: Slug, detail: str, instance: str, request_id: str | None
) -> dict[str, Any]:
    """The members of a problem document, RFC 9457 section 3.1.

    :param detail: one sentence; empty for the meaning of its kind.
    :param instance: the URL at which it occurred.
    """
    kind = KINDS[slug]
    return {
        "type": f"/problems/{slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail or kind.meaning,
        "instance": instance,
        "request_id": request_id,
    }


def invalid_parameter(name: str, detail: str) -> Problem:
    """The problem of one bad parameter of the path or the query."""
    return Problem(
        "invalid-parameter",
        f"Parameter {name!r} {detail}.",
        errors=[{"parameter": name, "detail": detail}],
    )
