"""The application class: Flask with our JSON, our responses and our OPTIONS."""

from typing import Any

from flask import Flask, Response, request

from myapp.core.output import StrictProvider


class JSONResponse(Response):
    """A response that is JSON unless it says otherwise."""

    default_mimetype = "application/json"
    # A Location stays as written: the Host header of a request is no authority.
    autocorrect_location_header = False


class App(Flask):
    """The Flask application of this project."""

    json_provider_class = StrictProvider
    response_class = JSONResponse

    def __init__(self, import_name: str, **kwargs: Any) -> None:
        kwargs.setdefault("instance_relative_config", True)
        super().__init__(import_name, static_folder="core/static", **kwargs)
        # A path is served as it stands or not at all; no redirect in HTML.
        self.url_map.merge_slashes = False

    def make_default_options_response(self) -> Response:
        """The answer to OPTIONS: 204 with ``Allow``, and what the resource adds."""
        response = super().make_default_options_response()
        response.status_code = 204
        view = self.view_functions[request.endpoint or ""]
        resource = getattr(view, "view_class", None)
        response.headers.update(getattr(resource, "options_headers", {}))
        del response.headers["Content-Type"]
        return response
