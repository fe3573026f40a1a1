"""JSON Schemas: derived, compiled once, all errors at once.

Draft 2020-12 unless ``$schema`` names draft-07. Formats are checked, patterns
mean what ECMA-262 says, and the details of an error never repeat the input.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from itertools import islice
from typing import Any

from jsonschema import Draft7Validator, Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from myapp.core.errors import Problem
from myapp.core.formats import FORMATS

JSON = dict[str, Any]

# The fields that the server owns, in the order in which a record shows them.
SERVER_FIELDS: dict[str, JSON] = {
    "id": {"type": "string", "format": "uuid", "readOnly": True},
    "created_at": {"type": "string", "format": "date-time", "readOnly": True},
    "updated_at": {"type": "string", "format": "date-time", "readOnly": True},
    "version": {"type": "integer", "minimum": 1, "readOnly": True},
}

# What an error says, by keyword; {0} is the keyword's value in the schema.
DETAILS = {
    "type": "must be of type {0}",
    "enum": "must be one of {0}",
    "const": "must be {0}",
    "format": "must be a valid {0}",
    "pattern": "must match the pattern {0}",
    "minLength": "must have at least {0} characters",
    "maxLength": "must have at most {0} characters",
    "minimum": "must be at least {0}",
    "maximum": "must be at most {0}",
    "exclusiveMinimum": "must be greater than {0}",
    "exclusiveMaximum": "must be less than {0}",
    "multipleOf": "must be a multiple of {0}",
    "minItems": "must have at least {0} items",
    "maxItems": "must have at most {0} items",
    "uniqueItems": "must not have equal items",
    "minProperties": "must have at least {0} members",
    "maxProperties": "must have at most {0} members",
}
MAX_ERRORS = 100


def is_integer(_checker: Any, value: Any) -> bool:
    """Whether a value is an integer as the stores know it; 1.0 is none."""
    return isinstance(value, int) and not isinstance(value, bool)


@lru_cache(maxsize=1024)
def ecma_pattern(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern so that ``$``, ``\d`` and ``\w`` mean what ECMA-262 says.

    Python lets ``$`` match before a last newline and ``\d`` match any digit of
    Unicode (JSON Schema 2020-12 Core, section 6.4).
    """
    in_class, result, escaped = False, [], False
    for character in pattern:
        if not escaped and character in "[]":
            in_class = character == "["
        end = character == "$" and not escaped and not in_class
        result.append(r"\Z" if end else character)
        escaped = character == "\\" and not escaped
    return re.compile("".join(result), re.ASCII)


