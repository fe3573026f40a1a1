"""Filters of the list query: a field, an operator, and a value typed by the schema.

The semantics are the same on each store: text is compared by code point; a field that
is unset matches only ``ne`` and ``null=true``.
"""

import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from operator import eq, ge, gt, le, lt
from typing import Any

from myapp.core.schema.formats import PARSERS
from myapp.core.schema.strict_json import JSON, MAX_INTEGER, MIN_INTEGER, NOT_ZERO

ORDERED_OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in")
TEXT_OPERATORS = (*ORDERED_OPERATORS, "prefix")
EXACT_OPERATORS = ("eq", "ne", "in")
MAX_VALUES = 100
# The default context would round to 28 digits.
EXACT_CONTEXT = Context(prec=60)
NUMBER_TYPES = ("number", ["number", "null"])
DOUBLE = struct.Struct(">d")

INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z", re.ASCII)
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?\Z", re.ASCII)


@dataclass(frozen=True)
class Filter:
    """One condition.

    :param values: one value, or the values of ``in``.
    """

    field: str
    operator: str
    values: tuple[Any, ...]

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether a document with typed values fulfils the condition."""
        value = document[self.field]
        if self.operator == "null":
            return (value is None) is self.values[0]
        if self.operator == "ne":
            return bool(value != self.values[0])
        return value is not None and COMPARE[self.operator](value, self.values)


def equal(field: str, value: Any) -> Filter:
    """The condition that a field has a value."""
    return Filter(field, "eq", (value,))


def is_unset(field: str) -> Filter:
    """The condition that a field has no value."""
    return Filter(field, "null", (True,))


def one_of(field: str, values: Iterable[Any]) -> Filter:
    """The condition that a field has one of these values; without values, no record
    fulfils it."""
    return Filter(field, "in", tuple(values))


#: The condition that no record fulfils.
NOTHING = one_of("id", ())

COMPARE: dict[str, Callable[[Any, tuple[Any, ...]], bool]] = {
    "eq": lambda value, values: eq(value, values[0]),
    "gt": lambda value, values: gt(value, values[0]),
    "gte": lambda value, values: ge(value, values[0]),
    "lt": lambda value, values: lt(value, values[0]),
    "lte": lambda value, values: le(value, values[0]),
    "in": lambda value, values: value in values,
    "prefix": lambda value, values: value.startswith(values[0]),
}


def scalar_type(field: JSON) -> str:
    """The type of a property, apart from ``null``.

    :raises TypeError: when it has several types, or is an array or an object; such a
        field cannot be filtered or sorted.
    """
    types = field.get("type")
    plain = (
        [name for name in types if name != "null"]
        if isinstance(types, list)
        else [types]
    )
    if len(plain) != 1 or plain[0] not in ("string", "integer", "number", "boolean"):
        raise TypeError(f"a field of type {types} cannot be filtered or sorted")
    return str(plain[0])


def operators(field: JSON) -> tuple[str, ...]:
    """The operators that a property supports."""
    kind = scalar_type(field)
    found: tuple[str, ...] = ORDERED_OPERATORS
    if kind == "boolean" or field.get("format") == "uuid":
        found = EXACT_OPERATORS
    elif kind == "string" and field.get("format") not in PARSERS:
        found = TEXT_OPERATORS
    return (*found, "null") if "null" in field["type"] else found


def parser(field: JSON) -> Callable[[str], Any]:
    """The function that turns the text of a query into a value of a property.

    It raises ValueError with a text that says what is expected.
    """
    kind = scalar_type(field)
    if kind == "integer":
        return parse_integer
    if kind == "number":
        return parse_float
    if kind == "boolean":
        return parse_boolean
    if "enum" in field:
        known = [value for value in field["enum"] if value is not None]
        return lambda text: parse_choice(text, known)
    return PARSERS.get(field.get("format", ""), str)


def parse_integer(text: str) -> int:
    """An integer of 64 bits in plain notation."""
    if not INTEGER.match(text) or not MIN_INTEGER <= int(text) <= MAX_INTEGER:
        raise ValueError("must be an integer of 64 bits")
    return int(text)


def parse_float(text: str) -> float:
    """A finite number, which does not become 0."""
    value = float(text) if NUMBER.match(text) else math.nan
    if not math.isfinite(value) or value == 0 and NOT_ZERO.match(text):
        raise ValueError("must be a number")
    return value


def parse_boolean(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def parse_choice(text: str, known: list[str]) -> str:
    """One of the values of an ``enum``."""
    if text not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return text


def typed(value: Any, field: JSON) -> Any:
    """A JSON value converted to the type that stores compare."""
    parse = PARSERS.get(field.get("format", ""))
    if isinstance(value, str) and parse is not None:
        return parse(value)
    if isinstance(value, int) and field.get("type") in NUMBER_TYPES:
        return float(value)
    return value


def sort_key(value: Any) -> str:
    """A text whose order by code point is the order of the values; for text indexes."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return f"{value - MIN_INTEGER:016x}"
    if isinstance(value, float):
        return float_key(value)
    if isinstance(value, Decimal):
        # The format allows 28 digits before the point and 10 after it.
        return f"{int(EXACT_CONTEXT.scaleb(value, 10)) + 10**38:039d}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def float_key(value: float) -> str:
    """The bits of a double, arranged so that they sort like the numbers."""
    bits = int.from_bytes(DOUBLE.pack(value + 0.0), "big")
    bits = bits ^ (2**64 - 1) if bits >> 63 else bits | 2**63
    return f"{bits:016x}"
