"""The Api of a feature: its routes, and its Swagger page.

flask-restx stands behind a thin subclass. It routes and writes Swagger 2.0; errors,
validation and JSON are ours, so its handlers, its root route and its own pages are
not registered.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import flask_restx
from flask import Blueprint, Response, render_template, request, url_for
from flask.blueprints import BlueprintSetupState

from myapp.core.access import public
from myapp.core.db import SAFE_METHODS
from myapp.core.idempotency import AnswerStore, answer_once
from myapp.core.output import respond
from myapp.core.schema import JSON
from myapp.core.swagger import downgrade, model_name
from myapp.core.transaction import in_transaction

View = TypeVar("View", bound=Callable[..., Any])

PROBLEM_SCHEMA: JSON = {
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


@dataclass(frozen=True)
class Description:
    """What a method takes and answers.

    :param answers: the schema of the body by status, ``None`` for no body.
    :param errors: the statuses of problems that it may answer with.
    :param body: the schema of the request's body.
    :param other_bodies: the schemas of bodies of other media types than JSON.
    :param query: the schema of each parameter of the query.
    :param id: what the operation is called in clients; by its class when it is empty.
    """

    answers: Mapping[int, JSON | None]
    errors: tuple[int, ...] = (400,)
    body: JSON | None = None
    other_bodies: Mapping[str, JSON] = field(default_factory=dict)
    query: Mapping[str, JSON] = field(default_factory=dict)
    id: str = ""

    def knows(self, status: int) -> bool:
        """Whether a status is described; a failure need not be, nor that another
        route is at the path, which does not take the method."""
        described = status in self.answers or status in self.errors
        return described or status == 405 or status >= 500


def describe(answers: Mapping[int, JSON | None], **more: Any) -> Callable[[View], View]:
    """State what a method of a resource takes and answers; see :class:`Description`.

    The Swagger page shows it and the test client holds every response against it.
    """

    def mark(view: View) -> View:
        setattr(view, "description", Description(answers, **more))
        return view

    return mark


class Resource(flask_restx.Resource):  # type: ignore[misc]  # flask-restx has no types
    """A class with one method for each HTTP method, called inside a transaction.

    A method returns a value for the body of a 200, or a response.
    """

    init_every_request = False
    #: Where answers to an Idempotency-Key are kept; ``None`` to ignore such keys.
    answers: AnswerStore | None = None
    #: Whether each method writes one SQL statement at most, see :func:`db.write`.
    lone_writes = False
    #: Whether a write must carry If-Match.
    requires_if_match = False
    #: Headers of the answer to OPTIONS, beside Allow.
    options_headers: Mapping[str, str] = {}

    def dispatch_request(self, **kwargs: Any) -> Response:
        """Call the method; HEAD is GET without its body, which the server drops."""
        method = request.method
        view = getattr(self, "get" if method == "HEAD" else method.lower())
        if method in SAFE_METHODS:
            answer = view(**kwargs)
        elif self.answers is not None and is_once(method):
            answer = answer_once(self.answers, view, **kwargs)
        else:
            answer = in_transaction(view, self.lone_writes, **kwargs)
        return answer if isinstance(answer, Response) else respond(answer)


def is_once(method: str) -> bool:
    """Whether this request asks to be answered once."""
    return "HTTP_IDEMPOTENCY_KEY" in request.environ and method in ("POST", "PATCH")


class Api(flask_restx.Api):  # type: ignore[misc]  # flask-restx has no types
    """The Api of one blueprint, and ``docs`` and ``swagger.json`` beside its routes.

    :param blueprint: of the feature.
    :param schemas: filled with every schema that a route of this Api names.
    """

    def __init__(self, blueprint: Blueprint, **kwargs: Any) -> None:
        self.schemas: list[JSON] = [PROBLEM_SCHEMA]
        super().__init__(blueprint, validate=False, **kwargs)

    def init_app(self, app: Blueprint, **_kwargs: Any) -> None:
        """Attach to the blueprint; nothing of the application is touched."""
        self.blueprint = app
        app.record(self._remember)
        app.add_url_rule("/docs", "docs", self.docs_page)
        app.add_url_rule("/swagger.json", "swagger", self.swagger_document)

    def _remember(self, state: BlueprintSetupState) -> None:
        self.blueprint_setup = state

    @property
    def base_path(self) -> str:
        """Where the blueprint is mounted."""
        return (self.blueprint_setup.url_prefix or "") or "/"

    def register_resource(
        self, namespace: Any, resource: Any, *urls: str, **kwargs: Any
    ) -> str:
        """Document a resource and route to it, with and without a last slash."""
        endpoint = kwargs.pop("endpoint", None) or self.default_endpoint(
            resource, namespace
        )
        self.endpoints.add(endpoint)
        resource.namespace_name = namespace.name
        for method in resource.methods or ():
            self.document(namespace, getattr(resource, method.lower()))
        view = resource.as_view(endpoint)
        for url in urls:
            self.blueprint.add_url_rule(url, endpoint, view, strict_slashes=False)
        return str(endpoint)

    def document(self, namespace: Any, method: Any) -> None:
        """Hand what :func:`describe` stated to flask-restx, for its Swagger."""
        description: Description | None = getattr(method, "description", None)
        if description is None:
            raise TypeError(f"{method.__qualname__} has no @describe")
        for status, schema in description.answers.items():
            model = self.swagger_model(namespace, schema)
            namespace.response(status, HTTPStatus(status).phrase, model)(method)
        for status in description.errors:
            model = self.swagger_model(namespace, PROBLEM_SCHEMA)
            namespace.response(status, HTTPStatus(status).phrase, model)(method)
        if description.body is not None:
            namespace.expect(self.swagger_model(namespace, description.body))(method)
        for schema in description.other_bodies.values():
            self.swagger_model(namespace, schema)
        for name, schema in description.query.items():
            parameter = {"in": "query", **downgrade(schema)}
            namespace.doc(params={name: parameter})(method)

    def swagger_model(self, namespace: Any, schema: JSON | None) -> Any:
        """The downgraded copy of a schema, under its name."""
        if schema is None:
            return None
        if schema not in self.schemas:
            self.schemas.append(schema)
        name = model_name(schema)
        return self.models.get(name) or namespace.schema_model(name, downgrade(schema))

    @public
    def swagger_document(self) -> Any:
        """The Swagger 2.0 document of this feature."""
        return respond(self.__schema__)

    @public
    def docs_page(self) -> Response:
        """The Swagger page of this feature."""
        specification = url_for(f"{self.blueprint.name}.swagger")
        page = render_template("docs.html", title=self.title, url=specification)
        return Response(page, mimetype="text/html")


def feature_blueprint(name: str, import_name: str) -> tuple[Blueprint, Api]:
    """The blueprint of a feature and its Api, described by the feature's docstring.

    :param name: as in the mount table.
    :param import_name: ``__name__`` of the feature's ``endpoints``.
    """
    blueprint = Blueprint(name, import_name)
    package = sys.modules[import_name.rpartition(".")[0] or import_name]
    about = inspect.getdoc(package) or ""
    api = Api(blueprint, version="1", title=name, description=about)
    blueprint.api = api  # type: ignore[attr-defined]
    return blueprint, api
