"""Resources: classes with one method for each HTTP method."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flask_restx
from flask import Response, request

from myapp.core.access.rules import SAFE_METHODS
from myapp.core.errors.problem import Problem
from myapp.core.http.description import Description
from myapp.core.http.response import respond
from myapp.core.model.idempotency_store import ResponseStore
from myapp.core.model.model import Model
from myapp.core.rest.idempotency import respond_once
from myapp.core.stores.transaction import in_transaction, reading


class Resource(flask_restx.Resource):  # type: ignore[misc]  # flask-restx has no types
    """A class with one method for each HTTP method, called inside a transaction.

    A method returns a value for the body of a 200, or a response.
    """

    init_every_request = False
    #: See :func:`myapp.core.http.edge.at_edge`.
    has_edge = True
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
            result = reading(view, **kwargs)
        elif self.kept_responses is not None and has_key(method):
            result = respond_once(self.kept_responses, view, **kwargs)
        else:
            result = in_transaction(view, self.writes_alone(), **kwargs)
        return result if isinstance(result, Response) else respond(result)

    def writes_alone(self) -> bool:
        """Whether this request writes one SQL statement at most."""
        return self.lone_writes


class ModelResource(Resource):
    """A resource over a model; it keeps the responses to Idempotency-Keys in the store
    of the model."""

    model: ClassVar[type[Model]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "model" in cls.__dict__ and "kept_responses" not in cls.__dict__:
            cls.kept_responses = cls.model.kept_responses()

    def writes_alone(self) -> bool:
        """Not with rules and hooks, which may write more."""
        return self.lone_writes and not self.model.is_watched()


class NestedResource(ModelResource):
    """A resource below another one. Of the variables in its path, its methods take the
    id; the others go to the scope of the model."""

    def dispatch_request(self, **kwargs: Any) -> Response:
        """Call the method, if the records exist that the path names.

        :raises Problem: 404 when one does not.
        """
        own = {"id": kwargs.pop("id")} if "id" in kwargs else {}
        for relation in self.model.relations.values():
            if relation.field in kwargs:
                try:
                    id = relation.model.key.parse(str(kwargs[relation.field]))
                except ValueError as error:
                    raise Problem("not-found") from error
                if not relation.model.read([id]):
                    raise Problem("not-found")
        return super().dispatch_request(**own)


def has_key(method: str) -> bool:
    """Whether this request carries an Idempotency-Key that counts."""
    return "HTTP_IDEMPOTENCY_KEY" in request.environ and method in ("POST", "PATCH")
