"""What a person sees who opens a route of the API in a browser: an error, or the state
of the server, as a page (RFC 9110 section 12.5.1)."""

import orjson
from flask import Flask, Response, render_template, request

from myapp.core.http.request import JSON_TYPE
from myapp.core.http.response import PROBLEM_TYPE

HTML = "text/html"


def wants_html() -> bool:
    """Whether the client prefers HTML to JSON."""
    return request.accept_mimetypes.best_match([JSON_TYPE, HTML]) == HTML


def problem_page(response: Response) -> Response:
    """The page instead of a problem document, for a browser."""
    if response.status_code < 400 or response.mimetype != PROBLEM_TYPE:
        return response
    return as_page(response, "error.html")


def health_page(response: Response) -> Response:
    """The page instead of a report on the stores, for a browser."""
    if response.mimetype != JSON_TYPE or request.endpoint == "health.live":
        return response
    return as_page(response, "health.html")


def as_page(response: Response, template: str) -> Response:
    """A response with the page that shows its JSON, for a browser.

    :param template: of the page.
    """
    response.vary.add("Accept")
    if wants_html():
        told = orjson.loads(response.get_data())
        response.set_data(render_template(template, told=told))
        response.mimetype = HTML
    return response


def init_app(app: Flask) -> None:
    """Turn responses into pages for browsers."""
    app.after_request(problem_page)
    app.after_request_funcs.setdefault("health", []).append(health_page)
