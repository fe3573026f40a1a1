"""The error handlers: each error becomes a problem document.

They handle a :class:`~myapp.core.errors.Problem` that the code raises, an HTTP error of
Flask or Werkzeug, a store that cannot be reached, and a bug. The response to a bug
shows its request id and no details.
"""

import logging
from contextlib import suppress
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, InternalServerError

from myapp.core.errors.kinds import BY_STATUS, Slug
from myapp.core.errors.problem import Problem
from myapp.core.http.methods import methods_of
from myapp.core.http.response import PROBLEM_TYPE, problem_response
from myapp.core.stores.faults import is_unavailable
from myapp.core.stores.store import Store, registered_stores

log = logging.getLogger(__name__)


def handle_http_error(error: HTTPException) -> Any:
    """Respond to an HTTP error of this code, of Flask or of Werkzeug."""
    if isinstance(error, Problem):
        headers = list(error.extra_headers.items())
        detail = str(error.description)
        return problem_response(error.slug, detail, error.errors, headers)
    if error.code is None or error.code < 400:
        return error
    if isinstance(error, InternalServerError) and error.original_exception is not None:
        return problem_response("internal-error")
    unknown: Slug = "bad-request" if error.code < 500 else "error"
    slug = BY_STATUS.get(error.code, unknown)
    headers = list(error.get_headers(request.environ))
    # Werkzeug also lists the methods of routes with variables that match this path.
    if error.code == 405 and (methods := methods_of(request.path)):
        headers.append(("Allow", ", ".join(sorted(methods))))
    return problem_response(slug, headers=headers)


def check_precondition(response: Response) -> Response:
    """Make a problem document of a 412 of Werkzeug, which carries the whole file."""
    if response.status_code == 412 and response.mimetype != PROBLEM_TYPE:
        response.close()
        return problem_response("precondition-failed")
    return response


def handle_store_error(error: Exception) -> Response:
    """Respond with 503 when a store cannot be reached, and with 500 when the code used
    it wrongly."""
    if not is_unavailable(error):
        log.error("store error%s", warnings_of_stores(), exc_info=error)
        return problem_response("internal-error")
    log.warning("store unavailable: %s", type(getattr(error, "orig", error)).__name__)
    return problem_response("unavailable")


def warnings_of_stores() -> str:
    """What the stores warn of, which may be the cause, such as a migration that is
    missing; empty when they cannot be asked."""
    told = []
    for store in registered_stores():
        with suppress(*store.errors):
            told.append(store.warning())
    return "".join(f": {one}" for one in told if one)


def init_app(app: Flask) -> None:
    """Register the handlers, including those for the errors of each store."""
    app.register_error_handler(HTTPException, handle_http_error)
    app.after_request(check_precondition)
    stores: tuple[Store, ...] = app.extensions["stores"]
    for error in (error for store in stores for error in store.errors):
        app.register_error_handler(error, handle_store_error)
