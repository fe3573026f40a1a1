"""The fields of a new feature as JSON Schema, from the command line or a file."""

import json
import keyword
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flask import current_app
from jsonschema.exceptions import SchemaError

from myapp.core.model.model import Model
from myapp.core.query.parameters import PAGE_PARAMETERS
from myapp.core.rest.api import api_of
from myapp.core.schema.derive import SERVER_FIELDS
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import VALIDATOR_CLASSES, DEFAULT_VALIDATOR_CLASS

FIELD = re.compile(r"([a-z][a-z0-9_]*):([a-z]+)(?:\(([^()]*)\))?(\??)\Z", re.ASCII)
REFERENCE = re.compile(
    r"([a-z][a-z0-9_]*):([a-z0-9_]+)\.([a-z0-9_-]+)(\??)\Z", re.ASCII
)
# Parameters of a list; a filter of the same name would hide one.
RESERVED = {*SERVER_FIELDS, *PAGE_PARAMETERS, "q", "sort", "fields", "expand"}
MAX_STRING = 200
# The member of a schema in a file with the digits of a decimal, such as [12, 2].
DIGITS = "x-digits"
# The keywords that the tests of a feature can draw values for.
DRAWABLE_KEYWORDS = set("""
    title description default examples readOnly writeOnly type enum const format items
    properties required additionalProperties minLength maxLength pattern minimum maximum
    exclusiveMinimum exclusiveMaximum minItems maxItems uniqueItems not
    """.split())
DRAWABLE_FORMATS = {"date", "date-time", "uuid", "decimal", "email", "uri"}


class FieldError(ValueError):
    """A field cannot be made; the message gives the reason in one sentence."""


class Fields:
    """The properties of a new model.

    :param base: its base class; a field must not have the name of an attribute of it.

    :ivar properties: the schema of each.
    :ivar required: the names of the required fields.
    :ivar references: the model of each relation, by the name of the relation.
    :ivar digits: the digits of each decimal: all, and after the point.
    """

    def __init__(self, base: type[Model]) -> None:
        self.base = base
        self.properties: dict[str, JSON] = {}
        self.required: list[str] = []
        self.references: dict[str, Any] = {}
        self.digits: dict[str, tuple[int, int]] = {}

    def add(self, name: str, schema: JSON, required: bool) -> None:
        """Add a field.

        :raises FieldError: when its name is used already, or is not valid in Python.
        """
        taken = name in RESERVED or name in self.properties or hasattr(self.base, name)
        if taken or not name.isidentifier() or keyword.iskeyword(name):
            raise FieldError(f"a field cannot be called {name}")
        self.properties[name] = {key: schema[key] for key in schema if key != DIGITS}
        if DIGITS in schema:
            self.digits[name] = tuple(schema[DIGITS])
        if required:
            self.required.append(name)

    def add_text(self, text: str) -> None:
        """Add a field from the command line: ``title:string(200)``, ``year:integer?``.

        :raises FieldError: when the text has another form.
        """
        match = FIELD.match(text)
        if match is None or match[2] not in TYPES:
            known = ", ".join(TYPES)
            raise FieldError(
                f"{text!r} is not like name:type(...)?, with a type {known}"
            )
        try:
            schema = TYPES[match[2]](match[3] or "")
        except ValueError as error:
            raise FieldError(f"{text!r}: {error}") from error
        self.add(match[1], schema, required=not match[4])

    def add_reference(self, text: str) -> None:
        """Add a relation: ``director:catalog.directors``, which is the singular, then
        the feature and the namespace of the model that it refers to.

        :raises FieldError: when there is no such model.
        """
        match = REFERENCE.match(text)
        if match is None:
            raise FieldError(f"{text!r} is not like name:feature.namespace")
        if match[1] in self.properties or match[1] in self.references:
            raise FieldError(f"a relation cannot be called {match[1]}")
        model = served_model(match[2], match[3])
        self.add(f"{match[1]}_id", {"type": "string", "format": "uuid"}, not match[4])
        self.references[match[1]] = model

    def add_file(self, path: Path) -> None:
        """Add the properties of a JSON Schema.

        :raises FieldError: when the file is not a JSON Schema of an object.
        """
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))
            VALIDATOR_CLASSES.get(
                schema.get("$schema", ""), DEFAULT_VALIDATOR_CLASS
            ).check_schema(schema)
            properties = schema["properties"].items()
        except (ValueError, TypeError, AttributeError, LookupError, OSError) as error:
            raise FieldError(
                f"{path} is not a JSON Schema of an object: {error}"
            ) from error
        except SchemaError as error:
            raise FieldError(f"{path}: {error.message}") from error
        for name, field in properties:
            check_keywords(name, field)
            self.add(name, field, name in schema.get("required", ()))


