"""The headers of every response: its request id, and headers for browser security.

They are added by a WSGI wrapper around Flask, so that no response can miss them and
they cost very little.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import uuid_utils
from flask import Flask
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from myapp.core.errors.startup import ConfigError

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z", re.ASCII)
RELEASE = re.compile(r"[A-Za-z0-9._+-]{0,128}")
#: Where the environ of a request keeps its id.
REQUEST_ID = "myapp.request_id"
# The headers by which a proxy says that the client uses TLS.
FORWARDED = {"HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL"}
# Headers that a script of another origin may read.
EXPOSED = (
    "Accept-Patch Accept-Post Allow ETag Idempotent-Replayed Link Location RateLimit "
    "RateLimit-Policy Retry-After WWW-Authenticate X-Release X-Request-ID X-Total-Count"
).split()
# OWASP REST Security Cheat Sheet; an API response is not framed and loads nothing.
SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
]
API_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
PAGE_POLICY = (
    "Content-Security-Policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
REVALIDATE = ("Cache-Control", "no-cache")
# For a caller that says who it is: no cache keeps it for others.
FOR_ONE_CALLER = ("Cache-Control", "private, no-cache")
TRANSPORT_SECURITY = (
    "Strict-Transport-Security",
    "max-age=31536000; includeSubDomains",
)

Headers = list[tuple[str, str]]
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ResponseHeaders:
    """A WSGI wrapper: gives each request its id, and each response this id and the
    security headers.

    :param application: the WSGI application that is wrapped.
    :param release: the name of the release, which each response tells, if there is one.
    :param has_proxy: whether headers of a proxy are believed.
    """

    def __init__(
        self, application: WSGI, release: str = "", has_proxy: bool = False
    ) -> None:
        self.application, self.has_proxy = application, has_proxy
        self.own = [("X-Release", release)] if release else []

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = sent if SANE_REQUEST_ID.match(sent) else str(uuid_utils.uuid7())
        environ[REQUEST_ID] = request_id
        # An empty path means the root (RFC 9110 section 4.2.3).
        if environ.get("PATH_INFO") == "":
            environ["PATH_INFO"] = "/"
        # uWSGI passes on what is no HTTP, such as the start of TLS, without a method.
        environ.setdefault("REQUEST_METHOD", "GET")
        if not self.has_proxy and not FORWARDED.isdisjoint(environ):
            # uWSGI believes them, also from a client. HTTPS is no header, but said by a
            # proxy that speaks its own protocol.
            is_said = environ.get("HTTPS") == "on"
            environ["wsgi.url_scheme"] = "https" if is_said else "http"
        is_secure = environ["wsgi.url_scheme"] == "https"
        is_own = "HTTP_COOKIE" in environ or "HTTP_AUTHORIZATION" in environ

        def start(status: str, headers: Headers, *exc_info: Any) -> Any:
            headers = complete(headers, FOR_ONE_CALLER if is_own else REVALIDATE)
            headers += [("X-Request-ID", request_id), *self.own]
            if is_secure:
                headers.append(TRANSPORT_SECURITY)
            return start_response(status, headers, *exc_info)

        return self.application(environ, start)


def complete(headers: Headers, cache_control: tuple[str, str]) -> Headers:
    """The headers of a response, with the security headers added.

    :param cache_control: of a response that has none itself.
    """
    policy, caching = [API_POLICY], [cache_control]
    for name, value in headers:
        name = name.lower()
        if name == "content-type" and value.startswith("text/html"):
            policy = policy and [PAGE_POLICY]
        elif name == "content-security-policy":
            policy = []
        elif name == "cache-control":
            caching = []
    return [*headers, *SECURITY_HEADERS, *policy, *caching]


def init_app(app: Flask) -> None:
    """Wrap an application, and set up CORS.

    :raises ConfigError: when the name of the release is no name.
    """
    release = app.config["RELEASE"]
    if not RELEASE.fullmatch(release):
        raise ConfigError("RELEASE takes letters, digits, . _ + and -")
    count = app.config["TRUSTED_PROXIES"]
    wrapped: Any = ResponseHeaders(app.wsgi_app, release, count > 0)
    if count:
        wrapped = ProxyFix(wrapped, x_for=count, x_proto=count, x_host=count)
    app.wsgi_app = wrapped  # type: ignore[method-assign]
    if app.config["CORS_ORIGINS"]:
        CORS(app, origins=app.config["CORS_ORIGINS"], expose_headers=EXPOSED)
