"""The REST verbs over a model: one function makes the routes of a resource."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from flask import Response, current_app, request

from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem
from myapp.core.http.description import Described, View, describe
from myapp.core.http.request import (
    JSON_TYPE,
    check_id,
    names_beside,
    path_of_request,
    read_json,
)
from myapp.core.http.response import respond
from myapp.core.model import patch
from myapp.core.model.batch import run_batch
from myapp.core.model.batch_schema import batch_response_schema, batch_schema
from myapp.core.model.model import Model
from myapp.core.model.record import Record
from myapp.core.query.list_query import ListQuery, parse_selection
from myapp.core.rest.api import Namespace
from myapp.core.rest.etags import check_write, etag, is_unchanged
from myapp.core.rest.lists import describe_list, respond_list
from myapp.core.rest.resource import ModelResource, NestedResource, Resource
from myapp.core.schema.derive import view_schema
from myapp.core.schema.names import snake
from myapp.core.schema.validator import MAX_ERRORS

CREATE_ERRORS = (400, 409, 413, 415, 422)
WRITE_ERRORS = (400, 404, 409, 412, 413, 415, 422, 428)
DELETE_ERRORS = (400, 404, 409, 412, 428)


class Names(NamedTuple):
    """What a resource is called in ids and summaries: ``movie`` and ``movies``.

    :param refusals: the statuses of problems that its path and its scope add.
    """

    one: str
    many: str
    refusals: tuple[int, ...] = ()


def routes_from_model(
    namespace: Namespace,
    model: type[Model],
    path: str = "",
    access: str = "",
    write_access: str = "",
) -> None:
    """Make the routes of a model in a namespace: POST and GET on ``/``, POST on
    ``/batch`` (when the model ``has_batch``), GET, PUT, PATCH and DELETE on
    ``/<id>``, and with them HEAD and OPTIONS.

    :param namespace: of an :class:`~myapp.core.rest.api.Api`; its name is the plural.
    :param path: goes before each of them, such as ``/<uuid:team_id>/members``. Its
        variables are fields of the model: they narrow its scope, and new records take
        their values. A record that one of them refers to must exist.
    :param access: who may call them, when the row of the feature does not say it.
    :param write_access: who may call those that write; by default the same.
    :raises TypeError: when a variable is not in ``scoped_by`` of the model.
    """
    variables = re.findall(r"<(?:\w+:)?(\w+)>", path)
    if not set(variables) <= set(model.scoped_by):
        raise TypeError(f"{model.__name__}.scoped_by must name {', '.join(variables)}")
    if variables:
        model.has_scope = model.has_rules = True
    refusals = (*((403,) if model.has_scope else ()), *((404,) if variables else ()))
    names = Names(snake(model.__name__), snake(namespace.name), refusals)
    parts = (("/", collection), ("/batch", batch), ("/<id>", item))
    for url, make in parts if model.has_batch else (parts[0], parts[2]):
        base = make(model, names)
        members: dict[str, Any] = {
            "model": model,
            "kept_responses": model.kept_responses(),
            "requires_if_match": model.requires_if_match,
            "lone_writes": model.lone_writes and url != "/batch",
            "__doc__": base.__doc__,
        }
        if access:
            members |= {"access": access, "write_access": write_access}
        name = f"{model.__name__}{base.__name__}"
        bases = (NestedResource, base) if variables else (base,)
        namespace.route(f"{path.rstrip('/')}{url}")(type(name, bases, members))
    namespace.served.append(model)


def collection(model: type[Model], names: Names) -> type[Resource]:
    """The resource that holds all records of a model."""
    read = model.read_schema

    class Collection(ModelResource):
        """All records of a model."""

        options_headers = {"Accept-Post": JSON_TYPE}

        @describe_list(
            model,
            errors=(400, *names.refusals),
            id=f"list_{names.many}",
            summary=f"List every {names.one}, newest first, a page at a time.",
        )
        def get(self) -> Response:
            """List the records that the query asks for."""
            return respond_list(model)

        @describe(
            {201: read},
            body=model.create_schema,
            errors=(*CREATE_ERRORS, *names.refusals),
            id=f"create_{names.one}",
            summary=f"Create a {names.one}.",
        )
        def post(self) -> Response:
            """Create a record."""
            body = read_json()
            check_new_ids(model, [body], ())
            record = model.create(body)
            last = quote(str(record.id), safe="")
            where = f"{path_of_request().rstrip('/')}/{last}"
            return respond_record(record, 201, [("Location", where)])

    return Collection


def batch(model: type[Model], names: Names) -> type[Resource]:
    """The resource that takes many changes at once."""

    class Batch(ModelResource):
        """Many changes of a model."""

        options_headers = {"Accept-Post": JSON_TYPE}

        @describe(
            {200: batch_response_schema(model)},
            body=batch_schema(model),
            errors=(*CREATE_ERRORS, 412, 428, *names.refusals),
            id=f"batch_{names.many}",
            summary=f"Create, update and delete many {names.many}, all or nothing.",
        )
        def post(self) -> Response:
            """Create, update and delete records, all or nothing."""
            body = read_json()
            if isinstance(body, dict):
                check_new_ids(model, body.get("create"), ("create",))
            return respond(run_batch(model, body))

    return Batch


def item(model: type[Model], names: Names) -> type[Resource]:
    """The resource that is one record of a model."""
    described = describe_item(model, names)

    class Item(ModelResource):
        """One record of a model."""

        options_headers = {"Accept-Patch": ", ".join(patch.PATCH_TYPES)}

        @described["get"]
        def get(self, id: str) -> Response:
            """Read a record."""
            selection = parse_selection(model.queryable, request.query_string)
            record = model.get_or_404(check_id(id, model.key))
            # The ETag says nothing of the versions of embedded records.
            if is_unchanged(record) and not selection.expand:
                return respond(None, 304, [("ETag", etag(record))])
            return respond_record(record, selection=selection)

        @described["put"]
        def put(self, id: str) -> Response:
            """Replace a record."""
            id, body = check_id(id, model.key), read_json()
            return respond_record(to_write(model, id).replace(body))

        @described["patch"]
        def patch(self, id: str) -> Response:
            """Change a record."""
            return respond_record(patch_record(model, check_id(id, model.key)))

        @described["delete"]
        def delete(self, id: str) -> Response:
            """Delete a record."""
            to_write(model, check_id(id, model.key)).delete()
            return respond(None, 204)

    return Item


def check_new_ids(model: type[Model], bodies: Any, place: tuple[str, ...]) -> None:
    """Refuse ids of the clients that are the last part of another route: the records
    could not be read.

    :param bodies: not validated.
    :param place: where a list of them is in the body of this request; empty for one.
    :raises Problem: 400 with every error.
    """
    if model.key.make is not None or not isinstance(bodies, list):
        return
    errors, reserved = [], names_beside()
    for index, body in enumerate(bodies):
        id = body.get("id") if isinstance(body, dict) else None
        if isinstance(id, str) and id in reserved:
            where = pointer(*place, *([index] if place else []), "id")
            errors.append(problem_at(where, "is the path of another route", "reserved"))
    if errors:
        raise Problem("invalid-body", errors=errors[:MAX_ERRORS])


def describe_item(
    model: type[Model], names: Names
) -> dict[str, Callable[[View], Described]]:
    """What each method of one record takes and answers."""
    read, write, one = model.read_schema, model.write_schema, names.one
    changing = tuple(dict.fromkeys((*WRITE_ERRORS, *names.refusals)))
    return {
        "get": describe(
            {200: view_schema(read), 304: None},
            query=model.queryable.selection_parameters(),
            errors=(400, 404),
            id=f"get_{one}",
            summary=f"Read a {one}.",
        ),
        "put": describe(
            {200: read},
            body=write,
            errors=changing,
            id=f"replace_{one}",
            summary=f"Replace a {one}; an optional field left out is reset.",
        ),
        "patch": describe(
            {200: read},
            body=model.patch_validator.schema,
            other_bodies=patch.other_bodies(model),
            errors=changing,
            id=f"update_{one}",
            summary=f"Change a {one}: a JSON Merge Patch, or a JSON Patch by its media "
            "type.",
        ),
        "delete": describe(
            {204: None},
            errors=DELETE_ERRORS,
            id=f"delete_{one}",
            summary=f"Delete a {one}.",
        ),
    }


def to_write(model: type[Model], id: str) -> Record:
    """The record with an id, if its caller and the conditions of this request let it be
    written."""
    record = model.get_or_404(id)
    model.refuse_writer([record.document])
    check_write(record)
    return record


def patch_record(model: type[Model], id: str) -> Record:
    """Apply the patch in the body of this request to a record."""
    body = read_json(patch.PATCH_TYPES, "Accept-Patch")
    change = patch.kind_of(request.mimetype)
    change.check(body, model)
    record = to_write(model, id)
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    fields = change.apply(model.writable_fields(record.document), body, limit)
    try:
        return record.replace(model.completed(record, fields))
    except Problem as problem:
        if problem.slug != "invalid-body":
            raise
        raise Problem(change.refusal, errors=problem.errors) from problem


def respond_record(
    record: Record,
    status: int = 200,
    headers: Any = (),
    selection: ListQuery = ListQuery(),
) -> Response:
    """A record with its ETag.

    :param selection: which fields to show, and what to embed.
    """
    (shown,) = record.model.show_many([record.document], selection)
    return respond(shown, status, [("ETag", etag(record)), *headers])