def check_keywords(name: str, schema: JSON) -> None:
    """Refuse a schema that the tests of a feature cannot draw values for.

    :raises FieldError: with the keywords.
    """
    beyond = sorted(set(schema) - DRAWABLE_KEYWORDS - {DIGITS})
    if schema.get("format", "uuid") not in DRAWABLE_FORMATS:
        beyond.append(f"the format {schema['format']}")
    if beyond:
        raise FieldError(
            f"{name}: tests cannot draw values for {', '.join(beyond)}; leave it out, "
            "and add it later with its own tests"
        )
    for member in schema.get("properties", {}).values():
        check_keywords(name, member)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            check_keywords(name, schema[key])


def served_model(feature: str, namespace: str) -> Any:
    """The model whose routes are in a namespace of a feature.

    :raises FieldError: when there is no such model.
    """
    if feature in current_app.extensions["features"]:
        for one in api_of(current_app, feature).namespaces:
            if one.name == namespace and getattr(one, "served", ()):
                return one.served[0]
    raise FieldError(f"there is no model at {feature}.{namespace}")


def string(arguments: str) -> JSON:
    """Text: ``string``, ``string(200)``."""
    return {"type": "string", "maxLength": int(arguments or MAX_STRING)}


def decimal(arguments: str) -> JSON:
    """A decimal number as text, always with all its digits after the point:
    ``decimal``, ``decimal(12,2)``: the number of all digits, and after the point."""
    precision, scale = (int(part) for part in (arguments or "12,2").split(","))
    if not 0 <= scale < precision <= 18:
        raise ValueError(
            "a decimal has at most 18 digits, and at least one before the point"
        )
    before, zeros = precision - scale - 1, "0" * scale
    after = f"[.][0-9]{{{scale}}}" if scale else ""
    # A negative zero does not match.
    return {
        "type": "string",
        "format": "decimal",
        "pattern": f"^(?!-0([.]0+)?$)-?(0|[1-9][0-9]{{0,{before}}}){after}$",
        "examples": [f"{digit}.{zeros}" if scale else digit for digit in ("7", "-3")],
        DIGITS: (precision, scale),
    }


def enum(arguments: str) -> JSON:
    """One value of a list: ``enum(open|paid)``."""
    values = [value for value in arguments.split("|") if value]
    if len(values) < 2:
        raise ValueError("write an enum as enum(open|paid)")
    return {"type": "string", "enum": values, "maxLength": max(map(len, values))}


def fixed(**schema: Any) -> Callable[[str], JSON]:
    """A type without arguments."""

    def make(arguments: str) -> JSON:
        if arguments:
            raise ValueError("this type takes no arguments")
        return dict(schema)

    return make


#: The functions that make the schema of a type from its arguments.
TYPES: dict[str, Callable[[str], JSON]] = {
    "string": string,
    "integer": fixed(type="integer", minimum=-(2**63), maximum=2**63 - 1),
    "number": fixed(type="number"),
    "decimal": decimal,
    "boolean": fixed(type="boolean"),
    "date": fixed(type="string", format="date"),
    "datetime": fixed(type="string", format="date-time"),
    "uuid": fixed(type="string", format="uuid"),
    "enum": enum,
}


def gather(
    base: type[Model],
    fields: Iterable[str],
    references: Iterable[str],
    schema: Path | None,
) -> Fields:
    """All fields of a new model.

    :param base: its base class.

    :raises FieldError: when a field cannot be made, or there is no field.
    """
    found = Fields(base)
    if schema is not None:
        found.add_file(schema)
    for text in fields:
        found.add_text(text)
    for text in references:
        found.add_reference(text)
    if not found.properties:
        raise FieldError("a feature needs at least one field: --field title:string")
    return found
