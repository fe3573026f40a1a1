"""The parameters of a list query as JSON Schemas, for documentation.

A list of values is one string with commas, and its pattern describes the values.
Clients write arrays into a URL in different ways, but strings in the same way.
"""

import re
from collections.abc import Iterable, Mapping

from myapp.core.query import filters
from myapp.core.schema.formats import PARSERS, PATTERNS
from myapp.core.schema.strict_json import JSON, MAX_INTEGER, MIN_INTEGER

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_OFFSET = 1000
MAX_WORDS = 8
# The characters that separate words in ``str.split``, for a character class.
BLANKS = r"\t-\r\x1c-\x20\x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
WORD, BLANK = f"[^{BLANKS}]+", f"[{BLANKS}]"
WORDS = f"^{BLANK}*{WORD}({BLANK}+{WORD}){{0,{MAX_WORDS - 1}}}{BLANK}*$"

PAGE_PARAMETERS: dict[str, JSON] = {
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_LIMIT,
        "default": DEFAULT_LIMIT,
        "description": "Records on a page.",
    },
    "cursor": {
        "type": "string",
        "minLength": 1,
        "description": "The `next` of the previous page.",
    },
    "offset": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_OFFSET,
        "description": "Records to skip, for small lists; not with a cursor.",
    },
    "count": {
        "type": "string",
        "enum": ["exact"],
        "description": "Ask for the total.",
    },
}
# The pattern of one value of a filter, by the type of its field. For numbers it allows
# fewer digits than the server accepts.
VALUES = {
    "integer": r"-?(0|[1-9][0-9]{0,17})",
    "number": r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?",
    "boolean": "(true|false)",
    "string": "[^,]*",
}


def filter_parameters(field: str, schema: JSON, operators: Iterable[str]) -> JSON:
    """The parameters of one field, by their names in the URL.

    :param schema: the schema of the field in the read schema.
    """
    names = {
        operator: field if operator == "eq" else f"{field}[{operator}]"
        for operator in operators
    }
    return {name: filter_schema(schema, key) for key, name in names.items()}


def filter_schema(field: JSON, operator: str) -> JSON:
    """The schema of one filter."""
    kind = filters.scalar_type(field)
    if operator == "in":
        most = filters.MAX_VALUES - 1
        one = value_pattern(field)
        about = f"Values, comma-separated, at most {filters.MAX_VALUES}."
        pattern = f"^{one}(,{one}){{0,{most}}}$"
        return {"type": "string", "pattern": pattern, "description": about}
    if operator == "null":
        return {"type": "boolean", "description": "Whether the field is unset."}
    schema: JSON = {"type": kind}
    # Text is compared with any text, also that of a field such as an address.
    if field.get("format") in PARSERS:
        schema["format"] = field["format"]
    if field.get("format") == "decimal":
        schema["pattern"] = f"^{PATTERNS['decimal']}$"
    if "enum" in field and operator != "prefix":
        schema["enum"] = choices(field)
    if kind == "integer":
        schema |= {"format": "int64", "minimum": MIN_INTEGER, "maximum": MAX_INTEGER}
    return schema


def value_pattern(field: JSON) -> str:
    """The pattern of one value in a list of values."""
    if "enum" in field:
        return alternatives(map(str, choices(field)))
    by_type = VALUES[filters.scalar_type(field)]
    return PATTERNS.get(field.get("format", ""), by_type)


def choices(field: JSON) -> list[str]:
    """The values of an ``enum``."""
    return [value for value in field["enum"] if value is not None]


def alternatives(names: Iterable[str]) -> str:
    """A pattern that matches one of these names."""
    return f"({'|'.join(map(re.escape, names))})"


def search_parameter(searchable: Iterable[str]) -> JSON:
    """The schema of ``q``."""
    about = f"Words that are contained in {' or '.join(searchable)}."
    return {"type": "string", "pattern": WORDS, "description": about}


def sort_parameter(sortable: Iterable[str]) -> JSON:
    """The schema of ``sort``; no field comes twice."""
    names = ("id", *sortable)
    one = f"-?{alternatives(names)}"
    once = r"(?!(.*,)?-?([^,-]+),(.*,)?-?\2(,|$))"
    return {
        "type": "string",
        "pattern": f"^{once}{one}(,{one}){{0,{len(names) - 1}}}$",
        "description": "Fields to sort by, comma-separated, each with - for "
        f"descending: {', '.join(names)}.",
    }


def selection_parameters(
    shown: Mapping[str, JSON], relations: Iterable[str]
) -> dict[str, JSON]:
    """The schemas of ``fields`` and ``expand``."""
    about = "Fields to show, comma-separated; all when it is left out."
    found = {"fields": names_parameter(shown, about)}
    if relations:
        about = f"Relations to embed: {', '.join(relations)}."
        found["expand"] = names_parameter(relations, about)
    return found


def names_parameter(names: Iterable[str], about: str) -> JSON:
    """The schema of a list of names."""
    one = alternatives(names)
    return {"type": "string", "pattern": f"^{one}(,{one})*$", "description": about}
