"""OpenAPI 3.1: one document for every mounted feature, from what its routes describe.

The JSON Schemas go in as they are, by name instead of by ``$id``. The Swagger pages of
the features show a copy that says less; this document says all.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from myapp.core.access import REQUIREMENTS, SECURITY_SCHEMES, stated_access
from myapp.core.api import PROBLEM_SCHEMA, Description
from myapp.core.errors import PROBLEM_TYPE
from myapp.core.openapi_headers import (
    HEADERS,
    answer_headers,
    problem_headers,
    request_headers,
)
from myapp.core.output import dumps
from myapp.core.request import JSON_TYPE
from myapp.core.schema import JSON
from myapp.core.swagger import model_name, snake

METHODS = ("get", "post", "put", "patch", "delete")
VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
# Keywords whose values are data, in which nothing is rewritten.
DATA = frozenset({"const", "default", "enum", "example", "examples"})


def build_document(app: Flask) -> JSON:
    """The document of an application."""
    paths: JSON = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda one: one.rule):
        for method, operation in operations(app, rule):
            path = VARIABLE.sub(r"{\1}", rule.rule)
            paths.setdefault(path, {})[method] = operation
    schemas = app.extensions["schemas"].by_id.values()
    named: JSON = {}
    for schema in schemas:
        named.update(component(schema))
    return {
        "openapi": "3.1.0",
        "info": {"title": app.name, "version": "1"},
        "tags": list(tags(app)),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(named.items())),
            "headers": HEADERS,
            **({"securitySchemes": SECURITY_SCHEMES} if SECURITY_SCHEMES else {}),
        },
    }


def openapi_bytes(app: Flask) -> bytes:
    """The document as JSON, made when it is first asked for."""
    if "openapi" not in app.extensions:
        app.extensions["openapi"] = dumps(build_document(app))
    return bytes(app.extensions["openapi"])


def tags(app: Flask) -> Iterator[JSON]:
    """One tag for each namespace of each feature."""
    for name in app.extensions["features"]:
        api: Any = getattr(app.blueprints[name], "api")
        for namespace in api.namespaces:
            if namespace.name != "default":
                about = namespace.description or ""
                yield {"name": tag(name, namespace.name), "description": about}


def tag(feature: str, namespace: str) -> str:
    """The tag of a namespace; just the feature when they have one name."""
    return feature if feature == namespace else f"{feature} {namespace}"


def operations(app: Flask, rule: Rule) -> Iterator[tuple[str, JSON]]:
    """Each method of a route of a feature, described."""
    feature = rule.endpoint.partition(".")[0]
    resource = getattr(app.view_functions[rule.endpoint], "view_class", None)
    if feature not in app.extensions["features"] or resource is None:
        return
    row = app.extensions["features"][feature].access
    for method in METHODS:
        if hasattr(getattr(resource, method, None), "description"):
            word = stated_access(resource, method, row)
            tagged = {"tags": [tag(feature, resource.namespace_name)]}
            secured = {"security": REQUIREMENTS[word]}
            yield method, tagged | operation(rule, method, resource) | secured


def operation(rule: Rule, method: str, resource: Any) -> JSON:
    """One operation."""
    view = getattr(resource, method)
    description: Description = view.description
    keeps_answers = resource.answers is not None
    summary, _, more = (view.__doc__ or "").strip().partition("\n")
    result: JSON = {
        "operationId": description.id or f"{method}_{snake(resource.__name__)}",
        "summary": summary.rstrip("."),
        "parameters": [*path_parameters(rule), *parameters(description)],
        "responses": responses(method, description, keeps_answers),
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


def path_parameters(rule: Rule) -> list[JSON]:
    """The variables of a path, each the id of a record."""
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        }
        for name in VARIABLE.findall(rule.rule)
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


def responses(method: str, description: Description, keeps_answers: bool) -> JSON:
    """Every answer of an operation, by status."""
    found: JSON = {}
    for status, schema in description.answers.items():
        headers = answer_headers(method, status, schema, keeps_answers)
        found[str(status)] = answer(status, JSON_TYPE, schema, headers)
    for status in (*description.errors, 500, 503):
        headers = problem_headers(method, status)
        found[str(status)] = answer(status, PROBLEM_TYPE, PROBLEM_SCHEMA, headers)
    return dict(sorted(found.items()))


def answer(status: int, media_type: str, schema: JSON | None, headers: JSON) -> JSON:
    """One answer."""
    result: JSON = {"description": HTTPStatus(status).phrase, "headers": headers}
    if schema is not None:
        result["content"] = {media_type: {"schema": reference(schema)}}
    return result


def reference(schema: JSON) -> JSON:
    """A reference to a schema by its name."""
    return {"$ref": f"#/components/schemas/{model_name(schema)}"}


def component(schema: JSON) -> JSON:
    """A schema under its name, and each of its ``$defs`` under one of its own, since
    tools lose definitions that stand inside another schema."""
    name = model_name(schema)
    body = {
        key: value
        for key, value in schema.items()
        if key not in ("$id", "$schema", "$defs", "title")
    }
    # Tools call a schema by its title, if it has one, and not by its name.
    if "title" in schema:
        body["description"] = ". ".join(
            schema[key] for key in ("title", "description") if key in schema
        )
    found = {name: rewritten(body, name)}
    for key, value in schema.get("$defs", {}).items():
        found[f"{name}_{key}"] = rewritten(value, name)
    return found


def rewritten(node: Any, owner: str) -> Any:
    """A part of a schema with its references by name.

    :param owner: the name of the schema that it stands in.
    """
    if isinstance(node, list):
        return [rewritten(item, owner) for item in node]
    if not isinstance(node, dict):
        return node
    result = {
        key: value if key in DATA else rewritten(value, owner)
        for key, value in node.items()
    }
    target = node.get("$ref")
    if isinstance(target, str):
        name = f"{owner}_{target[8:]}" if target.startswith("#/$defs/") else None
        if target.startswith("/schemas/"):
            name = model_name({"$id": target})
        result["$ref"] = f"#/components/schemas/{name}"
    return result
