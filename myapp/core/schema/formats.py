"""String formats: checked in requests, and converted to the values in the stores.

``jsonschema`` checks uri, hostname, email and others with the packages of its
``format-nongpl`` extra, except rfc3987-syntax, whose import takes as long as that of
all others together. This module adds the formats that become typed columns, or makes
them stricter, and those that rfc3987-syntax checks.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from rfc3986_validator import validate_rfc3986

FORMAT_CHECKER = FormatChecker(formats=())
FORMAT_CHECKER.checkers = dict(Draft202012Validator.FORMAT_CHECKER.checkers)

# RFC 3339 section 5.6; a lower-case t or z is allowed there, a blank is not.
DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:[0-5]\d)\Z", re.ASCII
)
DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
DECIMAL = re.compile(r"-?(0|[1-9]\d{0,27})(\.\d{1,10})?\Z", re.ASCII)
UUID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.ASCII
)
# The same formats as patterns with one meaning in ECMA-262 and Python, not anchored.
DAY = (
    r"((\d{3}[1-9]|\d\d[1-9]\d|\d[1-9]\d\d|[1-9]\d{3})-"
    r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)"
    r"|02-(0[1-9]|1\d|2[0-8]))"
    r"|(\d\d(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)"
)
TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
HEX = "[0-9a-fA-F]"
PATTERNS = {
    "date": DAY,
    "date-time": f"{DAY}[Tt]{TIME}",
    "decimal": r"-?(0|[1-9]\d{0,27})(\.\d{1,10})?",
    "uuid": f"{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}",
}


def parse_datetime(text: str) -> datetime:
    """A date-time in UTC. At most six digits of a second are allowed, so that none is
    dropped. Leap seconds are refused, because no store holds them.

    :raises ValueError: when it is not a date-time, or is outside the years 1 to 9999.
    """
    if not DATE_TIME.match(text):
        raise ValueError("not an RFC 3339 date-time")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("outside the years 1 to 9999") from error


def parse_date(text: str) -> date:
    """A date, RFC 3339 ``full-date``.

    :raises ValueError: when it is not a date.
    """
    if not DATE.match(text):
        raise ValueError("not an RFC 3339 full-date")
    return date.fromisoformat(text)


def parse_decimal(text: str) -> Decimal:
    """A decimal number in plain notation, at most 28 digits before the point and
    10 after it.

    :raises ValueError: when it is not a decimal number.
    """
    if not DECIMAL.match(text):
        raise ValueError("not a decimal")
    return Decimal(text)


def parse_uuid(text: str) -> str:
    """A UUID in its canonical form, RFC 9562 section 4, in lower case.

    :raises ValueError: when it is not a UUID.
    """
    text = text.lower()
    if not UUID.match(text):
        raise ValueError("not a UUID")
    return text


# ucschar of RFC 3987 section 2.2: every plane without its two noncharacters, and
# without surrogates and private use.
UCSCHAR = re.compile(
    "["
    "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"
    + "".join(f"{chr(n << 16)}-{chr((n << 16) + 0xFFFD)}" for n in range(1, 15))
    + "]"
)
PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]")


def parse_iri(text: str, rule: str = "URI") -> str:
    """An IRI: mapped to a URI as in RFC 3987 section 3.1, it is a URI. Characters for
    private use stand in its query alone.

    :param rule: the rule of RFC 3986 for the URI.
    :raises ValueError: when it is not an IRI.
    """
    path, mark, query = text.partition("?")
    query, hash_mark, fragment = query.partition("#")
    query = PRIVATE.sub("%20", query)
    mapped = UCSCHAR.sub("%20", f"{path}{mark}{query}{hash_mark}{fragment}")
    if not mapped.isascii() or not validate_rfc3986(mapped, rule=rule):
        raise ValueError("not an IRI")
    return text


def parse_iri_reference(text: str) -> str:
    """An IRI or a relative reference to one; see :func:`parse_iri`."""
    return parse_iri(text, "URI_reference")


# The parser of each format: it turns the string into the stored value.
PARSERS: dict[str, Callable[[str], Any]] = {
    "date-time": parse_datetime,
    "date": parse_date,
    "decimal": parse_decimal,
    "uuid": parse_uuid,
}


def register(name: str, parse: Callable[[str], Any]) -> None:
    """Make a string of a format valid exactly when the parser accepts it."""

    def check(value: Any) -> bool:
        if isinstance(value, str):
            parse(value)
        return True

    FORMAT_CHECKER.checks(name, raises=ValueError)(check)


for _name, _parse in PARSERS.items():
    register(_name, _parse)
register("iri", parse_iri)
register("iri-reference", parse_iri_reference)
