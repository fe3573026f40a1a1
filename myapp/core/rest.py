"""The REST verbs over a model: one function makes the routes of a resource."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, current_app, request

from myapp.core import patch
from myapp.core.api import Resource, describe
from myapp.core.batch import batch_answer_schema, batch_schema, run_batch
from myapp.core.conditions import check_write, etag, is_unchanged
from myapp.core.cursor import make_cursor, read_cursor
from myapp.core.errors import Problem
from myapp.core.model import Model
from myapp.core.record import Page, Record
from myapp.core.output import respond
from myapp.core.query import ListQuery, parse_query, parse_view, single_arguments
from myapp.core.request import JSON_TYPE, check_id, read_json
from myapp.core.schema import JSON
from myapp.core.swagger import snake

CREATE_ERRORS = (400, 409, 413, 415, 422)
WRITE_ERRORS = (400, 404, 409, 412, 413, 415, 422, 428)
DELETE_ERRORS = (400, 404, 409, 412, 428)


def routes_from_model(namespace: Any, model: type[Model], access: str = "") -> None:
    """Make the routes of a model in a namespace: POST and GET on ``/``, POST on
    ``/batch``, GET, PUT, PATCH and DELETE on ``/<id>``, and with them HEAD and OPTIONS.

    :param namespace: of an :class:`~myapp.core.api.Api`; its name is the plural.
    :param access: who may call them, when the row of the feature does not say it.
    """
    made = (collection(model), "/"), (batch(model), "/batch"), (item(model), "/<id>")
    for base, url in made:
        name = f"{model.__name__}{base.__name__}"
        members: dict[str, Any] = {
            "answers": model.answers(),
            "requires_if_match": model.requires_if_match,
            "lone_writes": model.lone_writes and url != "/batch",
            "__doc__": base.__doc__,
        }
        if access:
            members["access"] = access
        for method in base.methods or ():
            give_names(getattr(base, method.lower()), namespace.name, model)
        namespace.route(url)(type(name, (base,), members))
    namespace.models_served = [*getattr(namespace, "models_served", []), model]


def give_names(function: Any, plural: str, model: type[Model]) -> None:
    """Put the names of a resource into the text and the id of one of its methods."""
    names = {"one": snake(model.__name__), "many": snake(plural)}
    function.__doc__ = function.__doc__.format(**names)
    known = function.description
    function.description = replace(known, id=known.id.format(**names))


def collection(model: type[Model]) -> type[Resource]:
    """The resource that holds all records of a model."""
    read, write = model.read_schema, model.write_schema
    parameters = model.queryable.parameters()

    class Collection(Resource):
        """All records of a model."""

        options_headers = {"Accept-Post": JSON_TYPE}

        @describe({200: list_schema(read)}, query=parameters, id="list_{many}")
        def get(self) -> Response:
            """List every {one}, newest first, a page at a time."""
            query = parse_query(model.queryable)
            if query.cursor is not None:
                place = read_cursor(query, query.cursor, model.queryable.properties)
                query = query.behind(place)
            return respond_page(model.list(query), query)

        @describe({201: read}, body=write, errors=CREATE_ERRORS, id="create_{one}")
        def post(self) -> Response:
            """Create a {one}."""
            record = model.create(read_json())
            where = f"{request.script_root}{request.path.rstrip('/')}/{record.id}"
            return respond_record(record, 201, [("Location", where)])

    return Collection


def batch(model: type[Model]) -> type[Resource]:
    """The resource that takes many changes at once."""

    class Batch(Resource):
        """Many changes of a model."""

        options_headers = {"Accept-Post": JSON_TYPE}

        @describe(
            {200: batch_answer_schema(model)},
            body=batch_schema(model),
            errors=(*CREATE_ERRORS, 412, 428),
            id="batch_{many}",
        )
        def post(self) -> Response:
            """Create, update and delete many of {one}, all or nothing."""
            return respond(run_batch(model, read_json()))

    return Batch


def item(model: type[Model]) -> type[Resource]:
    """The resource that is one record of a model."""
    read, write = model.read_schema, model.write_schema
    changing = {"body": model.patch_validator.schema, "errors": WRITE_ERRORS}
    changing["other_bodies"] = patch.other_bodies(model)
    seen = {200: view_schema(read), 304: None}
    parameters = model.queryable.view_parameters()

    class Item(Resource):
        """One record of a model."""

        options_headers = {"Accept-Patch": ", ".join(patch.TYPES)}

        @describe(seen, query=parameters, errors=(400, 404), id="get_{one}")
        def get(self, id: str) -> Response:
            """Read a {one}."""
            view = parse_view(model.queryable)
            record = model.get_or_404(check_id(id))
            # What is embedded has versions of its own, which this ETag does not tell.
            if is_unchanged(record) and not view.expand:
                return respond(None, 304, [("ETag", etag(record))])
            return respond_record(record, view=view)

        @describe({200: read}, body=write, errors=WRITE_ERRORS, id="replace_{one}")
        def put(self, id: str) -> Response:
            """Replace a {one}; an optional field left out is reset."""
            id, body = check_id(id), read_json()
            return respond_record(to_write(model, id).replace(body))

        @describe({200: read}, **changing, id="update_{one}")
        def patch(self, id: str) -> Response:
            """Change a {one}: a JSON Merge Patch, or a JSON Patch by its media type."""
            return respond_record(patch_record(model, check_id(id)))

        @describe({204: None}, errors=DELETE_ERRORS, id="delete_{one}")
        def delete(self, id: str) -> Response:
            """Delete a {one}."""
            to_write(model, check_id(id)).delete()
            return respond(None, 204)

    return Item


def to_write(model: type[Model], id: str) -> Record:
    """The record with an id, if the conditions of this request let it be written."""
    record = model.get_or_404(id)
    check_write(record)
    return record


def patch_record(model: type[Model], id: str) -> Record:
    """Apply the patch in the body of this request to a record."""
    body = read_json(patch.TYPES, "Accept-Patch")
    change = patch.kind_of(request.mimetype)
    change.check(body, model)
    record = to_write(model, id)
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    view = change.apply(model.writable_view(record.document), body, limit)
    try:
        return record.replace(model.completed(record, view))
    except Problem as problem:
        if problem.slug != "invalid-body":
            raise
        raise Problem(change.refusal, errors=problem.errors) from problem


def view_schema(read_schema: JSON) -> JSON:
    """The schema of a record of which ``fields`` may show a part."""
    some = {key: read_schema[key] for key in read_schema if key != "required"}
    return {**some, "$id": read_schema["$id"].replace(".json", ".view.json")}


def list_schema(read_schema: JSON) -> JSON:
    """The schema of one page of records."""
    view = view_schema(read_schema)
    return {
        "$id": read_schema["$id"].replace(".json", ".list.json"),
        "examples": [
            {"items": [record], "next": None}
            for record in read_schema.get("examples", ())
        ],
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": view["$id"]}},
            "next": {"type": ["string", "null"]},
            "total": {"type": "integer", "minimum": 0},
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }


def respond_record(
    record: Record, status: int = 200, headers: Any = (), view: ListQuery = ListQuery()
) -> Response:
    """A record with its ETag."""
    (shown,) = record.model.show_many([record.document], view)
    return respond(shown, status, [("ETag", etag(record)), *headers])


def respond_page(page: Page, query: ListQuery) -> Response:
    """A page, with the cursor and the link of the next one (RFC 8288)."""
    body: dict[str, Any] = {"items": page.items, "next": None}
    headers = []
    if page.last is not None:
        body["next"] = make_cursor(query, page.last)
        asked = single_arguments()
        asked.pop("offset", None)
        link = urlencode({**asked, "cursor": body["next"]})
        where = f"{request.script_root}{request.path}"
        headers.append(("Link", f'<{where}?{link}>; rel="next"'))
    if page.total is not None:
        body["total"] = page.total
        headers.append(("X-Total-Count", str(page.total)))
    return respond(body, headers=headers)
