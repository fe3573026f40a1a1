"""The list query: the query string of a list request, parsed and checked.

A field that the model does not declare is refused with the same 400, whether the field
exists, is hidden, or does not exist.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from myapp.core.errors.problem import invalid_parameter
from myapp.core.query import filters, parameters
from myapp.core.query.created import CREATED_OPERATORS, on_ids
from myapp.core.query.filters import Filter
from myapp.core.query.parameters import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_WORDS,
    PAGE_PARAMETERS,
)
from myapp.core.schema.strict_json import JSON

DIGITS = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
FILTER = re.compile(r"(\w+)(?:\[(\w+)\])?\Z", re.ASCII)

Sort = tuple[str, bool]
#: Newest first: ids sort by time.
NEWEST: tuple[Sort, ...] = (("id", True),)


@dataclass(frozen=True)
class ListQuery:
    """One page of a collection.

    :param filters: conditions that a record must fulfil, all of them.
    :param words: words that each record contains, in its ``searchable`` fields.
    :param sort: pairs of a field and whether it is descending; the last field is the
        id, so that no two records are equal.
    :param limit: the number of records on the page.
    :param cursor: the cursor in the URL, not yet parsed.
    :param after: the values of ``sort`` in the last record of the previous page.
    :param offset: the number of records to skip at the start.
    :param count: whether the response contains the total.
    :param fields: the fields to show, ``None`` for all.
    :param expand: the relations to embed.
    """

    filters: tuple[Filter, ...] = ()
    words: tuple[str, ...] = ()
    sort: tuple[Sort, ...] = NEWEST
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    after: tuple[Any, ...] | None = None
    offset: int = 0
    count: bool = False
    fields: tuple[str, ...] | None = None
    expand: tuple[str, ...] = ()

    def starting_after(self, place: tuple[Any, ...]) -> "ListQuery":
        """The same query for the page that starts after a place; see ``after``."""
        return replace(self, after=place)


@dataclass(frozen=True)
class Queryable:
    """The query options of a model, compiled from its declarations.

    :param properties: the properties of the read schema; ``filterable``, ``sortable``
        and ``searchable`` name some of them.
    :param relations: the relations that can be embedded.
    :param created_by_id: whether the order of ids is that of ``created_at``.
    """

    properties: Mapping[str, JSON]
    filterable: tuple[str, ...] = ()
    sortable: tuple[str, ...] = ()
    searchable: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    created_by_id: bool = True
    operators: dict[str, tuple[str, ...]] = field(init=False)
    parsers: dict[str, Callable[[str], Any]] = field(init=False)

    def __post_init__(self) -> None:
        known = self.properties
        operators = {name: filters.operators(known[name]) for name in self.filterable}
        if self.created_by_id and "created_at" in operators:
            operators["created_at"] = CREATED_OPERATORS
        for name in self.searchable:
            if filters.scalar_type(known[name]) != "string":
                raise TypeError(f"{name} is not a string and cannot be searched")
        names = {*self.filterable, *self.sortable, "id"}
        parsers = {name: filters.parser(known[name]) for name in names}
        object.__setattr__(self, "operators", operators)
        object.__setattr__(self, "parsers", parsers)

    @property
    def newest(self) -> tuple[Sort, ...]:
        """The order of a list that asks for none: newest first, if the model can sort
        by time."""
        if self.created_by_id or "created_at" not in self.sortable:
            return NEWEST
        return (("created_at", True), *NEWEST)

    def parameters(self) -> dict[str, JSON]:
        """The schema of each parameter of the query, for documentation."""
        found: dict[str, JSON] = {}
        for name in self.filterable:
            found |= parameters.filter_parameters(
                name, self.properties[name], self.operators[name]
            )
        if self.searchable:
            found["q"] = parameters.search_parameter(self.searchable)
        found["sort"] = parameters.sort_parameter(self.sortable)
        return found | PAGE_PARAMETERS | self.selection_parameters()

    def selection_parameters(self) -> dict[str, JSON]:
        """The schemas of ``fields`` and ``expand``."""
        return parameters.selection_parameters(self.properties, self.relations)


def parse_query(model: Queryable, query_string: bytes) -> ListQuery:
    """The list query in a URL; its cursor is not yet parsed.

    :raises Problem: 400 for an unknown parameter, field or operator, or a bad value.
    """
    if not query_string:
        return ListQuery(sort=model.newest)
    arguments = single_arguments(query_string)
    conditions: list[Filter] = []
    rest: dict[str, str] = {}
    for name, text in arguments.items():
        match = FILTER.match(name)
        if match and match[1] in model.operators:
            conditions += parse_filter(model, name, match[1], match[2], text)
        else:
            rest[name] = text
    query = ListQuery(
        filters=tuple(conditions),
        words=parse_words(model, rest.pop("q", None)),
        sort=parse_sort(model, rest.pop("sort", None)),
        limit=parse_page_number(
            "limit", rest.pop("limit", DEFAULT_LIMIT), 1, MAX_LIMIT
        ),
        offset=parse_page_number("offset", rest.pop("offset", 0), 0, MAX_OFFSET),
        count=parse_count(rest.pop("count", None)),
        cursor=rest.pop("cursor", None),
    )
    if "offset" in arguments and "cursor" in arguments:
        raise invalid_parameter("offset", "does not go together with cursor")
    return add_selection(model, query, rest, model.parameters)


def parse_selection(model: Queryable, query_string: bytes) -> ListQuery:
    """The selection of a single record: the fields to show and the relations to embed.

    :raises Problem: 400 for an unknown parameter, field or relation.
    """
    if not query_string:
        return ListQuery()
    rest = single_arguments(query_string)
    return add_selection(model, ListQuery(), rest, model.selection_parameters)


def single_arguments(query_string: bytes) -> dict[str, str]:
    """The parameters of a query string; each may be given once.

    :raises Problem: 400 when one is given twice.
    """
    pairs = parse_qsl(query_string.decode(), keep_blank_values=True)
    arguments = dict(pairs)
    if len(arguments) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid_parameter(twice, "is given more than once")
    return arguments


def add_selection(
    model: Queryable,
    query: ListQuery,
    rest: dict[str, str],
    parameters: Callable[[], Mapping[str, JSON]],
) -> ListQuery:
    """Add ``fields`` and ``expand``, and refuse all other parameters.

    :param parameters: gives those that the route takes, for the error.
    """
    shown = parse_names(rest.pop("fields", None), "fields", model.properties)
    embedded = parse_names(rest.pop("expand", None), "expand", model.relations)
    for name in rest:
        known = ", ".join(parameters())
        raise invalid_parameter(name, f"is unknown; known are {known}")
    return replace(query, fields=shown, expand=embedded or ())


def known_names(model: Queryable) -> str:
    """The parameters that a list supports, for the error about an unknown one."""
    return ", ".join(model.parameters())


def parse_filter(
    model: Queryable, name: str, field: str, operator: str | None, text: str
) -> tuple[Filter, ...]:
    """The conditions of one filter, with its values typed."""
    allowed = model.operators[field]
    operator = operator or "eq"
    if operator not in allowed or name == f"{field}[eq]":
        raise invalid_parameter(name, f"is unknown; known are {known_names(model)}")
    texts = text.split(",") if operator == "in" else [text]
    if len(texts) > filters.MAX_VALUES:
        raise invalid_parameter(name, f"takes at most {filters.MAX_VALUES} values")
    parse: Callable[[str], Any] = model.parsers[field]
    if operator == "null":
        parse = filters.parse_boolean
    try:
        values = tuple(parse(part) for part in texts)
    except ValueError as error:
        raise invalid_parameter(name, str(error)) from error
    if field == "created_at" and model.created_by_id:
        return on_ids(operator, values[0])
    return (Filter(field, operator, values),)


def parse_words(model: Queryable, text: str | None) -> tuple[str, ...]:
    """The words of a search."""
    if text is None:
        return ()
    if not model.searchable:
        raise invalid_parameter("q", f"is unknown; known are {known_names(model)}")
    words = text.split()
    if not 1 <= len(words) <= MAX_WORDS:
        raise invalid_parameter("q", f"must have 1 to {MAX_WORDS} words")
    return tuple(words)


def parse_sort(model: Queryable, text: str | None) -> tuple[Sort, ...]:
    """The fields to sort by; the id is added last, in the direction of the first."""
    if text is None:
        return model.newest
    allowed = ("id", *model.sortable)
    sort: dict[str, bool] = {}
    for part in text.split(","):
        name = part.removeprefix("-")
        if name not in allowed:
            raise invalid_parameter("sort", f"takes {', '.join(allowed)}")
        if name in sort:
            raise invalid_parameter("sort", f"names {name} more than once")
        sort[name] = part.startswith("-")
    sort.setdefault("id", next(iter(sort.values())))
    # Ids are unique, and no two records are created at once: what follows is dropped.
    unique = ("id", "created_at") if model.created_by_id else ("id",)
    last = min(list(sort).index(name) for name in unique if name in sort)
    fields = tuple(sort.items())
    return (*fields[:last], ("id", fields[last][1]))


def parse_names(text: str | None, name: str, allowed: Any) -> tuple[str, ...] | None:
    """The names in a comma-separated list."""
    if text is None:
        return None
    names = tuple(dict.fromkeys(text.split(",")))
    if not set(names) <= set(allowed):
        raise invalid_parameter(name, f"takes {', '.join(allowed) or 'nothing'}")
    return names


def parse_page_number(name: str, text: str | int, least: int, most: int) -> int:
    """A number, written in digits only, between two bounds."""
    if not DIGITS.match(str(text)) or not least <= int(text) <= most:
        raise invalid_parameter(name, f"must be a number from {least} to {most}")
    return int(text)


def parse_count(text: str | None) -> bool:
    """Whether the response contains the total."""
    if text not in (None, "exact"):
        raise invalid_parameter("count", "must be exact, or left out")
    return text == "exact"
