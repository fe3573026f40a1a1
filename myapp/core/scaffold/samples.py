"""Bodies to test a new model with, made from its schema."""

from typing import Any

from myapp.core.scaffold.fields import FieldError, Fields
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator

# Two values of each format.
FORMAT_SAMPLES: dict[str, tuple[str, str]] = {
    "date": ("2024-02-29", "1999-12-31"),
    "date-time": ("2024-02-29T12:30:00Z", "1999-12-31T23:59:59Z"),
    "uuid": (
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "01890a5d-ac96-774b-bcce-b302099a8057",
    ),
    "decimal": ("7", "-3"),
    "email": ("ada@example.com", "grace@example.com"),
    "uri": ("https://example.com/", "urn:example:2"),
}
WORDS = ("first", "second")


def sample_bodies(fields: Fields) -> tuple[JSON, JSON]:
    """Two valid bodies with every field except references; each value differs where
    possible.

    :raises FieldError: when a field needs examples, because no value can be guessed.
    """
    referring = {f"{name}_id" for name in fields.references}
    full: JSON = {}
    other: JSON = {}
    for name, schema in fields.properties.items():
        if name not in referring:
            for number, body in enumerate((full, other)):
                body[name] = checked(name, schema, sample(name, schema, number))
    return full, other


def checked(name: str, schema: JSON, value: Any) -> Any:
    """A value, if it is valid."""
    if Validator(schema).errors(value):
        raise FieldError(f"{name} needs two values in the `examples` of its schema")
    return value


def sample(name: str, schema: JSON, number: int) -> Any:
    """A value that a schema may allow.

    :param number: 0 or 1, for two values that differ.
    """
    for known in ("examples", "enum"):
        values = [value for value in schema.get(known, ()) if value is not None]
        if values:
            return values[number % len(values)]
    if "const" in schema:
        return schema["const"]
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else [*types, "null"][0]
    return SAMPLES.get(kind, sample_nothing)(name, schema, number)


def sample_nothing(_name: str, _schema: JSON, _number: int) -> None:
    """No value, for an unknown type."""


def sample_number(_name: str, schema: JSON, number: int) -> Any:
    """A small number within the bounds."""
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum", step - 1) + step)
    most = schema.get(
        "maximum", schema.get("exclusiveMaximum", least + 3 * step) - step
    )
    start = least if least > -(2**53) else min(step, most)
    return min(start + number * step, most)


def sample_text(name: str, schema: JSON, number: int) -> str:
    """A few words, or a value of the format."""
    if "format" in schema:
        return FORMAT_SAMPLES.get(schema["format"], ("", ""))[number]
    text = f"{WORDS[number]} {name.replace('_', ' ')}"
    text = text.ljust(schema.get("minLength", 0), ".")
    most = schema.get("maxLength", len(text))
    return text if len(text) <= most else f"{number}{text}"[:most]


def sample_array(name: str, schema: JSON, number: int) -> list[Any]:
    """The smallest number of items, and one more in the second value."""
    items = schema.get("items", {"type": "string"})
    count = max(schema.get("minItems", 0), number)
    count = min(count, schema.get("maxItems", count))
    return [sample(name, items, (number + index) % 2) for index in range(count)]


def sample_object(_name: str, schema: JSON, number: int) -> JSON:
    """An object with every member in the schema."""
    members = schema.get("properties", {}).items()
    return {name: sample(name, member, number) for name, member in members}


SAMPLES: dict[str, Any] = {
    "boolean": lambda _name, _schema, number: number == 0,
    "integer": sample_number,
    "number": sample_number,
    "string": sample_text,
    "array": sample_array,
    "object": sample_object,
}
