"""What all features share. Nothing in here knows a feature."""

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Flask

from myapp.core import cli, db, errors, headers, logs, request, site
from myapp.core.access import stated_access
from myapp.core.api import PROBLEM_SCHEMA
from myapp.core.feature import Feature
from myapp.core.schema import Schemas


def init_app(app: Flask) -> None:
    """Wire the core into an application, in order: what comes first in a request,
    and last in its response, is wired first."""
    app.config["RESTX_INCLUDE_ALL_MODELS"] = True
    app.config["RESTX_MASK_SWAGGER"] = False
    app.extensions["features"] = {}
    app.extensions["schemas"] = Schemas()
    app.extensions["schemas"].add(PROBLEM_SCHEMA)
    logs.init_app(app)
    headers.init_app(app)
    request.init_app(app)
    errors.init_app(app)
    db.init_app(app)
    cli.init_app(app)
    app.register_blueprint(site.blueprint)
    check_access(app, site.blueprint.name, None)


def mount(app: Flask, feature: Feature, blueprint: Blueprint) -> None:
    """Mount a feature: its routes, its schemas, and the access that they state.

    :raises LookupError: when a route states no access.
    :raises ValueError: when a schema has no ``$id``, or one that is taken.
    """
    app.register_blueprint(blueprint, url_prefix=feature.url_prefix)
    app.extensions["features"][feature.name] = feature
    for schema in blueprint.api.schemas:  # type: ignore[attr-defined]
        app.extensions["schemas"].add(schema)
    app.extensions["schemas"].check_references()
    check_access(app, blueprint.name, feature.access)


def stating_methods(view: Any, methods: Iterable[str]) -> list[str]:
    """The methods of a route that must state their access: HEAD is answered as GET
    is, and OPTIONS tells no more than the documentation, unless they are written."""
    resource = getattr(view, "view_class", None)
    implied = {"HEAD", "OPTIONS"} - set(getattr(resource, "methods", None) or ())
    return [method for method in methods if method not in implied]


def check_access(app: Flask, name: str, row: str | None) -> None:
    """Make sure that every route of a blueprint states its access."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{name}."):
            view = app.view_functions[rule.endpoint]
            for method in stating_methods(view, rule.methods or ()):
                stated_access(view, method, row)