def check_pattern(
    _validator: Any, pattern: str, instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    """The ``pattern`` keyword."""
    if isinstance(instance, str) and not ecma_pattern(pattern).search(instance):
        yield ValidationError("does not match")


def check_required(
    _validator: Any, required: Any, instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    """The ``required`` keyword; each error points at the member that is missing."""
    if isinstance(instance, dict):
        for name in required:
            if name not in instance:
                yield ValidationError("is required", path=[name])


def check_additional(
    validator: Any, allowed: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    """``additionalProperties``; each error points at the member that is too many."""
    if not isinstance(instance, dict):
        return
    patterns = [ecma_pattern(text) for text in schema.get("patternProperties", ())]
    for name, value in instance.items():
        known = name in schema.get("properties", ())
        if known or any(pattern.search(name) for pattern in patterns):
            continue
        if allowed is False:
            owned = name in SERVER_FIELDS
            detail = "is set by the server" if owned else "is not a known field"
            yield ValidationError(detail, path=[name])
        else:
            yield from validator.descend(value, allowed, path=name)


KEYWORDS = {
    "pattern": check_pattern,
    "required": check_required,
    "additionalProperties": check_additional,
}


def strict(base: Any) -> Any:
    """A validator class with our integers, keywords and formats."""
    checker = base.TYPE_CHECKER.redefine("integer", is_integer)
    return validators.extend(base, KEYWORDS, type_checker=checker)


CLASSES = {
    "https://json-schema.org/draft/2020-12/schema": strict(Draft202012Validator),
    "http://json-schema.org/draft-07/schema#": strict(Draft7Validator),
}
DEFAULT_CLASS = CLASSES["https://json-schema.org/draft/2020-12/schema"]


class Validator:
    """A compiled schema.

    :param schema: the schema; ``$ref`` may name ``$id`` of any in ``registry``.
    """

    def __init__(self, schema: JSON, registry: Registry[Any] | None = None) -> None:
        cls = CLASSES.get(schema.get("$schema", ""), DEFAULT_CLASS)
        self.schema = schema
        self.compiled = cls(
            schema, registry=registry or Registry(), format_checker=FORMATS
        )

    def errors(self, value: Any, prefix: str = "") -> list[dict[str, str]]:
        """What is wrong with a value, at most 100 places, sorted by place.

        :param prefix: a JSON Pointer that is put before each pointer.
        """
        errors = islice(self.compiled.iter_errors(value), MAX_ERRORS)
        found = [explain(error, prefix) for error in errors]
        return sorted(found, key=lambda entry: entry["pointer"])

    def check(self, value: Any) -> None:
        """Refuse a body that does not match.

        :raises Problem: 400 ``invalid-body`` with every error and its place.
        """
        errors = self.errors(value)
        if errors:
            raise Problem("invalid-body", errors=errors)


def explain(error: ValidationError, prefix: str = "") -> dict[str, str]:
    """One error of jsonschema as an item of ``errors`` in the problem body."""
    keyword = str(error.validator)
    if keyword in ("required", "additionalProperties"):
        detail = error.message
    else:
        template = DETAILS.get(keyword, "does not match the schema")
        detail = template.format(readable(error.validator_value))
    where = prefix + pointer(*error.absolute_path)
    return {"pointer": where, "detail": detail, "keyword": keyword}


def readable(value: Any) -> str:
    """A keyword's value as people write it."""
    if isinstance(value, list):
        return ", ".join("null" if item is None else str(item) for item in value)
    return str(value)


def pointer(*path: Any) -> str:
    """A JSON Pointer, RFC 6901, of member names and indexes."""
    return "".join(
        "/" + str(part).replace("~", "~0").replace("/", "~1") for part in path
    )


def derive_read_schema(write_schema: JSON) -> JSON:
    """The schema of what a record shows: the fields that the server owns, then what
    can be written, each always present, ``null`` where an optional one is unset.

    ``writeOnly`` properties are left out.
    """
    required = write_schema.get("required", [])
    properties = deepcopy(SERVER_FIELDS)
    for name, field in write_schema["properties"].items():
        if not field.get("writeOnly"):
            optional = name not in required and field.get("default") is None
            properties[name] = nullable(field) if optional else deepcopy(field)
    return {
        "$id": write_schema["$id"].replace(".write.json", ".json"),
        "title": write_schema.get("title", ""),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def derive_patch_schema(write_schema: JSON) -> JSON:
    """The schema of some members of a body: nothing is required, ``null`` resets an
    optional field, and every other constraint holds."""
    required = write_schema.get("required", [])
    schema = deepcopy(write_schema)
    schema.pop("required", None)
    schema["$id"] = write_schema["$id"].replace(".write.json", ".patch.json")
    schema["properties"] = {
        name: deepcopy(field) if name in required else nullable(field)
        for name, field in write_schema["properties"].items()
    }
    return schema


def nullable(field: JSON) -> JSON:
    """A copy of a property's schema that also takes ``null``."""
    field = deepcopy(field)
    if "type" not in field:
        return {"anyOf": [field, {"type": "null"}]}
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    if "null" not in types:
        field["type"] = [*types, "null"]
    if "enum" in field and None not in field["enum"]:
        field["enum"] = [*field["enum"], None]
    return field


class Schemas:
    """The schemas of one application, by ``$id``.

    Each is held against its meta-schema, and each ``$ref`` must lead somewhere.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, JSON] = {}

    def add(self, schema: JSON) -> None:
        """Take a schema in.

        :raises ValueError: when it has no ``$id`` under ``/schemas/``, or one that
            another schema has.
        :raises jsonschema.SchemaError: when it is no valid schema.
        """
        name = schema.get("$id", "")
        if not re.fullmatch(r"/schemas/[a-z0-9_.-]+\.json", name):
            raise ValueError(f"$id {name!r} is not like /schemas/<name>.json")
        if self.by_id.get(name, schema) != schema:
            raise ValueError(f"two schemas have the $id {name}")
        CLASSES.get(schema.get("$schema", ""), DEFAULT_CLASS).check_schema(schema)
        self.by_id[name] = schema

    def check_references(self) -> None:
        """Follow every ``$ref``.

        :raises referencing.exceptions.Unresolvable: when one leads nowhere.
        """
        resources = [
            (name, Resource.from_contents(schema, DRAFT202012))
            for name, schema in self.by_id.items()
        ]
        registry: Registry[Any] = Registry().with_resources(resources)
        for name, schema in self.by_id.items():
            resolver = registry.resolver(name)
            for reference in references(schema):
                resolver.lookup(reference)


def references(node: Any) -> Iterator[str]:
    """Every ``$ref`` in a schema."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for item in node.values():
            yield from references(item)
