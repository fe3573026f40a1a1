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


def as_page(response: Response) -> Response:
    """The page instead of a problem document or a health report, for a browser."""
    template = template_for(response)
    if not template:
        return response
    response.vary.add("Accept")
    if wants_html():
        told = orjson.loads(response.get_data())
        response.set_data(render_template(template, told=told))
        response.mimetype = HTML
    return response


def template_for(response: Response) -> str:
    """The name of the page for a response; empty when it has none."""
    if response.mimetype == PROBLEM_TYPE:
        return "error.html"
    is_health = (request.endpoint or "").startswith("health.ready")
    return "health.html" if is_health and response.mimetype == JSON_TYPE else ""


def init_app(app: Flask) -> None:
    """Turn responses into pages for browsers."""
    app.after_request(as_page)
