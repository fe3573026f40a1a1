"""The context of a request: what scopes of models depend on."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app, has_request_context, request

from myapp.core.access.caller import Caller, current_caller
from myapp.core.errors.problem import Problem
from myapp.core.model.model import Model
from myapp.core.query import filters
from myapp.core.schema.json_out import plain
from myapp.core.schema.validator import Validator


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
    """The variables of this path as values of the fields with their names.

    :raises Problem: 404 when one cannot be the value of its field.
    """
    found = {}
    for name, value in (request.view_args or {}).items():
        if name != "id":
            field = model.stored_properties[name]
            try:
                found[name] = filters.parser(field)(str(value))
            except ValueError as error:
                raise Problem("not-found") from error
            if Validator(field).errors(plain(found[name])):
                raise Problem("not-found")
    return found


def init_app(app: Flask) -> None:
    """Let models ask for the context."""
    app.extensions["current_context"] = context_of_request
