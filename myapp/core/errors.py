"""One error class, one handler, one body: RFC 9457 problem details.

Every error leaves as ``application/problem+json``: a :class:`Problem` that the
code raises, an HTTP error of Flask or Werkzeug, a store that cannot be reached,
and a bug, which tells its request id and nothing else.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import orjson
import redis
from flask import Flask, Response, current_app, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, InternalServerError

from myapp.core.faults import is_unavailable
from myapp.core.headers import REQUEST_ID
from myapp.core.routes import methods_of
from myapp.core.problems import BY_STATUS, PROBLEMS

log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"


class Problem(HTTPException):
    """An error that is told to the client.

    :param slug: a key of :data:`myapp.core.problems.PROBLEMS`; gives status and title.
    :param detail: one sentence on this occurrence.
    :param errors: for bad input, one ``{"pointer" or "parameter", "detail",
        "keyword"}`` each.
    :param headers: further response headers, such as ``Allow``.
    """

    def __init__(
        self,
        slug: str,
        detail: str = "",
        errors: Iterable[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        kind = PROBLEMS[slug]
        super().__init__(detail or kind.meaning)
        self.slug = slug
        self.code = kind.status
        self.errors = list(errors)
        self.extra_headers = dict(headers or {})
        #: Which of several items it is about, for a batch.
        self.index = 0


def problem_response(
    slug: str,
    detail: str,
    errors: Iterable[Mapping[str, Any]] = (),
    headers: Iterable[tuple[str, str]] = (),
    **members: Any,
) -> Response:
    """The response for one problem, RFC 9457 section 3.

    :param members: extension members of the body, section 3.2.
    """
    kind = PROBLEMS[slug]
    body: dict[str, Any] = {
        "type": f"/problems/{slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": quote(request.path),
        "request_id": request.environ.get(REQUEST_ID),
    }
    if errors:
        body["errors"] = list(errors)
    text = orjson.dumps({**body, **members})
    response = current_app.response_class(text, kind.status, mimetype=PROBLEM_TYPE)
    for name, value in headers:
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    if kind.status == 503 and "Retry-After" not in response.headers:
        response.headers["Retry-After"] = str(current_app.config["RETRY_AFTER"])
    return response


def handle_http_error(error: HTTPException) -> Any:
    """Answer for every HTTP error, of ours, of Flask's and of Werkzeug's."""
    if isinstance(error, Problem):
        headers = list(error.extra_headers.items())
        detail = str(error.description)
        return problem_response(error.slug, detail, error.errors, headers)
    if error.code is None or error.code < 400:
        return error
    if isinstance(error, InternalServerError) and error.original_exception is not None:
        return problem_response("internal-error", PROBLEMS["internal-error"].meaning)
    slug = BY_STATUS.get(error.code, "bad-request" if error.code < 500 else "error")
    headers = list(error.get_headers(request.environ))
    # Werkzeug also lists the methods of routes with variables that match this path.
    if error.code == 405 and (methods := methods_of(request.path)):
        headers.append(("Allow", ", ".join(sorted(methods))))
    return problem_response(slug, PROBLEMS[slug].meaning, headers=headers)


def handle_store_error(error: Exception) -> Response:
    """Answer 503 when a store cannot be reached, or 500 for an error in its use."""
    if not is_unavailable(error):
        log.error("store error", exc_info=error)
        return problem_response("internal-error", PROBLEMS["internal-error"].meaning)
    log.warning("store unavailable: %s", type(getattr(error, "orig", error)).__name__)
    return problem_response("unavailable", PROBLEMS["unavailable"].meaning)


def init_app(app: Flask) -> None:
    """Register the one handler for every kind of error."""
    app.register_error_handler(HTTPException, handle_http_error)
    app.register_error_handler(SQLAlchemyError, handle_store_error)
    app.register_error_handler(redis.RedisError, handle_store_error)
