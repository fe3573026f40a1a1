"""The context of a request: what scopes of models depend on."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app, has_request_context, request

from myapp.core.access.caller import Caller, current_caller
from myapp.core.access.rules import NOBODY, Rule
from myapp.core.errors.problem import Problem
from myapp.core.http.access import access_table
from myapp.core.model.model import Model
from myapp.core.query import filters
from myapp.core.schema.json_out import plain
from myapp.core.schema.validator import Validator

Asked = tuple[Caller | None, Mapping[str, Any], Rule | None, Rule | None]


def context_of_request(model: type[Model]) -> Asked | None:
    """Who asks for records of a model in this request, the variables in the path of its
    own route, who may read its records, and who may write them by this route; ``None``
    outside of requests."""
    if not has_request_context():
        return None
    endpoint = request.endpoint or ""
    view = current_app.view_functions.get(endpoint)
    served = getattr(getattr(view, "view_class", None), "model", None)
    readers, caller = readers_table(current_app).get(model), current_caller()
    if served is not model:
        # What its own routes do not show to this token, no other route shows.
        is_hidden = readers is not None and readers.lacks_scope(caller)
        return caller, {}, NOBODY if is_hidden else readers, None
    table = access_table(current_app)
    readers = table.get((endpoint, "GET"), readers)
    writers = table.get((endpoint, request.method))
    return caller, path_values(model), readers, writers


def readers_table(app: Flask) -> dict[type[Model], Rule]:
    """Who may read the records of each model that has routes."""
    table: dict[type[Model], Rule] = app.extensions["readers"]
    return table


def guard_model(app: Flask, view: Any, method: str, rule: Rule) -> None:
    """Let the records of the model of a route be those that its callers may have.

    :raises LookupError: for access words that its model cannot compare.
    """
    model: type[Model] | None = getattr(view, "model", None)
    several = [words for words in rule.alternatives if any(w.relation for w in words)]
    if model is None:
        if several:
            raise LookupError(f"{view}: {rule.meaning} needs a resource with a model")
        return
    for name in rule.relations:
        is_owner = name == "owner" and model.owner_field
        if not is_owner and not model.overrides("related"):
            raise LookupError(f"{model.__name__} does not say who is the {name}")
    if len(several) > 1:
        raise LookupError(f"{view}: of {rule.meaning} one may depend on the record")
    if method == "GET":
        known = readers_table(app).get(model)
        rule = readers_table(app)[model] = rule if known is None else known | rule
    if several or method == "GET" and not rule.is_public:
        model.has_scope = model.has_rules = True


def path_values(model: type[Model]) -> dict[str, Any]:
    """The variables of this path as values of the fields with their names.

    :raises Problem: 404 when one cannot be the value of its field.
    """
    found = {}
    for name, value in (request.view_args or {}).items():
        if name in model.scoped_by:
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
    app.extensions["readers"] = {}
    app.extensions["current_context"] = context_of_request
