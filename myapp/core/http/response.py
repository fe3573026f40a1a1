"""Responses: JSON, and problem documents."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import orjson
from flask import Response, current_app, request

from myapp.core.errors.kinds import Slug
from myapp.core.errors.problem import problem_body
from myapp.core.http.headers import REQUEST_ID
from myapp.core.schema.json_out import dumps

PROBLEM_TYPE = "application/problem+json"


def respond(
    value: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """A JSON response.

    :param value: the value of the body; ``None`` for no body.
    :param headers: names and values, such as the ETag.
    """
    body = b"" if value is None else dumps(value)
    response = current_app.response_class(body, status, list(headers))
    if value is None:
        del response.headers["Content-Type"]
    return response


def redirect_to(url: str) -> Response:
    """A redirect to a page, after any method (RFC 9110 section 15.4.4), which no cache
    keeps."""
    response = Response(status=303, headers={"Location": url})
    response.headers["Cache-Control"] = "no-store"
    return response


def problem_response(
    slug: Slug,
    detail: str = "",
    errors: Iterable[Mapping[str, Any]] = (),
    headers: Iterable[tuple[str, str]] = (),
    **members: Any,
) -> Response:
    """The response for one problem, RFC 9457 section 3.

    :param detail: one sentence; empty for the meaning of its kind.
    :param members: extension members of the body, section 3.2.
    """
    place, request_id = quote(request.path), request.environ.get(REQUEST_ID)
    body = problem_body(slug, detail, place, request_id)
    if errors:
        body["errors"] = list(errors)
    text = orjson.dumps({**body, **members})
    response = current_app.response_class(text, body["status"], mimetype=PROBLEM_TYPE)
    for name, value in headers:
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    if body["status"] == 503 and "Retry-After" not in response.headers:
        response.headers["Retry-After"] = str(current_app.config["RETRY_AFTER"])
    return response
