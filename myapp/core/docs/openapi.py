"""OpenAPI 3.1: one document for every mounted feature, from what its routes describe.

The JSON Schemas are included unchanged, by name instead of by ``$id``. The Swagger
pages of the features show a reduced copy; this document is complete.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from myapp.core.access import rules
from myapp.core.access.caller import Authenticator, authenticators_of
from myapp.core.docs.components import component, reference, used_schemas
from myapp.core.docs.headers import (
    HEADERS,
    problem_headers,
    request_headers,
    response_headers,
)
from myapp.core.errors.problem import PROBLEM_SCHEMA
from myapp.core.http.access import access_table, known_scopes
from myapp.core.http.description import Description, description_of
from myapp.core.http.methods import METHODS
from myapp.core.http.request import JSON_TYPE
from myapp.core.http.response import PROBLEM_TYPE
from myapp.core.model.key import UUID_KEY
from myapp.core.rest.api import api_of
from myapp.core.schema.json_out import dumps
from myapp.core.schema.names import snake
from myapp.core.schema.strict_json import JSON

VARIABLE = re.compile(r"<(?:(\w+):)?(\w+)>")
# The schema of a path variable, by its converter in Werkzeug.
PATH_SCHEMAS: dict[str, JSON] = {
    "uuid": {"type": "string", "format": "uuid"},
    "string": {"type": "string"},
    "path": {"type": "string"},
    "int": {"type": "integer", "minimum": 0},
}


def template_of(rule: Rule) -> str:
    """The path of a route, with its variables as OpenAPI writes them: ``{id}``."""
    return VARIABLE.sub(r"{\2}", rule.rule)


def build_document(app: Flask, feature: str = "") -> JSON:
    """The document of an application.

    :param feature: the name of one feature, for the document of its routes alone.
    """
    paths: JSON = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda one: one.rule):
        if feature and rule.endpoint.partition(".")[0] != feature:
            continue
        for method, operation in operations(app, rule):
            paths.setdefault(template_of(rule), {})[method] = operation
    schemas = app.extensions["schemas"].by_id.values()
    named: JSON = {}
    schemes = {one.name: scheme_of(app, one) for one in authenticators_of(app)}
    for schema in schemas:
        named.update(component(schema))
    if feature:
        named = used_schemas(named, paths)
    return {
        "openapi": "3.1.0",
        "info": {"title": feature or app.name, "version": "1"},
        "tags": list(tag_objects(app, feature)),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(named.items())),
            "headers": HEADERS,
            **({"securitySchemes": schemes} if schemes else {}),
        },
    }


def scheme_of(app: Flask, authenticator: Authenticator) -> JSON:
    """The Security Scheme Object of an authenticator; the flows of OAuth tell the
    scopes that the routes ask for."""
    scheme = authenticator.scheme
    if "flows" not in scheme:
        return scheme
    scopes = known_scopes(app)
    flows = {name: {**one, "scopes": scopes} for name, one in scheme["flows"].items()}
    return {**scheme, "flows": flows}


def openapi_bytes(app: Flask, feature: str = "") -> bytes:
    """The document as JSON, built at the first request for it.

    :param feature: as for :func:`build_document`.
    """
    known: dict[str, bytes] = app.extensions.setdefault("openapi", {})
    if feature not in known:
        known[feature] = dumps(build_document(app, feature))
    return known[feature]


def tag_objects(app: Flask, feature: str) -> Iterator[JSON]:
    """One tag for each namespace of each feature, and one for health.

    :param feature: as for :func:`build_document`.
    """
    for name in [feature] if feature else app.extensions["features"]:
        for namespace in api_of(app, name).namespaces:
            if namespace.name != "default":
                about = namespace.description or ""
                yield {"name": tag(name, namespace.name), "description": about}
    if not feature:
        yield {
            "name": "health",
            "description": "Whether the server and its stores answer.",
        }


def tag(feature: str, namespace: str) -> str:
    """The tag of a namespace; only the feature's name when both have the same name."""
    return feature if namespace in ("", feature) else f"{feature} {namespace}"


