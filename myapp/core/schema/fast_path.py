"""The fast path of validation: schemas compiled to plain functions.

``jsonschema`` decides what is valid, and reports the errors. It takes about forty
microseconds for a small record. So a schema that has only the keywords below is also
compiled to a function that recognises valid values in a few microseconds. A value that
the function does not accept is passed to ``jsonschema``; a test checks that both agree.
"""

from collections.abc import Callable
from typing import Any

from jsonschema import FormatChecker
from jsonschema.exceptions import FormatError

Accept = Callable[[Any], bool]

# Keywords that do not affect validity.
ANNOTATIONS = frozenset(
    "$id $schema title description default examples readOnly writeOnly".split()
)
TYPE_CHECKS: dict[str, Accept] = {
    "string": lambda value: type(value) is str,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "boolean": lambda value: type(value) is bool,
    "null": lambda value: value is None,
    "array": lambda value: type(value) is list,
    "object": lambda value: type(value) is dict,
}
# Keywords for values of one type, with the function that makes their check.
BOUNDS: dict[str, tuple[str, Callable[[Any], Accept]]] = {
    "minLength": ("string", lambda least: lambda value: len(value) >= least),
    "maxLength": ("string", lambda most: lambda value: len(value) <= most),
    "minimum": ("number", lambda least: lambda value: value >= least),
    "maximum": ("number", lambda most: lambda value: value <= most),
    "minItems": ("array", lambda least: lambda value: len(value) >= least),
    "maxItems": ("array", lambda most: lambda value: len(value) <= most),
}
KNOWN = ANNOTATIONS | set(BOUNDS)
KNOWN |= set("type enum pattern format items uniqueItems".split())
KNOWN |= set("properties required additionalProperties".split())


class NotCompiled(Exception):
    """A schema has a keyword that this module does not know."""


def compile_schema(
    schema: Any, formats: FormatChecker, pattern: Callable[[str], Any]
) -> Accept | None:
    """A function that returns True for valid values only; ``None`` when the schema
    has a keyword that is not handled here.

    :param pattern: compiles a regular expression.
    """
    try:
        return Compiler(formats, pattern).accept(schema)
    except NotCompiled:
        return None


class Compiler:
    """Turns schemas into functions.

    :param formats: checks formats; ``pattern``: compiles a regular expression.
    """

    def __init__(self, formats: FormatChecker, pattern: Callable[[str], Any]) -> None:
        self.formats = formats
        self.pattern = pattern

    def accept(self, schema: Any) -> Accept:
        """The function of a schema that has one type, or one type and null."""
        if not isinstance(schema, dict) or not KNOWN >= set(schema):
            raise NotCompiled
        types = schema.get("type")
        names = types if isinstance(types, list) else [types]
        plain = [name for name in names if name != "null"]
        if len(plain) != 1 or plain[0] not in TYPE_CHECKS:
            raise NotCompiled
        checks = [TYPE_CHECKS[plain[0]], *self.checks(plain[0], schema)]
        checked = all_of(checks)
        if "null" in names:
            if None not in schema.get("enum", [None]):
                raise NotCompiled
            return lambda value: value is None or checked(value)
        return checked

    def checks(self, kind: str, schema: Any) -> list[Accept]:
        """The checks of a schema for values of its type."""
        found = []
        for keyword, (about, make) in BOUNDS.items():
            if keyword in schema and about == ("number" if kind == "integer" else kind):
                found.append(make(schema[keyword]))
        if "enum" in schema:
            found.append(self.enum(schema["enum"]))
        if kind == "string":
            found += self.text(schema)
        elif kind == "array":
            found += self.items(schema)
        elif kind == "object":
            found.append(self.members(schema))
        return found

    def enum(self, values: list[Any]) -> Accept:
        """One of several strings. Other types are not compiled: 1 and true are equal in
        Python, and not in JSON."""
        if not all(value is None or type(value) is str for value in values):
            raise NotCompiled
        known = frozenset(values)
        return lambda value: type(value) is str and value in known

    def text(self, schema: Any) -> list[Accept]:
        """Pattern and format."""
        found: list[Accept] = []
        if "pattern" in schema:
            search = self.pattern(schema["pattern"]).search
            found.append(lambda value: search(value) is not None)
        if schema.get("format") in self.formats.checkers:
            check, name = self.formats.check, schema["format"]

            def is_formatted(value: Any) -> bool:
                try:
                    check(value, name)
                except FormatError:
                    return False
                return True

            found.append(is_formatted)
        return found

    def items(self, schema: Any) -> list[Accept]:
        """The schema of each item, and that no two strings are equal."""
        found: list[Accept] = []
        if "items" in schema:
            accept = self.accept(schema["items"])
            found.append(lambda value: all(map(accept, value)))
        if schema.get("uniqueItems"):
            if schema.get("items", {}).get("type") != "string":
                raise NotCompiled
            found.append(lambda value: len(set(value)) == len(value))
        return found

    def members(self, schema: Any) -> Accept:
        """The required members, the known members, and the schema of each."""
        if schema.get("additionalProperties") is not False:
            raise NotCompiled
        properties = schema.get("properties", {})
        accepts = {name: self.accept(properties[name]) for name in properties}
        required = frozenset(schema.get("required", ()))

        def has_members(value: Any) -> bool:
            if not required <= value.keys():
                return False
            for name, member in value.items():
                accept = accepts.get(name)
                if accept is None or not accept(member):
                    return False
            return True

        return has_members


def all_of(checks: list[Accept]) -> Accept:
    """One function for several checks."""
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) and second(value)
    if len(checks) == 3:
        first, second, third = checks
        return lambda value: first(value) and second(value) and third(value)
    return lambda value: all(check(value) for check in checks)
