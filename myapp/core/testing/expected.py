"""The expected result of a list query, computed from the records in plain Python."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from myapp.core.schema.strict_json import JSON
from myapp.core.testing.client import Client

Records = list[JSON]
Sort = Sequence[tuple[str, bool]]
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, given: bool(value == given[0]),
    "gt": lambda value, given: bool(value > given[0]),
    "gte": lambda value, given: bool(value >= given[0]),
    "lt": lambda value, given: bool(value < given[0]),
    "lte": lambda value, given: bool(value <= given[0]),
    "in": lambda value, given: value in given,
    "prefix": lambda value, given: bool(value.startswith(given[0])),
}
PARSE: dict[str, Callable[[str], Any]]
PARSE = {"decimal": Decimal, "date-time": datetime.fromisoformat, "uuid": str.lower}


def kind_of(field: JSON) -> str:
    """The kind of a property, a key of WRONG."""
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    kind = field.get("format", next(name for name in types if name != "null"))
    return "enum" if "enum" in field else str(kind)


def operators_of(field: JSON) -> set[str]:
    """The operators that a property has by the contract."""
    if kind_of(field) in ("boolean", "uuid"):
        return {"eq", "ne", "in"}
    is_text = kind_of(field) in ("string", "enum")
    return {*COMPARE, "ne"} - (set() if is_text else {"prefix"})


def may_be_unset(field: JSON) -> bool:
    """Whether a property may be ``null``, so that a filter can ask for that."""
    return "null" in field["type"]


def comparable(field: JSON, value: Any) -> Any:
    """A value of a record in the form that is compared."""
    parse = PARSE.get(kind_of(field))
    return parse(value) if parse and value is not None else value


def as_text(value: Any) -> str:
    """A value of a record as a query string has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def passes(record: JSON, name: str, field: JSON, operator: str, *given: Any) -> bool:
    """Whether a filter must find a record."""
    wanted = [comparable(field, one) for one in given]
    value = comparable(field, record[name])
    if operator == "ne":
        return bool(value != wanted[0])
    return value is not None and COMPARE[operator](value, wanted)


def in_order(records: Records, properties: JSON, sort: Sort) -> Records:
    """Sorted records: unset values last, equal values by id in the first direction."""
    whole = takewhile(lambda one: one[0] != "created_at", sort)
    rest = [(name, down) for name, down in sort if name == "created_at"]
    for name, down in reversed([*whole, *rest[:1], ("id", (rest or sort)[0][1])]):
        known = [record for record in records if record[name] is not None]
        unset = [record for record in records if record[name] is None]
        keys = {one["id"]: comparable(properties[name], one[name]) for one in known}
        known.sort(key=lambda record: keys[record["id"]], reverse=down)
        records = known + unset
    return records


def sort_text(sort: Sort) -> str:
    """An order as a query string has it."""
    return ",".join(f"-{name}" if down else name for name, down in sort)


def walk(
    client: Client, url: str, query: JSON, between: Callable[[Records], object] = len
) -> Records:
    """The records of all pages, by their links.

    :param between: called with each page before the next page is requested.
    """
    items: Records = []
    where = f"{url}?{urlencode(query)}"
    while where:
        response = client.get(where)
        page, link = response.json, response.headers.get("Link", "")
        items += page["items"]
        assert len({record["id"] for record in items}) == len(items), "repeated record"
        where = link.removeprefix("<").removesuffix('>; rel="next"')
        assert parse_qs(urlsplit(where).query).get("cursor", [None]) == [page["next"]]
        assert len(page["items"]) == query["limit"] or not where
        between(page["items"])
    return items
