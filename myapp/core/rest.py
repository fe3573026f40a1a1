"""The REST verbs over a model: one function makes the routes of a resource."""

from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from myapp.core.api import Resource, describe
from myapp.core.output import respond
from myapp.core.model import Model, Page, Record
from myapp.core.query import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    ListQuery,
    make_cursor,
    parse_query,
)
from myapp.core.request import check_id, read_json
from myapp.core.schema import JSON

LIST_PARAMETERS: dict[str, JSON] = {
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_LIMIT,
        "default": DEFAULT_LIMIT,
        "description": "Records on a page.",
    },
    "cursor": {
        "type": "string",
        "description": "The `next` of the page before, for the page behind it.",
    },
}


def routes_from_model(namespace: Any, model: type[Model], access: str = "") -> None:
    """Make the routes of a model in a namespace: POST and GET on ``/``, GET, PUT and
    DELETE on ``/<id>``, and with them HEAD and OPTIONS.

    :param namespace: of an :class:`~myapp.core.api.Api`; its name is the plural.
    :param access: who may call them, when the row of the feature does not say it.
    """
    for base, url in ((collection(model), "/"), (item(model), "/<id>")):
        name = f"{model.__name__}{base.__name__}"
        members: dict[str, Any] = {"access": access} if access else {}
        for method in base.methods or ():
            function = getattr(base, method.lower())
            text = function.__doc__.format(one=model.__name__.lower())
            function.__doc__ = text
        namespace.route(url)(type(name, (base,), members))
    namespace.models_served = [*getattr(namespace, "models_served", []), model]


def collection(model: type[Model]) -> type[Resource]:
    """The resource that holds all records of a model."""
    read, write = model.read_schema, model.write_schema

    class Collection(Resource):
        """All records of a model."""

        @describe({200: list_schema(read)}, query=LIST_PARAMETERS)
        def get(self) -> Response:
            """List every {one}, newest first, a page at a time."""
            query = parse_query(request.path)
            return respond_page(model.list(query), query)

        @describe({201: read}, body=write, errors=(400, 409, 413, 415, 422))
        def post(self) -> Response:
            """Create a {one}."""
            record = model.create(read_json())
            where = f"{request.script_root}{request.path.rstrip('/')}/{record.id}"
            return respond_record(record, 201, [("Location", where)])

    return Collection


def item(model: type[Model]) -> type[Resource]:
    """The resource that is one record of a model."""
    read, write = model.read_schema, model.write_schema

    class Item(Resource):
        """One record of a model."""

        @describe({200: read}, errors=(400, 404))
        def get(self, id: str) -> Response:
            """Read a {one}."""
            return respond_record(model.get_or_404(check_id(id)))

        @describe({200: read}, body=write, errors=(400, 404, 409, 413, 415, 422))
        def put(self, id: str) -> Response:
            """Replace a {one}; an optional field left out is reset."""
            id, body = check_id(id), read_json()
            return respond_record(model.get_or_404(id).replace(body))

        @describe({204: None}, errors=(400, 404, 409))
        def delete(self, id: str) -> Response:
            """Delete a {one}."""
            model.get_or_404(check_id(id)).delete()
            return respond(None, 204)

    return Item


def list_schema(read_schema: JSON) -> JSON:
    """The schema of one page of records."""
    return {
        "$id": read_schema["$id"].replace(".json", ".list.json"),
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": read_schema["$id"]}},
            "next": {"type": ["string", "null"]},
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }


def etag(record: Record) -> str:
    """The strong validator of a record, RFC 9110 section 8.8.3."""
    return f'"{record.version}"'


def respond_record(record: Record, status: int = 200, headers: Any = ()) -> Response:
    """A record with its ETag."""
    return respond(record.as_json(), status, [("ETag", etag(record)), *headers])


def respond_page(page: Page, query: ListQuery) -> Response:
    """A page, with the cursor and the link of the next one (RFC 8288)."""
    if not page.more:
        return respond({"items": page.items, "next": None})
    cursor = make_cursor(request.path, page.items[-1]["id"])
    where = f"{request.script_root}{request.path}"
    link = f"<{where}?{urlencode({'limit': query.limit, 'cursor': cursor})}>"
    headers = [("Link", f'{link}; rel="next"')]
    return respond({"items": page.items, "next": cursor}, headers=headers)
