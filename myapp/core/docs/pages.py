"""The pages that belong to no feature: ``/``, schemas, problems, Swagger UI."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import flask_swagger_ui
from flask import (
    Blueprint,
    Response,
    current_app,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from werkzeug.routing import Rule

from myapp.core.access.rules import public
from myapp.core.docs.openapi import openapi_bytes, template_of
from myapp.core.errors.kinds import KINDS, Slug
from myapp.core.errors.problem import Problem
from myapp.core.http.headers import PAGE_POLICY
from myapp.core.http.methods import METHODS
from myapp.core.http.request import JSON_TYPE
from myapp.core.http.response import respond
from myapp.core.rest.api import api_of

SWAGGER_UI = Path(flask_swagger_ui.__file__).with_name("dist")
HTML = "text/html"

blueprint = Blueprint("core", __name__, template_folder="templates")


def wants_html() -> bool:
    """Whether the client prefers HTML to JSON."""
    return request.accept_mimetypes.best_match([JSON_TYPE, HTML]) == HTML


def page(
    template: str, form_action: str = "", status: int = 200, **context: Any
) -> Response:
    """A page in HTML.

    :param form_action: where the browser may send its forms, as a
        Content-Security-Policy says it; without it, a page sends them by a script.
    """
    response = Response(render_template(template, **context), status, mimetype=HTML)
    response.vary.add("Accept")
    if form_action:
        name, policy = PAGE_POLICY
        own = policy.replace("form-action 'none'", f"form-action {form_action}")
        response.headers[name] = own
    return response


def undescribed(view: Any) -> Any:
    """Mark a view function of a feature that is no part of its API, such as a page, or
    an endpoint of a protocol, so that it needs no description. A decorator."""
    view.is_undescribed = True
    return view


@blueprint.get("/")
@public
def index() -> Response:
    """Show each feature, its documentation and its routes."""
    features = [feature_summary(name) for name in current_app.extensions["features"]]
    if wants_html():
        return page("index.html", features=features)
    response = respond({"features": features})
    response.vary.add("Accept")
    return response


def feature_summary(name: str) -> dict[str, Any]:
    """A mounted feature as the index shows it."""
    feature = current_app.extensions["features"][name]
    rules = current_app.url_map.iter_rules()
    mine = [rule for rule in rules if rule.endpoint.startswith(f"{name}.")]
    return {
        "name": name,
        "url": f"{feature.url_prefix}/",
        "docs": url_for(f"{name}.docs"),
        "about": api_of(current_app, name).description,
        "routes": [route for rule in mine for route in rule_summaries(rule)],
    }


def rule_summaries(rule: Rule) -> Iterator[dict[str, str]]:
    """Each method of a route, with its path and the first line of its docstring."""
    view = current_app.view_functions[rule.endpoint]
    resource = getattr(view, "view_class", None)
    if resource is not None:
        path = template_of(rule)
        for method in [name for name in METHODS if name in resource.methods]:
            lines = (getattr(resource, method.lower()).__doc__ or "").splitlines()
            about = lines[0] if lines else ""
            yield {"method": method, "path": path, "about": about}


@blueprint.get("/schemas/<name>.json")
@public
def schema(name: str) -> Response:
    """Show a JSON Schema by its ``$id``."""
    found = current_app.extensions["schemas"].by_id.get(f"/schemas/{name}.json")
    if found is None:
        raise Problem("not-found")
    return respond(found, headers=[("Content-Type", "application/schema+json")])


@blueprint.get("/problems/<slug>")
@public
def problem(slug: str) -> Response:
    """Explain a kind of error: the target of ``type`` in an error body."""
    kind = KINDS.get(cast(Slug, slug))
    if kind is None:
        raise Problem("not-found")
    if wants_html():
        return page("problem.html", slug=slug, kind=kind)
    return respond({"type": f"/problems/{slug}", **kind._asdict()})


@blueprint.get("/openapi.json")
@public
def openapi() -> Response:
    """Describe every route of every feature, in OpenAPI 3.1."""
    document = openapi_bytes(current_app)
    response = current_app.response_class(document)
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.get("/docs")
@public
def docs() -> Response:
    """Show the OpenAPI document in Swagger UI."""
    return page("docs.html", title="all features", url=url_for("core.openapi"))


@blueprint.get("/swagger-ui/<path:name>")
@public
def swagger_ui(name: str) -> Response:
    """A file of Swagger UI 5, served from this machine."""
    response = send_from_directory(SWAGGER_UI, name, max_age=3600)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response