def operations(app: Flask, rule: Rule) -> Iterator[tuple[str, JSON]]:
    """Each described method of a route."""
    owner = rule.endpoint.partition(".")[0]
    view = app.view_functions[rule.endpoint]
    resource = getattr(view, "view_class", None)
    for method in METHODS:
        description = description_of(view, method)
        if method in (rule.methods or ()) and description is not None:
            function = getattr(resource, method.lower(), view)
            who = access_table(app)[rule.endpoint, method]
            tagged = {"tags": [tag(owner, getattr(resource, "namespace_name", ""))]}
            found = operation(rule, method.lower(), resource, function, description)
            if not who.is_public:
                add_access(found, who.meaning)
            yield method.lower(), tagged | found | secured(app, who)


def secured(app: Flask, who: rules.Rule) -> JSON:
    """The Security Requirement Objects of an operation: any one of the authenticators;
    an empty list for a public operation."""
    schemes = [] if who.is_public else authenticators_of(app)
    needed = [who.scope] if who.scope else []
    return {
        "security": [
            {scheme.name: needed if scheme.has_scopes else []} for scheme in schemes
        ]
    }


def add_access(operation: JSON, meaning: str) -> None:
    """Add to an operation who may call it, and the responses 401 and 403."""
    told = [operation.get("description", ""), f"Permissions: {meaning}"]
    operation["description"] = " ".join(filter(None, told))
    for status in (401, 403):
        headers = problem_headers("", status)
        refusal = response_object(status, PROBLEM_TYPE, PROBLEM_SCHEMA, headers)
        operation["responses"].setdefault(str(status), refusal)
    operation["responses"] = dict(sorted(operation["responses"].items()))


def operation(
    rule: Rule, method: str, resource: Any, function: Any, description: Description
) -> JSON:
    """One operation.

    :param resource: the class of the route; ``None`` for a plain view function.
    :param function: the view function; its docstring gives summary and description.
    """
    keeps = getattr(resource, "kept_responses", None) is not None
    summary, _, more = (function.__doc__ or "").strip().partition("\n")
    name = getattr(resource, "__name__", "")
    result: JSON = {
        "operationId": description.id or f"{method}_{snake(name)}",
        "summary": summary.rstrip("."),
        "parameters": [*path_parameters(rule, resource), *parameters(description)],
        "responses": responses(method, description, keeps),
    }
    if more.strip():
        result["description"] = " ".join(more.split())
    result["parameters"] += request_headers(method, description, resource)
    if description.body is not None:
        result["requestBody"] = {
            "required": True,
            "content": request_content(description),
        }
    return result


def path_parameters(rule: Rule, resource: Any) -> list[JSON]:
    """The variables of a path; a variable without a converter is the id of a record.

    :param resource: the class of the route, which may state the record's ``model``.
    """
    model = getattr(resource, "model", None)
    known = {"id": model.key.schema, **model.stored_properties} if model else {}
    known["id"] = model.key.schema if model else UUID_KEY.schema
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": (
                PATH_SCHEMAS[kind] if kind else known.get(name, {"type": "string"})
            ),
        }
        for kind, name in VARIABLE.findall(rule.rule)
    ]


def parameters(description: Description) -> list[JSON]:
    """The parameters of a query."""
    found = []
    for name, schema in description.query.items():
        about = {key: schema[key] for key in schema if key != "description"}
        parameter: JSON = {"name": name, "in": "query", "schema": about}
        if "description" in schema:
            parameter["description"] = schema["description"]
        found.append(parameter)
    return found


def request_content(description: Description) -> JSON:
    """The bodies that a request may carry, by media type."""
    bodies = {JSON_TYPE: description.body, **description.other_bodies}
    return {
        name: {"schema": reference(schema)}
        for name, schema in bodies.items()
        if schema is not None
    }


def responses(method: str, description: Description, keeps_responses: bool) -> JSON:
    """Every response of an operation, by status."""
    found: JSON = {}
    for status, schema in description.responses.items():
        headers = response_headers(method, status, schema, keeps_responses)
        found[str(status)] = response_object(status, JSON_TYPE, schema, headers)
    for status in (*description.errors, 500, 503):
        headers = problem_headers(method, status)
        found[str(status)] = response_object(
            status, PROBLEM_TYPE, PROBLEM_SCHEMA, headers
        )
    return dict(sorted(found.items()))


def response_object(
    status: int, media_type: str, schema: JSON | None, headers: JSON
) -> JSON:
    """One response."""
    result: JSON = {"description": HTTPStatus(status).phrase, "headers": headers}
    if schema is not None:
        result["content"] = {media_type: {"schema": reference(schema)}}
    return result
