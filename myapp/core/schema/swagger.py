"""Swagger 2.0 for flask-restx: a copy of a JSON Schema without the keywords that
Swagger 2.0 does not know. Validation never uses it."""

from typing import Any

from myapp.core.schema.names import model_name
from myapp.core.schema.strict_json import JSON

# The keywords of JSON Schema that are copied unchanged; others are handled below.
KEPT = frozenset(
    "title description default format readOnly maximum minimum multipleOf "
    "maxLength minLength pattern maxItems minItems uniqueItems maxProperties "
    "minProperties enum".split()
)


def downgrade(schema: Any) -> JSON:
    """A copy of a schema that is valid in Swagger 2.0."""
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        return {"$ref": f"#/definitions/{model_name({'$id': schema['$ref']})}"}
    result: JSON = {key: schema[key] for key in schema if key in KEPT}
    types = schema.get("type")
    if isinstance(types, list):
        plain = [name for name in types if name != "null"]
        result["x-nullable"] = len(plain) < len(types)
        types = plain[0] if len(plain) == 1 else None
    if types:
        result["type"] = types
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if None in result.get("enum", ()):
        result["enum"] = [value for value in result["enum"] if value is not None]
    result.update(downgrade_members(schema))
    return result


def downgrade_members(schema: JSON) -> JSON:
    """The keywords about the items of an array and the members of an object."""
    result: JSON = {}
    if "array" in schema.get("type", ()):
        result["items"] = downgrade(schema.get("items", {}))
    if schema.get("required"):
        result["required"] = schema["required"]
    properties = schema.get("properties", {})
    if properties:
        result["properties"] = {
            name: downgrade(properties[name]) for name in properties
        }
    extra = schema.get("additionalProperties")
    if extra is not None:
        result["additionalProperties"] = extra if extra is False else downgrade(extra)
    return result
