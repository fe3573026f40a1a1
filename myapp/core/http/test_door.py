"""Requests that servers and proxies pass on in odd forms."""

import io
from typing import Any

import pytest
from flask import Blueprint

from myapp import create_app
from myapp.core.access.rules import public
from myapp.core.http.app import App
from myapp.core.testing import Client

FILES = ["/openapi.json", "/static/site.css", "/swagger-ui/swagger-ui.css"]


@pytest.fixture
def site(redis_url: str) -> Client:
    """A client of an application with a route that ends in a slash."""
    stores = {"SQLALCHEMY_DATABASE_URI": "sqlite://", "REDIS_URL": redis_url}
    # There is no table, so nothing is written there.
    app: App = create_app({**stores, "CART_ABANDONED_AFTER": 0})
    blueprint = Blueprint("plain", __name__)

    @blueprint.get("/plain/<word>/")
    @public
    def plain(word: str) -> str:
        return word

    app.register_blueprint(blueprint)
    app.test_client_class = Client
    client = app.test_client()
    assert isinstance(client, Client)
    return client


def open_raw(client: Any, **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Call the application as a server does: status, headers and body."""
    base = client.application.test_request_context(base_url="http://evil.example/")
    told: list[Any] = []

    def start(status: str, headers: Any, *_: Any) -> None:
        told.extend([status, {name.lower(): value for name, value in headers}])

    sent = {**base.request.environ, **environ}
    body = b"".join(
        client.application(
            {name: value for name, value in sent.items() if value is not None}, start
        )
    )
    return told[0], told[1], body


def test_an_empty_path_is_the_root(site: Client) -> None:
    status, headers, _ = open_raw(site, PATH_INFO="")
    assert status == "200 OK"
    assert "location" not in headers


@pytest.mark.parametrize("dropped", ["PATH_INFO", "QUERY_STRING"])
def test_a_url_of_which_uwsgi_has_dropped_a_part_is_too_long(
    site: Client, dropped: str
) -> None:
    sent: dict[str, Any] = {"PATH_INFO": "/carts/", dropped: None}
    status, _, body = open_raw(site, **sent, **{"uwsgi.version": b"2.0.30"})
    assert status == "414 REQUEST URI TOO LONG"
    assert b"/problems/uri-too-long" in body
    # PEP 3333 allows other servers to leave them out.
    status, _, _ = open_raw(site, PATH_INFO="/health/live", QUERY_STRING=None)
    assert status == "200 OK"


def test_what_is_no_http_is_answered(site: Client) -> None:
    status, _, _ = open_raw(site, REQUEST_METHOD=None, PATH_INFO="/nowhere")
    assert status == "404 NOT FOUND"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/plain/x", "/plain/x/?a=%2F%2Fb"),
        ("/plain/evil.example", "/plain/evil.example/?a=%2F%2Fb"),
    ],
)
def test_a_redirect_names_no_host(site: Client, path: str, location: str) -> None:
    status, headers, body = open_raw(site, PATH_INFO=path, QUERY_STRING="a=%2F%2Fb")
    assert status == "308 PERMANENT REDIRECT"
    assert (headers["location"], body) == (location, b"")


def test_a_redirect_never_begins_with_two_slashes(site: Client) -> None:
    rule: Any = site.application.url_map.add
    route = next(site.application.url_map.iter_rules("plain.plain")).empty()
    route.rule = "/<path:word>/end/"
    rule(route)
    _, headers, _ = open_raw(site, PATH_INFO="//evil.example/end")
    assert headers["location"] == "/evil.example/end/"


def test_a_body_in_chunks_has_no_length(site: Client) -> None:
    chunked: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/accounts/sign-up",
        "CONTENT_TYPE": "application/json",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": io.BytesIO(b"{}"),
    }
    status, headers, body = open_raw(site, **chunked)
    assert status == "411 LENGTH REQUIRED"
    assert headers["content-type"] == "application/problem+json"
    assert b"/problems/length-required" in body
    # Servers that read the chunks themselves say so.
    taken = {**chunked, "wsgi.input": io.BytesIO(b"{}")}
    status, _, _ = open_raw(site, **taken, **{"wsgi.input_terminated": True})
    assert status == "400 BAD REQUEST"


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"If-Match": '"none"'}, 412, "precondition-failed"),
        ({"Range": "bytes=99999999-"}, 416, "range-not-satisfiable"),
        ({"Range": "bytes=9-1"}, 416, "range-not-satisfiable"),
    ],
)
def test_a_file_that_cannot_be_sent_so_is_a_problem(
    site: Client, path: str, headers: dict[str, str], status: int, slug: str
) -> None:
    if status == 416 and path == "/openapi.json":
        # Ranges of it are not served, so the header is ignored: RFC 9110 section 14.2.
        status, slug = 200, ""
    response = site.get(path, headers=headers, expect=status)
    if slug:
        assert response.json["type"] == f"/problems/{slug}"
        assert response.mimetype == "application/problem+json"
    if status == 416:
        assert response.headers["Content-Range"].startswith("bytes */")
