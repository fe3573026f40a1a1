"""What every response carries: its request id, and headers that keep browsers safe."""

import re

import uuid_utils
from flask import Flask, Response, g, request
from flask_cors import CORS

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z", re.ASCII)
EXPOSED = ["ETag", "Link", "Location", "Retry-After", "X-Request-ID", "X-Total-Count"]
# OWASP REST Security Cheat Sheet; an API answer is shown nowhere and loads nothing.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
TRANSPORT_SECURITY = "max-age=31536000; includeSubDomains"


def take_request_id() -> None:
    """Take the ``X-Request-ID`` of the client when it is sane, else make one."""
    sent = request.environ.get("HTTP_X_REQUEST_ID", "")
    g.request_id = sent if SANE_REQUEST_ID.match(sent) else str(uuid_utils.uuid7())


def add_headers(response: Response) -> Response:
    """Add the request id and the security headers."""
    headers = response.headers
    headers["X-Request-ID"] = g.request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    if response.mimetype == "text/html":
        headers["Content-Security-Policy"] = PAGE_POLICY
    if request.is_secure:
        headers["Strict-Transport-Security"] = TRANSPORT_SECURITY
    return response


def init_app(app: Flask) -> None:
    """Give every request its id, every response its headers, and set up CORS."""
    app.before_request(take_request_id)
    app.after_request(add_headers)
    if app.config["CORS_ORIGINS"]:
        CORS(app, origins=app.config["CORS_ORIGINS"], expose_headers=EXPOSED)
