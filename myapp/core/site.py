"""The pages beside the features: ``/``, health, schemas, problems, Swagger UI."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.routing import Rule

from myapp.core.access import public
from myapp.core.db import redis_store, rows
from myapp.core.errors import Problem, problem_response
from myapp.core.openapi import openapi_bytes
from myapp.core.output import respond
from myapp.core.problems import PROBLEMS

SWAGGER_UI = Path(flask_swagger_ui.__file__).with_name("dist")
# In the order in which the index shows them.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
HTML, JSON_TYPE = "text/html", "application/json"

blueprint = Blueprint("core", __name__, template_folder="templates")


def wants_html() -> bool:
    """Whether the client would rather have a page than JSON."""
    return request.accept_mimetypes.best_match([JSON_TYPE, HTML]) == HTML


def page(template: str, **context: Any) -> Response:
    """A page in HTML."""
    response = Response(render_template(template, **context), mimetype=HTML)
    response.vary.add("Accept")
    return response


@blueprint.get("/")
@public
def index() -> Response:
    """Show what is here: each feature, its documentation and its routes."""
    features = [describe_feature(name) for name in current_app.extensions["features"]]
    if wants_html():
        return page("index.html", features=features)
    response = respond({"features": features})
    response.vary.add("Accept")
    return response


def describe_feature(name: str) -> dict[str, Any]:
    """A mounted feature as the index shows it."""
    feature = current_app.extensions["features"][name]
    rules = current_app.url_map.iter_rules()
    mine = [rule for rule in rules if rule.endpoint.startswith(f"{name}.")]
    api: Any = getattr(current_app.blueprints[name], "api")
    return {
        "name": name,
        "url": f"{feature.url_prefix}/",
        "docs": url_for(f"{name}.docs"),
        "about": api.description,
        "routes": [route for rule in mine for route in describe_rule(rule)],
    }


def describe_rule(rule: Rule) -> Iterator[dict[str, str]]:
    """Each method of a route, with its path and the first line of its docstring."""
    view = current_app.view_functions[rule.endpoint]
    resource = getattr(view, "view_class", None)
    if resource is not None:
        path = rule.rule.replace("<", "{").replace(">", "}")
        for method in [name for name in METHODS if name in resource.methods]:
            lines = (getattr(resource, method.lower()).__doc__ or "").splitlines()
            about = lines[0] if lines else ""
            yield {"method": method, "path": path, "about": about}


@blueprint.get("/health/live")
@public
def live() -> Response:
    """Say that this process answers."""
    return respond({"status": "ok"})


@blueprint.get("/health/ready")
@public
def ready() -> Response:
    """Say whether database and Redis can be reached, and how long it took."""
    checks = {
        "database": check(lambda: rows(text("SELECT 1"))),
        "redis": check(lambda: redis_store.ping()),
    }
    if all(found["ok"] for found in checks.values()):
        return respond({"status": "ok", "checks": checks})
    return problem_response(
        "unavailable", PROBLEMS["unavailable"].meaning, checks=checks
    )


def check(reach: Callable[[], Any]) -> dict[str, Any]:
    """Try to reach a store: whether it answered, and the milliseconds it took."""
    start = time.perf_counter()
    try:
        reach()
        reached = True
    except (RedisError, SQLAlchemyError):
        reached = False
    return {"ok": reached, "ms": round((time.perf_counter() - start) * 1000, 3)}


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
    kind = PROBLEMS.get(slug)
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
    """A file of Swagger UI 5, from the machine itself."""
    response = send_from_directory(SWAGGER_UI, name, max_age=3600)
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response
