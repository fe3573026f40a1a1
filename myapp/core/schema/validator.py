"""Validation with JSON Schemas: compiled once, all errors at once.

Draft 2020-12 unless ``$schema`` names draft-07. Formats are checked, patterns are those
of ECMA-262, and the details of an error never repeat the input.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft7Validator, Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry

from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem
from myapp.core.schema.derive import SERVER_FIELDS
from myapp.core.schema.fast_path import compile_schema
from myapp.core.schema.formats import FORMAT_CHECKER
from myapp.core.schema.patterns import check_patterns, ecma_pattern
from myapp.core.schema.strict_json import JSON

# The detail of an error, by keyword; {0} is the keyword's value in the schema.
DETAILS = {
    "type": "must be of type {0}",
    "enum": "must be one of {0}",
    "const": "must be {0}",
    "format": "must be a valid {0}",
    "pattern": "must match the pattern {0}",
    "minimum": "must be at least {0}",
    "maximum": "must be at most {0}",
    "exclusiveMinimum": "must be greater than {0}",
    "exclusiveMaximum": "must be less than {0}",
    "multipleOf": "must be a multiple of {0}",
    "uniqueItems": "must not have equal items",
    "not": "is not allowed",
}
# The same for the keywords that count something.
COUNTS = {
    "minLength": ("at least", "character"),
    "maxLength": ("at most", "character"),
    "minItems": ("at least", "item"),
    "maxItems": ("at most", "item"),
    "minProperties": ("at least", "member"),
    "maxProperties": ("at most", "member"),
}
MAX_ERRORS = 100
SET_BY_SERVER = "is set by the server"
#: The fields that every record has and no body, with the detail of the error.
OWNED = dict.fromkeys(SERVER_FIELDS, SET_BY_SERVER)


def is_integer(_checker: Any, value: Any) -> bool:
    """Whether a value is an integer in the stores. :mod:`strict_json` parses 1.0 as an
    integer; a float from Python code is not an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


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
    """``additionalProperties``; each error points at a member that is not allowed."""
    if not isinstance(instance, dict):
        return
    patterns = [ecma_pattern(text) for text in schema.get("patternProperties", ())]
    for name, value in instance.items():
        known = name in schema.get("properties", ())
        if known or any(pattern.search(name) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError("is not a known field", path=[name])
        else:
            yield from validator.descend(value, allowed, path=name)


KEYWORDS = {
    "pattern": check_pattern,
    "required": check_required,
    "additionalProperties": check_additional,
}


def strict(base: Any) -> Any:
    """A validator class with the integers and keywords of this module."""
    checker = base.TYPE_CHECKER.redefine("integer", is_integer)
    return validators.extend(base, KEYWORDS, type_checker=checker)


VALIDATOR_CLASSES = {
    "https://json-schema.org/draft/2020-12/schema": strict(Draft202012Validator),
    "http://json-schema.org/draft-07/schema#": strict(Draft7Validator),
}
DEFAULT_VALIDATOR_CLASS = VALIDATOR_CLASSES[
    "https://json-schema.org/draft/2020-12/schema"
]


class Validator:
    """A compiled schema.

    :param schema: the schema; a ``$ref`` may name the ``$id`` of a schema in
        ``registry``.
    :raises ValueError: when it has a pattern that cannot be compiled.
    :param owned: members that a body may not have, with the detail of the error.
    """

    def __init__(
        self,
        schema: JSON,
        registry: Registry[Any] | None = None,
        owned: Mapping[str, str] = OWNED,
    ) -> None:
        cls = VALIDATOR_CLASSES.get(schema.get("$schema", ""), DEFAULT_VALIDATOR_CLASS)
        self.schema = schema
        self.owned = {pointer(name): detail for name, detail in owned.items()}
        check_patterns(schema)
        self.compiled = cls(
            schema, registry=registry or Registry(), format_checker=FORMAT_CHECKER
        )
        self.accept = compile_schema(schema, FORMAT_CHECKER, ecma_pattern)

    def errors(self, value: Any, prefix: str = "") -> list[dict[str, str]]:
        """The errors of a value, at most 100, sorted by place.

        :param prefix: a JSON Pointer that is added before each pointer.
        """
        if self.accept is not None and self.accept(value):
            return []
        errors = islice(self.compiled.iter_errors(value), MAX_ERRORS)
        found = [explain(error, prefix) for error in errors]
        for entry in found:
            if entry["keyword"] == "additionalProperties":
                place = entry["pointer"].removeprefix(prefix)
                entry["detail"] = self.owned.get(place, entry["detail"])
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
    elif keyword in COUNTS:
        bound, noun = COUNTS[keyword]
        number = error.validator_value
        detail = f"must have {bound} {number} {noun}{'' if number == 1 else 's'}"
    else:
        template = DETAILS.get(keyword, "does not match the schema")
        detail = template.format(readable(error.validator_value))
    return problem_at(prefix + pointer(*error.absolute_path), detail, keyword)


def unknown_member(name: str, owned: Mapping[str, str] = OWNED) -> dict[str, str]:
    """The error of a member that a body may not have. A hidden field has the same error
    as a field that does not exist.

    :param owned: members that a body may not have, with the detail of the error.
    """
    detail = owned.get(name, "is not a known field")
    return problem_at(pointer(name), detail, "additionalProperties")


def readable(value: Any) -> str:
    """A keyword's value as text for people."""
    if isinstance(value, list):
        return ", ".join("null" if item is None else str(item) for item in value)
    return str(value)
