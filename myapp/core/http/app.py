"""The application class: Flask with strict JSON, JSON responses and OPTIONS."""

from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Request, Response, request
from flask.json.provider import JSONProvider
from flask.sessions import SessionInterface
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as BaseResponse

from myapp.core.http.access import may_call
from myapp.core.http.edge import at_edge
from myapp.core.http.methods import routes_at
from myapp.core.schema import strict_json
from myapp.core.schema.json_out import dumps


class StrictProvider(JSONProvider):
    """orjson for output and strict JSON for input, for Flask's own JSON functions."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        """JSON as a string, for Flask."""
        return dumps(obj).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        """Parse what a client sent.

        :raises strict_json.JSONRefused: when it is not accepted.
        """
        return strict_json.loads(s.encode() if isinstance(s, str) else s)


class JSONResponse(Response):
    """A response with the JSON media type, unless another media type is set."""

    default_mimetype = "application/json"
    # A Location stays as written: the Host header of a request is not trusted.
    autocorrect_location_header = False


class NoSession(SessionInterface):
    """No cookie sessions: a client sends its credentials with each request."""

    def open_session(self, app: Flask, request: Request) -> None:
        """``None``, so that Flask raises an error where code uses a session."""

    def save_session(self, app: Flask, session: Any, response: BaseResponse) -> None:
        """Nothing is saved."""


class App(Flask):
    """The Flask application of this project."""

    json_provider_class = StrictProvider
    response_class = JSONResponse
    session_interface = NoSession()

    def __init__(self, import_name: str, **kwargs: Any) -> None:
        kwargs.setdefault("instance_relative_config", True)
        super().__init__(import_name, static_folder="core/docs/static", **kwargs)
        # A path with double slashes is a 404, not a redirect in HTML.
        self.url_map.merge_slashes = False

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Add a route; the writes of its view function are committed at the edge."""
        if view_func is not None:
            known = self.view_functions.get(endpoint or view_func.__name__)
            is_known = getattr(known, "__wrapped__", None) is view_func
            view_func = known if is_known else at_edge(view_func)
        super().add_url_rule(
            rule, endpoint, view_func, provide_automatic_options, **options
        )

    def raise_routing_exception(self, request: Request) -> NoReturn:
        """Refuse a request that no route matches. A redirect, as of ``/x`` to ``/x/``,
        does not repeat the host that the client sent; two slashes at the start of a
        path would be a host, too."""
        error = request.routing_exception
        if not isinstance(error, RequestRedirect):
            super().raise_routing_exception(request)
        parts = urlsplit(error.new_url)
        path = "/" + parts.path.lstrip("/")
        response = self.response_class(status=error.code)
        response.headers["Location"] = urlunsplit(("", "", path, parts.query, ""))
        raise HTTPException(response=response)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The view function itself. This application has no coroutines, and looking for
        them costs more than many view functions."""
        return func

    def make_default_options_response(self) -> Response:
        """The response to OPTIONS: 204 with ``Allow``, which lists the methods that
        this caller may use, and with the headers of the resource."""
        response = self.response_class(status=204)
        rule, endpoint = request.url_rule, request.endpoint or ""
        allowed = {
            method
            for route in (routes_at(rule.rule) if rule else ())
            for method in route.methods or ()
            if may_call(route.endpoint, method)
        }
        response.headers["Allow"] = ", ".join(sorted(allowed))
        view = self.view_functions[endpoint]
        resource = getattr(view, "view_class", None)
        response.headers.update(getattr(resource, "options_headers", {}))
        del response.headers["Content-Type"]
        return response
