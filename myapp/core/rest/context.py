"""The context of a request: what scopes of models depend on."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app, has_request_context, request

from myapp.core.access.caller import Caller, current_caller
from myapp.core.model.model import Model
from myapp.core.query import filters


def context_of_request(
    model: type[Model],
) -> tuple[Caller | None, Mapping[str, Any]] | None:
    """Who asks for records of a model in this request, and the variables in the path
    of its own route; ``None`` outside of requests."""
    if not has_request_context():
        return None
    view = current_app.view_functions.get(request.endpoint or "")
    served = getattr(getattr(view, "view_class", None), "model", None)
    return current_caller(), path_values(model) if served is model else {}


def path_values(model: type[Model]) -> dict[str, Any]:
    """The variables of this path as values of the fields with their names."""
    properties = model.stored_properties
    return {
        name: filters.parser(properties[name])(str(value))
        for name, value in (request.view_args or {}).items()
        if name != "id"
    }


def init_app(app: Flask) -> None:
    """Let models ask for the context."""
    app.extensions["current_context"] = context_of_request
