"""Resources: classes with one method for each HTTP method."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flask_restx
from flask import Response, request

from myapp.core.http.description import Description
from myapp.core.http.methods import SAFE_METHODS
from myapp.core.http.response import respond
from myapp.core.model.idempotency_store import ResponseStore
from myapp.core.rest.idempotency import respond_once
from myapp.core.stores.transaction import in_transaction


class Resource(flask_restx.Resource):  # type: ignore[misc]  # flask-restx has no types
    """A class with one method for each HTTP method, called inside a transaction.

    A method returns a value for the body of a 200, or a response.
    """

    init_every_request = False
    #: What each method takes and answers, by its name; :func:`describe` fills it.
    descriptions: ClassVar[Mapping[str, Description]] = {}
    #: The namespace that it is in.
    namespace_name: ClassVar[str] = ""
    #: Where the responses to an Idempotency-Key are kept; ``None`` ignores such keys.
    kept_responses: ResponseStore | None = None
    #: Whether each method writes one SQL statement at most, see
    #: :func:`myapp.core.stores.sql.write`.
    lone_writes = False
    #: Whether a write must carry If-Match.
    requires_if_match = False
    #: Headers of the response to OPTIONS, beside Allow.
    options_headers: Mapping[str, str] = {}

    def dispatch_request(self, **kwargs: Any) -> Response:
        """Call the method; HEAD is GET without its body, which the server drops."""
        method = request.method
        view = getattr(self, "get" if method == "HEAD" else method.lower())
        if method in SAFE_METHODS:
            result = view(**kwargs)
        elif self.kept_responses is not None and has_key(method):
            result = respond_once(self.kept_responses, view, **kwargs)
        else:
            result = in_transaction(view, self.lone_writes, **kwargs)
        return result if isinstance(result, Response) else respond(result)


def has_key(method: str) -> bool:
    """Whether this request carries an Idempotency-Key that counts."""
    return "HTTP_IDEMPOTENCY_KEY" in request.environ and method in ("POST", "PATCH")
