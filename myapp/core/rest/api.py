"""The Api of a feature: its routes, and its Swagger page.

flask-restx stands behind a thin subclass. It routes and writes Swagger 2.0; errors,
validation and JSON are ours, so its handlers, its root route and its own pages are
not registered.
"""

import inspect
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import flask_restx
from flask import Blueprint, Flask, Response, current_app, render_template, url_for
from flask.blueprints import BlueprintSetupState

from myapp.core.access.rules import public
from myapp.core.errors.problem import PROBLEM_SCHEMA
from myapp.core.http.methods import METHODS
from myapp.core.http.response import respond
from myapp.core.model.model import Model
from myapp.core.rest.resource import Resource
from myapp.core.rest.security import with_security
from myapp.core.schema.names import model_name
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.swagger import downgrade


class Namespace(flask_restx.Namespace):  # type: ignore[misc]  # no types
    """A part of an Api, at a path of its own.

    :ivar served: the models whose routes are in it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.served: list[type[Model]] = []
        super().__init__(*args, **kwargs)


class Api(flask_restx.Api):  # type: ignore[misc]  # flask-restx has no types
    """The Api of one blueprint, and ``docs`` and ``swagger.json`` beside its routes.

    :param blueprint: of the feature.
    :param schemas: filled with every schema that a route of this Api names.
    """

    def __init__(self, blueprint: Blueprint, **kwargs: Any) -> None:
        self.schemas: list[JSON] = [PROBLEM_SCHEMA]
        super().__init__(blueprint, validate=False, **kwargs)

    def namespace(self, *args: Any, **kwargs: Any) -> Namespace:
        """Add a namespace; see :class:`flask_restx.Namespace` for the arguments."""
        namespace = Namespace(*args, **kwargs)
        self.add_namespace(namespace)
        return namespace

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
            self.document(namespace, resource, method.lower())
        view = resource.as_view(endpoint)
        for url in urls:
            self.blueprint.add_url_rule(url, endpoint, view, strict_slashes=False)
        return str(endpoint)

    def document(self, namespace: Any, resource: type[Resource], name: str) -> None:
        """Hand what :func:`describe` stated to flask-restx, for its Swagger."""
        description = resource.descriptions.get(name)
        method = getattr(resource, name)
        if description is None:
            raise TypeError(f"{method.__qualname__} has no @describe")
        for status, schema in description.responses.items():
            model = self.swagger_model(namespace, schema)
            namespace.response(status, HTTPStatus(status).phrase, model)(method)
        for status in description.errors:
            model = self.swagger_model(namespace, PROBLEM_SCHEMA)
            namespace.response(status, HTTPStatus(status).phrase, model)(method)
        if description.body is not None:
            namespace.expect(self.swagger_model(namespace, description.body))(method)
        for schema in (*description.other_bodies.values(), *description.parts):
            self.swagger_model(namespace, schema)
        for parameter, schema in description.query.items():
            documented = {"in": "query", **downgrade(schema)}
            namespace.doc(params={parameter: documented})(method)

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
        document = with_security(current_app, self.blueprint.name, self.__schema__)
        # The order of flask-restx is that of a set: another one at each start.
        paths = {
            path: {name: known[name] for name in sorted(known, key=place_of_method)}
            for path, known in document["paths"].items()
        }
        return respond({**document, "paths": paths})

    @public
    def docs_page(self) -> Response:
        """The Swagger page of this feature."""
        name = self.blueprint.name
        places = {
            "url": url_for("core.openapi_of", feature=name),
            "old": url_for(f"{name}.swagger"),
        }
        page = render_template("docs.html", title=self.title, **places)
        return Response(page, mimetype="text/html")


def place_of_method(name: str) -> int:
    """Where a method of a path stands in a document; what is none stands first."""
    return METHODS.index(name.upper()) if name.upper() in METHODS else -1


class FeatureBlueprint(Blueprint):
    """The blueprint of a feature, with its Api.

    :param about: what the feature is.
    :param settings: its own settings, with their defaults.
    """

    def __init__(
        self, name: str, import_name: str, about: str, settings: Mapping[str, Any]
    ) -> None:
        super().__init__(name, import_name, template_folder="templates")
        self.settings = settings
        self.cli.help = about.partition("\n")[0]
        self.api = Api(self, version="1", title=name, description=about)


def feature_blueprint(
    name: str, import_name: str, settings: Mapping[str, Any] | None = None
) -> tuple[FeatureBlueprint, Api]:
    """The blueprint of a feature and its Api, described by the feature's docstring.

    :param name: as in the mount table.
    :param import_name: ``__name__`` of the feature's ``endpoints``.
    :param settings: the feature's own settings, with their defaults; they are set as
        those in ``default_config.py``, and have the type of the default.
    """
    package = sys.modules[import_name.rpartition(".")[0] or import_name]
    about = inspect.getdoc(package) or ""
    blueprint = FeatureBlueprint(name, import_name, about, settings or {})
    return blueprint, blueprint.api


def api_of(app: Flask, feature: str) -> Api:
    """The Api of a mounted feature."""
    blueprint = app.blueprints[feature]
    if not isinstance(blueprint, FeatureBlueprint):
        raise TypeError(f"{feature} was not made by feature_blueprint")
    return blueprint.api
