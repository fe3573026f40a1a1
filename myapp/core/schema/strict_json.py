"""Strict JSON input: bytes to values, with nothing silently changed.

``orjson`` accepts duplicate keys and turns large integers into floats, so the standard
library parses bodies, under stricter rules: RFC 8259 in UTF-8, at most 64 levels deep,
no duplicate keys, NaN or infinities, no integer beyond 64 bits, no NUL and no lone
surrogate in a string. A number without a fraction is an integer, also when it is
written as 1.0 or 1e2 (JSON Schema 2020-12 Core, section 4.2.3), as far as a double is
exact.
"""

import json
import math
import re
from typing import Any

#: A JSON object as the parser makes it; a JSON Schema is one, too.
JSON = dict[str, Any]

MAX_DEPTH = 64
MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)
# Up to this number a double holds every integer exactly.
MAX_EXACT = 2**53

# A string without an end reaches to the end of the body. The possessive quantifiers
# keep the scan from reading anything twice.
STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)
# A digit of a number other than zero, before the exponent.
NOT_ZERO = re.compile(r"[^eE]*[1-9]")


class JSONRefused(ValueError):
    """The bytes are not accepted JSON; the text gives the reason in one sentence."""


def loads(body: bytes) -> Any:
    """Parse a body.

    :raises JSONRefused: when the body breaks a rule of this module.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JSONRefused(f"Not UTF-8 at byte {error.start}.") from error
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        check_depth(body)
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JSONRefused(
            f"Not JSON at line {error.lineno}, column {error.colno}."
        ) from error
    # Only an escape can bring NUL or a surrogate into a string of UTF-8 JSON.
    if "\\u" in text:
        check_strings(value)
    return value


def check_depth(body: bytes) -> None:
    """Refuse nesting deeper than :data:`MAX_DEPTH`, without recursion."""
    depth = 0
    for match in STRING_OR_BRACKET.finditer(body):
        if match.group(1):
            depth += 1
            if depth > MAX_DEPTH:
                raise JSONRefused(f"Nested deeper than {MAX_DEPTH}.")
        elif match.group(2):
            depth -= 1


def check_strings(value: Any) -> None:
    """Refuse NUL and lone surrogates in every string and key of a value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str):
            check_string(item)


def check_string(text: str) -> None:
    """Refuse NUL and lone surrogates in one string."""
    if "\x00" in text:
        raise JSONRefused("A string contains NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise JSONRefused("A string contains a lone surrogate.") from error


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, and refuse duplicate keys."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise JSONRefused("An object has the same key twice.")
    return result


def bounded_integer(digits: str) -> int:
    """Parse an integer of at most 64 bits, the range that every store holds."""
    if len(digits) > 20 or not MIN_INTEGER <= (value := int(digits)) <= MAX_INTEGER:
        raise JSONRefused("An integer is beyond 64 bits.")
    return value


def finite_number(digits: str) -> float:
    """Parse a number with a point or an exponent that a double can hold; one that would
    become 0 or infinity is refused."""
    value = float(digits)
    if not math.isfinite(value):
        raise JSONRefused("A number is too large.")
    if value == 0 and NOT_ZERO.match(digits):
        raise JSONRefused("A number is too small.")
    if value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    return value


def no_constant(name: str) -> None:
    """Refuse NaN, Infinity and -Infinity, which are not JSON."""
    raise JSONRefused(f"{name} is not JSON.")


DECODER = json.JSONDecoder(
    object_pairs_hook=unique_object,
    parse_int=bounded_integer,
    parse_float=finite_number,
    parse_constant=no_constant,
)
