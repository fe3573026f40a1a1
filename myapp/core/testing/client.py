"""A test client that asserts the status and checks each response against its schema."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from myapp.core.access.rules import Rule
from myapp.core.errors.problem import PROBLEM_SCHEMA
from myapp.core.http.access import PUBLIC, access_table
from myapp.core.http.description import Description, description_of
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator

# The status of each method after success.
USUAL = {"POST": 201, "DELETE": 204, "OPTIONS": 204}


class Client(FlaskClient):
    """A client that asserts the status and checks each response against its schema.

    Every call takes ``expect``, the status; the default depends on the method.
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


def all_records(client: Client, url: str) -> list[JSON]:
    """All records of a resource, newest first, from all pages."""
    items: list[JSON] = []
    cursor = ""
    while True:
        page = client.get(f"{url}?limit=100{cursor}").json
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = f"&cursor={page['next']}"


def check_response(app: Flask, response: TestResponse) -> None:
    """Check a response against the description of its route.

    :raises AssertionError: when the description has no such response, or another one.
    """
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    status, method = response.status_code, response.request.method
    described, who = route_of(app, response.request.path, method)
    if described is not None:
        is_refusal = status in (401, 403) and not who.is_public
        is_known = is_refusal or described.knows(status)
        assert is_known, f"{method} does not describe {status}"
        unknown = set(response.request.args) - set(described.query)
        is_taken = status < 400 and unknown
        assert not is_taken, f"{method} does not describe the parameters {unknown}"
    if response.mimetype == "text/html":
        # A page instead of JSON, for a browser.
        assert "text/html" in response.request.headers.get("Accept", "text/html")
        return
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


def route_of(app: Flask, path: str, method: str) -> tuple[Description | None, Rule]:
    """The description of the route of a request, if there is one, and who may call."""
    try:
        endpoint, _ = app.url_map.bind("").match(path, method)
    except HTTPException:
        return None, PUBLIC
    who = access_table(app).get((endpoint, method), PUBLIC)
    return description_of(app.view_functions[endpoint], method), who


def registry_of(app: Flask) -> Registry[Any]:
    """The schemas of an application, to resolve ``$ref``."""
    schemas = app.extensions["schemas"].by_id.items()
    return Registry().with_resources(
        (name, Resource.from_contents(schema, DRAFT202012)) for name, schema in schemas
    )
