"""The pages that belong to no feature: ``/``, schemas, problems, Swagger UI."""

from pathlib import Path
from typing import Any, cast

import flask_swagger_ui
from flask import (
    Blueprint,
    Response,
    current_app,
    render_template,
    request,
    send_file,
    send_from_directory,
    url_for,
)

from myapp.core import __version__
from myapp.core.access.rules import public
from myapp.core.docs import summary
from myapp.core.docs.browsing import HTML, wants_html
from myapp.core.docs.openapi import openapi_bytes
from myapp.core.errors.kinds import KINDS, Slug
from myapp.core.errors.problem import Problem
from myapp.core.http.headers import PAGE_POLICY
from myapp.core.http.response import respond

SWAGGER_UI = Path(flask_swagger_ui.__file__).with_name("dist")
ICON = Path(__file__).with_name("static") / "favicon.svg"

blueprint = Blueprint("core", __name__, template_folder="templates")


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
    features = summary.features_summary()
    version = {"version": __version__, "release": current_app.config["RELEASE"]}
    if wants_html():
        found = {"stored": summary.stored(), "stores": summary.stores(), **version}
        return page("index.html", features=features, **found)
    response = respond({"features": features, **version})
    response.vary.add("Accept")
    return response


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
    return described("")


@blueprint.get("/openapi/<feature>.json")
@public
def openapi_of(feature: str) -> Response:
    """Describe the routes of one feature, in OpenAPI 3.1."""
    if feature not in current_app.extensions["features"]:
        raise Problem("not-found")
    return described(feature)


def described(feature: str) -> Response:
    """The OpenAPI document of a feature, or of all, with its ETag."""
    document = openapi_bytes(current_app, feature)
    response = current_app.response_class(document)
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.get("/favicon.ico")
@public
def favicon() -> Response:
    """The icon of the pages, for browsers that show JSON, too."""
    return send_file(ICON, "image/svg+xml", max_age=24 * 3600)


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
