"""Lists: the whole list query of a model, for its own route and for routes by hand.

``describe_list`` and ``respond_list`` give a route filters, sort, search, selection,
pages with cursors, errors and documentation.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from myapp.core.http.description import Described, View, describe
from myapp.core.http.request import path_of_request
from myapp.core.http.response import respond
from myapp.core.model.model import Model
from myapp.core.model.record import Page
from myapp.core.query.filters import Filter
from myapp.core.query.list_query import ListQuery, parse_query, single_arguments
from myapp.core.rest.cursor import make_cursor, read_cursor
from myapp.core.schema.derive import list_schema, view_schema
from myapp.core.schema.strict_json import JSON


def describe_list(model: type[Model], **more: Any) -> Callable[[View], Described]:
    """State that a view function responds with :func:`respond_list`.

    :param more: see :class:`~myapp.core.http.description.Description`.
    """
    responses = {200: list_schema(model.read_schema)}
    parts = (view_schema(model.read_schema), *related_schemas(model))
    query = model.queryable.parameters()
    return describe(responses, query=query, parts=parts, **more)


def related_schemas(model: Any) -> list[JSON]:
    """The schemas of the records that ``expand`` can embed, and of theirs."""
    found: list[JSON] = []
    pending = [model]
    for one in pending:
        for relation in one.relations.values():
            if relation.model.read_schema not in found:
                found.append(relation.model.read_schema)
                pending.append(relation.model)
    return found


def respond_list(model: type[Model], *conditions: Filter) -> Response:
    """The page of a model that the query of this request asks for.

    :param conditions: what all records of the list fulfil, beside the scope.
    :raises Problem: 400 for a parameter, field, operator, value or cursor that is not
        valid.
    """
    query = parse_query(model.queryable, request.query_string)
    if query.cursor is not None:
        place = read_cursor(query, query.cursor, model.queryable.properties)
        query = query.starting_after(place)
    asked = query
    if conditions:
        asked = replace(query, filters=(*conditions, *query.filters))
    return respond_page(model.list(asked), query)


def respond_page(page: Page, query: ListQuery) -> Response:
    """A page, with the cursor and the link of the next one (RFC 8288)."""
    body: dict[str, Any] = {"items": page.items, "next": None}
    headers = []
    if page.last is not None:
        body["next"] = make_cursor(query, page.last)
        asked = single_arguments(request.query_string)
        asked.pop("offset", None)
        link = urlencode({**asked, "cursor": body["next"]})
        headers.append(("Link", f'<{path_of_request()}?{link}>; rel="next"'))
    if page.total is not None:
        body["total"] = page.total
        headers.append(("X-Total-Count", str(page.total)))
    return respond(body, headers=headers)
