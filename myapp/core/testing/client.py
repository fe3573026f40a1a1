"""A test client that asserts the status and checks each response against its schema."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from myapp.core.errors.problem import PROBLEM_SCHEMA
from myapp.core.http.description import Description, description_of
from myapp.core.schema.validator import Validator

# What each method answers when all is well.
USUAL = {"POST": 201, "DELETE": 204, "OPTIONS": 204}


class Client(FlaskClient):
    """A client that asserts the status and holds each response against its schema.

    Every call takes ``expect``, the status; without it the usual one of the method.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send a request, and check the response."""
        expect = kwargs.pop("expect", None)
        kwargs.setdefault("buffered", True)
        response = super().open(*args, **kwargs)
        method = response.request.method
        wanted = expect or USUAL.get(method, 200)
        assert (
            response.status_code == wanted
        ), f"{method} {response.request.path}: {response.status} {response.text[:500]}"
        check_response(self.application, response)
        return response


def check_response(app: Flask, response: TestResponse) -> None:
    """Hold a response against what its route describes.

    :raises AssertionError: when it is not described, or is not as described.
    """
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    status, method = response.status_code, response.request.method
    described = described_route(app, response.request.path, method)
    if described is not None:
        assert described.knows(status), f"{method} does not describe {status}"
    if status >= 400:
        assert response.mimetype == "application/problem+json", response.text[:200]
        schema = PROBLEM_SCHEMA
    elif described is None:
        return
    else:
        schema = described.responses[status] or {}
    if method == "HEAD" or not schema:
        assert response.data == b""
    else:
        assert Validator(schema, registry_of(app)).errors(response.json) == []


def described_route(app: Flask, path: str, method: str) -> Description | None:
    """What the route of a request describes, if there is one and it does."""
    try:
        endpoint, _ = app.url_map.bind("").match(path, method)
    except HTTPException:
        return None
    return description_of(app.view_functions[endpoint], method)


def registry_of(app: Flask) -> Registry[Any]:
    """The schemas of an application, for ``$ref``."""
    schemas = app.extensions["schemas"].by_id.items()
    return Registry().with_resources(
        (name, Resource.from_contents(schema, DRAFT202012)) for name, schema in schemas
    )
